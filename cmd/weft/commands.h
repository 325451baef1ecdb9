/*
 * commands - the commands of `weft`, a file each.
 *
 * argv[0] is the command's name. Each prints its own help when asked with --help, and returns an
 * enum exit_code.
 */
#ifndef WEFT_CMD_COMMANDS_H
#define WEFT_CMD_COMMANDS_H

int publish_run(int argc, char **argv);
int tail_run(int argc, char **argv);
int history_run(int argc, char **argv);
int topics_run(int argc, char **argv);
int limits_run(int argc, char **argv);
int breakers_run(int argc, char **argv);
int connections_run(int argc, char **argv);
int services_run(int argc, char **argv);
int nodes_run(int argc, char **argv);
int revocations_run(int argc, char **argv);
int token_run(int argc, char **argv);

#endif

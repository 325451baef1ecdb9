/*
 * exits - how a command ends; the same for all commands, told by every --help.
 */
#ifndef WEFT_CMD_EXITS_H
#define WEFT_CMD_EXITS_H

enum exit_code {
    EXIT_DONE = 0,
    EXIT_REFUSED = 1, /* by the server, or by something else that a second try will not change */
    EXIT_USAGE = 2,
    EXIT_GAP = 3, /* tail --fail-on-gap */
    EXIT_UNREACHABLE = 4
};

#endif

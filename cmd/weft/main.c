/* weft - publish, follow and read events from the command line. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <curl/curl.h>

#include "args.h"
#include "commands.h"
#include "exits.h"

struct command {
    const char *name;
    const char *about;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
    {"publish", "put events into a topic", publish_run},
    {"tail", "follow topics, through any interruption", tail_run},
    {"history", "read what a topic holds", history_run},
    {"topics", "list the topics", topics_run},
    {"limits", "list, set and try token buckets", limits_run},
    {"breakers", "list, set and force circuit breakers", breakers_run},
    {"connections", "list the slowest streams and the busiest topics", connections_run},
    {"services", "what is probed and run, and how it is", services_run},
    {"nodes", "list the nodes", nodes_run},
    {"revocations", "list, add and end revocations of tokens", revocations_run},
    {"token", "make keys and tokens, and read them", token_run},
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    args_complain("there is no command '%s' (see weft help)", name);
    return NULL;
}

static int usage(FILE *out)
{
    fputs("usage: weft COMMAND [words and options]\n\ncommands:\n", out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].about);
    fputs(
        "  help        this text, or that of a command: weft help COMMAND\n"
        "\n"
        "weft COMMAND --help tells a command's options; weft --version the version.\n"
        "Every command but token takes --url, the address of one or several nodes ($WEFT_URL), and shows\n"
        "them the token of --token-file ($WEFT_TOKEN).\n"
        "\n"
        "exit codes: 0 done, 1 the server refused, 2 wrong usage,\n"
        "            3 a gap (tail --fail-on-gap), 4 no server could be reached\n",
        out);
    return out == stdout ? EXIT_DONE : EXIT_USAGE;
}

static int help(int argc, char **argv)
{
    static char flag[] = "--help";
    const struct command *command;

    if (argc < 2)
        return usage(stdout);
    command = find(argv[1]);
    if (command == NULL)
        return EXIT_USAGE;
    return command->run(2, (char *[]){argv[1], flag, NULL});
}

int main(int argc, char **argv)
{
    const struct command *command;
    int code;

    /* A reader that went away is seen as an error of the write. */
    signal(SIGPIPE, SIG_IGN);

    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--version") == 0) {
        puts("weft " WEFT_VERSION);
        return EXIT_DONE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return usage(stdout);
    if (strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    command = find(argv[1]);
    if (command == NULL)
        return EXIT_USAGE;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        args_complain("libcurl cannot be started");
        return EXIT_REFUSED;
    }
    code = command->run(argc - 1, argv + 1);
    curl_global_cleanup();
    return code;
}

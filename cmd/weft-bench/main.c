/* weft-bench - a load generator for weft, and a checker of what arrives. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const struct command {
    const char *name;
    const char *about;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"publish", "acknowledged events a second", publish_run},
    {"fanout", "deliveries a second, latency and CPU", fanout_run},
    {"idle", "memory of streams that wait", idle_run},
    {"replay", "many subscribers that begin in the past", replay_run},
    {"storm", "all cut at once, all back at once", storm_run},
    {"churn", "exactness under random cuts", churn_run},
    {"resume", "a hundred events of a long log, and a million at once", resume_run},
    {"roll", "three nodes of its own restarted in turn: loss, and how fast clients come back",
     roll_run},
    {"guard", "breakers: what an allow costs, and how late the last call is after one has opened",
     guard_run},
    {"limits", "buckets: exact takes a second, and leased ones", limits_run},
    {"token", "what it costs to check a token", token_run},
    {"stall", "what readers that stop reading cost the others", stall_run},
    {"ws", "WebSockets against event streams: CPU of a delivery, memory of an idle one", ws_run},
    {"suite", "all of them against programs of its own, as one table", suite_run},
};

static int usage(FILE *out)
{
    fputs("usage: weft-bench SCENARIO [options]\n\nscenarios:\n", out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].about);
    fputs("\nweft-bench SCENARIO --help tells the options.\n", out);
    return out == stdout ? BENCH_GOOD : BENCH_USAGE;
}

int main(int argc, char **argv)
{
    args_program = "weft-bench";
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2)
        return usage(stderr);
    if (strcmp(argv[1], "--version") == 0) {
        puts("weft-bench " WEFT_VERSION);
        return BENCH_GOOD;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
        return usage(stdout);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    args_complain("there is no scenario '%s' (see weft-bench --help)", argv[1]);
    return BENCH_USAGE;
}

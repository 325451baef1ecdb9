#include "bench.h"

#include <stdio.h>
#include <string.h>

#include "proc.h"

static bool resolve(struct bench *bench, const struct bench_options *opt)
{
    char url[256];

    bench->n_servers = 0;
    if (opt->urls.n == 0)
        return server_resolve(&bench->servers[bench->n_servers++], "http://127.0.0.1:8080",
                              opt->allow_remote);
    for (size_t i = 0; i < opt->urls.n; i++) {
        for (const char *p = opt->urls.items[i]; *p != '\0';) {
            size_t len = strcspn(p, ",");

            if (bench->n_servers == SERVERS_MAX || len >= sizeof(url)) {
                args_complain("--url: too many or too long");
                return false;
            }
            memcpy(url, p, len);
            url[len] = '\0';
            if (!server_resolve(&bench->servers[bench->n_servers++], url, opt->allow_remote))
                return false;
            p += len;
            p += *p == ',';
        }
    }
    return bench->n_servers > 0;
}

bool bench_begin(struct bench *bench, struct bench_options *opt, const struct arg *table,
                 const char *about, int argc, char **argv, int *ret_code)
{
    struct args_list words;

    *ret_code = BENCH_USAGE;
    *bench = (struct bench){.timeout_ms = BENCH_TIMEOUT_MS};
    switch (args_parse(table, argc, argv, 0, 0, &words)) {
    case ARGS_HELP:
        printf("usage: weft-bench %s [options]\n\n%s\n\n", argv[0], about);
        args_print(table);
        puts("\nexit codes: 0 done and right, 1 something was wrong, 2 wrong usage");
        *ret_code = BENCH_GOOD;
        return false;
    case ARGS_BAD:
        return false;
    case ARGS_OK:
        break;
    }
    if (!resolve(bench, opt) || !proc_exists(opt->server_pid, "server-pid") ||
        !proc_exists(opt->redis_pid, "redis-pid"))
        return false;
    bench->server_pid = opt->server_pid;
    bench->redis_pid = opt->redis_pid;
    if (opt->timeout_ms > 0)
        bench->timeout_ms = opt->timeout_ms;
    return true;
}

int bench_end(const struct report *report, bool json)
{
    report_print(report, json);
    return report->failed ? BENCH_FAILED : BENCH_GOOD;
}

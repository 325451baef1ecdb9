#include "proc.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "args.h"

static bool read_file(const char *path, char *out, size_t size)
{
    FILE *in = fopen(path, "re");
    size_t n;

    if (in == NULL)
        return false;
    n = fread(out, 1, size - 1, in);
    out[n] = '\0';
    fclose(in);
    return n > 0;
}

/* utime and stime are the 14th and 15th field; the 2nd, in brackets, may hold spaces. */
static uint64_t stat_cpu_ns(uint64_t pid)
{
    char path[64], text[1024];
    char *at;

    snprintf(path, sizeof(path), "/proc/%llu/stat", (unsigned long long)pid);
    if (!read_file(path, text, sizeof(text)))
        return 0;
    at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < 14; field++)
        at = strchr(at + 1, ' ');
    if (at == NULL)
        return 0;
    return (strtoull(at, &at, 10) + strtoull(at, NULL, 10)) *
           (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t proc_cpu_ns(uint64_t pid)
{
    char path[320], text[128];
    const struct dirent *entry;
    uint64_t sum = 0;
    DIR *tasks;

    if (pid == 0)
        return 0;
    snprintf(path, sizeof(path), "/proc/%llu/task", (unsigned long long)pid);
    tasks = opendir(path);
    if (tasks == NULL)
        return 0;
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%llu/task/%s/schedstat", (unsigned long long)pid,
                 entry->d_name);
        if (read_file(path, text, sizeof(text)))
            sum += strtoull(text, NULL, 10);
    }
    closedir(tasks);
    return sum > 0 ? sum : stat_cpu_ns(pid);
}

uint64_t proc_own_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t proc_rss_kib(uint64_t pid)
{
    char path[64], text[8192];
    const char *at;

    snprintf(path, sizeof(path), "/proc/%llu/status", (unsigned long long)pid);
    if (!read_file(path, text, sizeof(text)))
        return 0;
    at = strstr(text, "VmRSS:");
    return at != NULL ? strtoull(at + 6, NULL, 10) : 0;
}

bool proc_exists(uint64_t pid, const char *option)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
    if (pid == 0 || access(path, F_OK) == 0)
        return true;
    args_complain("--%s: there is no process %llu", option, (unsigned long long)pid);
    return false;
}

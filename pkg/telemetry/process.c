#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "metrics_priv.h"

/* Reads a small file of /proc as text. false: *text is "". */
static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;

    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

uint64_t weft_process_resident_bytes(void)
{
    unsigned long long total, resident;
    long page = sysconf(_SC_PAGESIZE);
    char text[256];

    if (page <= 0 || !read_text("/proc/self/statm", text, sizeof(text)) ||
        sscanf(text, "%llu %llu", &total, &resident) != 2)
        return 0;
    return resident * (uint64_t)page;
}

/* Since Linux 6.2 the folder's size is the number of descriptors; before, they are counted. */
static uint64_t open_fds(void)
{
    struct stat st;
    uint64_t count = 0;
    DIR *dir;

    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    while (readdir(dir))
        count++;
    closedir(dir);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself */
}

static double seconds(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

void weft_process_read(struct weft_process *ret_process)
{
    struct rusage usage;
    struct rlimit limit;

    memset(ret_process, 0, sizeof(*ret_process));
    ret_process->resident_bytes = weft_process_resident_bytes();
    ret_process->open_fds = open_fds();
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        ret_process->max_fds = limit.rlim_cur;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        ret_process->cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* Field 22 of /proc/self/stat, in clock ticks since boot; field 2 may hold anything up to ')'. */
double weft_process_start_seconds(void)
{
    struct timespec wall, boot;
    unsigned long long ticks;
    long hertz = sysconf(_SC_CLK_TCK);
    const char *at;
    char text[1024];

    if (hertz <= 0 || !read_text("/proc/self/stat", text, sizeof(text)))
        return 0;
    at = strrchr(text, ')');
    for (int field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, "%llu", &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)(wall.tv_sec - boot.tv_sec) + (double)(wall.tv_nsec - boot.tv_nsec) / 1e9 +
           (double)ticks / (double)hertz;
}

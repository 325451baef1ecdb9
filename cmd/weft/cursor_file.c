#include "cursor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "args.h"

bool cursor_valid(const char *cursor)
{
    size_t len = strlen(cursor);

    return len > 0 && len < CURSOR_MAX && cursor[0] >= '0' && cursor[0] <= '9' &&
           strspn(cursor, "0123456789-:,") == len;
}

bool cursor_file_read(const char *path, char *ret_cursor)
{
    FILE *in = fopen(path, "re");
    size_t len;

    ret_cursor[0] = '\0';
    if (in == NULL) {
        if (errno == ENOENT)
            return true;
        args_complain("%s: %s", path, strerror(errno));
        return false;
    }
    len = fread(ret_cursor, 1, CURSOR_MAX - 1, in);
    fclose(in);
    while (len > 0 && (ret_cursor[len - 1] == '\n' || ret_cursor[len - 1] == '\r'))
        len--;
    ret_cursor[len] = '\0';
    if (len > 0 && !cursor_valid(ret_cursor)) {
        args_complain("%s: does not hold an event id", path);
        return false;
    }
    return true;
}

bool cursor_file_write(const char *path, const char *cursor)
{
    char temp[4096];
    char line[CURSOR_MAX + 1];
    int len = snprintf(line, sizeof(line), "%s\n", cursor);
    int n = snprintf(temp, sizeof(temp), "%s.%ld.tmp", path, (long)getpid());
    int fd;

    if (n < 0 || (size_t)n >= sizeof(temp)) {
        args_complain("--cursor-file: the path is too long");
        return false;
    }
    fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line, (size_t)len) != len) {
        args_complain("%s: %s", temp, strerror(errno));
        if (fd >= 0) {
            close(fd);
            unlink(temp);
        }
        return false;
    }
    close(fd);
    if (rename(temp, path) != 0) {
        args_complain("%s: %s", path, strerror(errno));
        unlink(temp);
        return false;
    }
    return true;
}

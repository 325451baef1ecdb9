/*
 * servers - the base addresses of the nodes, and which of them is the present one.
 *
 * From --url (several times, or parted by commas), else from WEFT_URL, else
 * http://127.0.0.1:8080. It opens nothing.
 */
#ifndef WEFT_CMD_SERVERS_H
#define WEFT_CMD_SERVERS_H

#include <stdbool.h>
#include <stddef.h>

#include "args.h"

#define SERVERS_MAX     16
#define SERVERS_URL_MAX 512

struct servers {
    char urls[SERVERS_MAX][SERVERS_URL_MAX]; /* without a slash at the end */
    size_t n;
    size_t current;
};

/* clang-format off */
#define ARG_IS_URL(ret) \
    ARG_IS_LIST("url", "URL[,URL]", (ret), \
                "a node's address; several are tried in turn\n" \
                "(default: $WEFT_URL, else http://127.0.0.1:8080)")
/* clang-format on */

/* False: an address is wrong, said on stderr. */
bool servers_init(struct servers *servers, const struct args_list *given);
const char *servers_current(const struct servers *servers);
/* The next one, after this one failed. */
void servers_rotate(struct servers *servers);

#endif

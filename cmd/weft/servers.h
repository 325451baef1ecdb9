/*
 * servers - the base addresses of the nodes, and which of them is the present one.
 *
 * From --url (several times, or parted by commas), else from WEFT_URL, else
 * http://127.0.0.1:8080; what the certificates of those with https:// have to come from: --ca, else
 * WEFT_CA, else what the system believes; and the token that is shown: that in the file of
 * --token-file, else WEFT_TOKEN. There is no flag for the token itself, which others would see in
 * the list of processes. It opens nothing but that file, anew for each transfer: it may be replaced.
 */
#ifndef WEFT_CMD_SERVERS_H
#define WEFT_CMD_SERVERS_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "args.h"

#define SERVERS_MAX     16
#define SERVERS_URL_MAX 512

/* As they are given. */
struct servers_given {
    struct args_list urls;
    const char *ca;         /* NULL: none */
    const char *token_file; /* NULL: none */
};

struct servers {
    char urls[SERVERS_MAX][SERVERS_URL_MAX]; /* without a slash at the end */
    size_t n;
    size_t current;
    const char *ca;         /* a file; NULL: what the system believes */
    const char *token_file; /* NULL: none */
    const char *token;      /* without a file; NULL: none */
};

/* clang-format off */
#define ARGS_ARE_SERVERS(given) \
    ARG_IS_LIST("url", "URL[,URL]", &(given)->urls, \
                "a node's address; several are tried in turn\n" \
                "(default: $WEFT_URL, else http://127.0.0.1:8080)"), \
    ARG_IS_STRING("ca", "FILE", &(given)->ca, \
                  "certificates (PEM) that those of https:// have to come from\n" \
                  "(default: $WEFT_CA, else those that the system believes)"), \
    ARG_IS_STRING("token-file", "FILE", &(given)->token_file, \
                  "the token to show (default: the one in $WEFT_TOKEN)")
/* clang-format on */

/* False: an address is wrong, or the file cannot be read, said on stderr. */
bool servers_init(struct servers *servers, const struct servers_given *given);
/* For a transfer of libcurl: certificates and token. False: there is no token in the file, said on stderr. */
bool servers_prepare(const struct servers *servers, CURL *curl);
const char *servers_current(const struct servers *servers);
/* The next one, after this one failed. */
void servers_rotate(struct servers *servers);

#endif

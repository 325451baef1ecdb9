/*
 * api - commands that ask the API of a node and print its JSON: what they have in common.
 *
 * One object a command, between api_open and api_close.
 */
#ifndef WEFT_CMD_API_H
#define WEFT_CMD_API_H

#include <jansson.h>

#include "args.h"
#include "http.h"
#include "servers.h"

#define API_JSON "application/json"

struct api {
    struct args_list words;
    struct servers_given given; /* for ARGS_ARE_SERVERS */
    bool json;                  /* for an ARG_IS_FLAG: print answers as they are */
    struct servers servers;
    struct http *http;
};

/*
 * Parses the words (at most `most`) into the table's places and api->words. false: *ret_code is the
 * exit code; help was shown, or what is wrong said on stderr, and there is nothing to close.
 */
bool api_open(struct api *api, const struct arg *table, void (*help)(const struct arg *table),
              size_t most, int argc, char **argv, int *ret_code);

/* Writes what was printed. The exit code, given that of the command. */
int api_close(struct api *api, int code);

/* An enum exit_code. *ret_root is yours: the answer, an object; NULL if it failed or has no body. */
int api_ask(struct api *api, const struct http_request *rq, json_t **ret_root);

/*
 * Prints each object in the array `member` of the answer, then of the pages behind it: as JSON, or
 * by print. target: path and query.
 */
int api_list(struct api *api, const char *target, const char *member,
             void (*print)(const json_t *one));

/*
 * Asks for <path><name, encoded><what> and prints the answer, as JSON or a member a line. rq without
 * target.
 */
int api_about(struct api *api, const char *path, const char *name, const char *what,
              struct http_request rq);

/* One line of JSON. */
void api_print(const json_t *value);

/* A member of an object; "-" or 0 if it is not there. */
const char *api_text(const json_t *object, const char *key);
long long api_number(const json_t *object, const char *key);

#endif

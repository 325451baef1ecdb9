/* weft token read - what a token says, and whether it is to be believed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include <weft/auth/token.h>
#include <weft/base/clock.h>

#include "exits.h"
#include "output.h"
#include "token.h"

#define INPUT_MAX  (64 * 1024)
#define DATE_MAX_S 253402300800.0 /* the year 10000 */

/* "2027-01-15T08:00:00Z, in 3600 s" */
static json_t *date_of(double at_s, double now_s)
{
    time_t at = (time_t)floor(at_s);
    char date[32];
    struct tm tm;

    if (gmtime_r(&at, &tm) == NULL || strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return NULL;
    return at_s > now_s ? json_sprintf("%s, in %.0f s", date, at_s - now_s)
                        : json_sprintf("%s, %.0f s ago", date, now_s - at_s);
}

static json_t *times_of(const json_t *claims, int64_t now_ms)
{
    static const char *const names[] = {"iat", "nbf", "exp"};
    json_t *times = json_object();

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const json_t *value = json_object_get(claims, names[i]);
        double at_s = json_number_value(value);

        if (json_is_number(value) && at_s >= 0 && at_s < DATE_MAX_S)
            (void)json_object_set_new(times, names[i], date_of(at_s, (double)now_ms / 1000));
    }
    return times;
}

static void fill(struct weft_str *out, const struct args_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        out[i] = weft_str(list->items[i], strlen(list->items[i]));
}

/* Adds whether the keys verify it. An enum exit_code. */
static int verify(json_t *said, const struct token *t, struct weft_str token, int64_t now_ms)
{
    struct weft_str audiences[ARGS_LIST_MAX], issuers[ARGS_LIST_MAX];
    struct weft_token_policy policy = {.audiences = audiences,
                                       .n_audiences = t->audiences.n,
                                       .issuers = issuers,
                                       .n_issuers = t->issuers.n,
                                       .now_ms = now_ms};
    struct weft_grant *grant = NULL;
    struct weft_keyring *keys;
    struct weft_err err;
    int rc;

    if (weft_keyring_load(&keys, t->jwks, &err) != 0) {
        args_complain("%s", err.message);
        return EXIT_REFUSED;
    }
    fill(audiences, &t->audiences);
    fill(issuers, &t->issuers);
    rc = weft_token_check(keys, token, &policy, &grant, &err);
    (void)json_object_set_new(said, "verifies", json_boolean(rc == 0));
    if (rc != 0)
        (void)json_object_set_new(said, "why", json_string(err.message));
    weft_grant_unref(grant);
    weft_keyring_unref(keys);
    return rc == 0 ? EXIT_DONE : EXIT_REFUSED;
}

/* A line of output for each of its own. */
static void print(const json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2));
    struct weft_str rest = weft_str(text, text == NULL ? 0 : strlen(text));

    while (rest.len > 0)
        output_line(weft_str_before(&rest, '\n'), WEFT_STR(""));
    free(text);
}

static int show(const struct token *t, struct weft_str token)
{
    int64_t now_ms = weft_clock_wall_ms();
    struct weft_buf header, claims;
    json_t *said = json_object();
    struct weft_err err;
    int code = EXIT_DONE;

    weft_buf_init(&header, INPUT_MAX);
    weft_buf_init(&claims, INPUT_MAX);
    if (weft_token_read(token, &header, &claims, &err) != 0) {
        args_complain("%s", err.message);
        code = EXIT_REFUSED;
    } else {
        json_t *claimed = json_loadb(claims.data, claims.len, 0, NULL);

        (void)json_object_set_new(said, "header", json_loadb(header.data, header.len, 0, NULL));
        (void)json_object_set_new(said, "times", times_of(claimed, now_ms));
        (void)json_object_set_new(said, "claims", claimed);
        if (t->jwks != NULL)
            code = verify(said, t, token, now_ms);
        print(said);
    }
    json_decref(said);
    weft_buf_fini(&header);
    weft_buf_fini(&claims);
    return code;
}

/* Without the line break that a shell or an editor puts behind it. */
static struct weft_str trimmed(struct weft_str s)
{
    while (s.len > 0 && strchr(" \t\r\n", s.p[s.len - 1]) != NULL)
        s.len--;
    while (s.len > 0 && strchr(" \t\r\n", s.p[0]) != NULL)
        s = weft_str(s.p + 1, s.len - 1);
    return s;
}

int token_read(const struct token *t)
{
    const char *word = t->words.n > 1 ? t->words.items[1] : "-";
    struct weft_buf input;
    int code = EXIT_REFUSED;

    if (strcmp(word, "-") != 0)
        return show(t, weft_str(word, strlen(word)));
    weft_buf_init(&input, INPUT_MAX);
    if (token_read_file(&input, word))
        code = show(t, trimmed(weft_str(input.data, input.len)));
    weft_buf_fini(&input);
    return code;
}

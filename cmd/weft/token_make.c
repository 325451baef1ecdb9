/* weft token make - claims from options, signed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <jansson.h>

#include <weft/auth/grant.h>
#include <weft/auth/sign.h>
#include <weft/auth/token.h>
#include <weft/base/clock.h>

#include "exits.h"
#include "output.h"
#include "token.h"

#define KEYS_MAX    (1024 * 1024)
#define EXPIRES_MAX UINT64_C(3153600000) /* 100 years, in seconds */

static struct weft_str str(const char *s)
{
    return s == NULL ? WEFT_STR("") : weft_str(s, strlen(s));
}

/* "90", "90s", "15m", "1h", "7d"; *ret_s is 0 for "never". */
static bool parse_expires(const char *text, uint64_t *ret_s)
{
    static const struct {
        char unit;
        uint64_t s;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct weft_str digits = str(text);
    uint64_t factor = 1;
    uint64_t n;

    *ret_s = 0;
    if (strcmp(text, "never") == 0)
        return true;
    for (size_t i = 0; digits.len > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (text[digits.len - 1] == units[i].unit) {
            factor = units[i].s;
            digits.len--;
            break;
        }
    }
    if (!weft_str_u64(digits, &n) || n == 0 || n > EXPIRES_MAX / factor)
        return false;
    *ret_s = n * factor;
    return true;
}

static bool are_globs(const char *option, const struct args_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        if (!weft_grant_glob_valid(str(list->items[i]))) {
            args_complain("--%s: 1 to 200 of A-Z a-z 0-9 . _ : - and * are needed, not '%s'",
                          option, list->items[i]);
            return false;
        }
    }
    return true;
}

static bool is_name(const char *option, const char *text)
{
    struct weft_str s = str(text);

    if (s.len > 0 && s.len <= WEFT_GRANT_NAME_MAX && weft_str_printable(s))
        return true;
    args_complain("--%s: 1 to %d printable bytes are needed", option, WEFT_GRANT_NAME_MAX);
    return false;
}

static bool are_good(const struct token *t)
{
    if (t->key == NULL || t->subject == NULL) {
        args_complain("--%s is needed (see weft token --help)", t->key == NULL ? "key" : "subject");
        return false;
    }
    if (t->issuers.n > 1) {
        args_complain("--issuer: a token has one");
        return false;
    }
    return is_name("subject", t->subject) && (t->jti == NULL || is_name("jti", t->jti)) &&
           are_globs("publish", &t->publish) && are_globs("subscribe", &t->subscribe);
}

static json_t *strings(const struct args_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->n; i++)
        (void)json_array_append_new(array, json_string(list->items[i]));
    return array;
}

static json_t *new_jti(void)
{
    unsigned char bytes[16];
    char text[2 * sizeof(bytes) + 1];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return NULL;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

static json_t *claims_of(const struct token *t, uint64_t expires_s)
{
    json_int_t now_s = (json_int_t)(weft_clock_wall_ms() / 1000);
    json_t *claims = json_object();
    json_t *weft = json_object();

    (void)json_object_set_new(claims, "sub", json_string(t->subject));
    (void)json_object_set_new(claims, "jti", t->jti != NULL ? json_string(t->jti) : new_jti());
    (void)json_object_set_new(claims, "iat", json_integer(now_s));
    if (expires_s > 0)
        (void)json_object_set_new(claims, "exp", json_integer(now_s + (json_int_t)expires_s));
    if (t->issuers.n > 0)
        (void)json_object_set_new(claims, "iss", json_string(t->issuers.items[0]));
    if (t->audiences.n == 1)
        (void)json_object_set_new(claims, "aud", json_string(t->audiences.items[0]));
    else if (t->audiences.n > 1)
        (void)json_object_set_new(claims, "aud", strings(&t->audiences));
    (void)json_object_set_new(weft, "publish", strings(&t->publish));
    (void)json_object_set_new(weft, "subscribe", strings(&t->subscribe));
    if (t->roles.n > 0)
        (void)json_object_set_new(weft, "roles", strings(&t->roles));
    (void)json_object_set_new(claims, "weft", weft);
    return claims;
}

static int sign(const struct token *t, const struct weft_buf *keys, const json_t *claims)
{
    char *text = json_dumps(claims, JSON_COMPACT);
    struct weft_buf token;
    struct weft_err err;
    int code = EXIT_DONE;

    if (text == NULL) {
        args_complain("the claims are no JSON: is everything UTF-8?");
        return EXIT_USAGE;
    }
    weft_buf_init(&token, KEYS_MAX);
    if (weft_token_sign(&token, weft_str(keys->data, keys->len), str(t->kid), str(t->alg),
                        str(text), &err) != 0) {
        code = token_refuse(t->key, &err);
    } else if (token.len > WEFT_TOKEN_BYTES_MAX) {
        args_complain("the token would have %zu bytes, and nodes take %d", token.len,
                      WEFT_TOKEN_BYTES_MAX);
        code = EXIT_REFUSED;
    } else {
        output_line(weft_str(token.data, token.len), WEFT_STR(""));
    }
    weft_buf_fini(&token);
    free(text);
    return code;
}

int token_make(const struct token *t)
{
    struct weft_buf keys;
    uint64_t expires_s;
    json_t *claims;
    int code = EXIT_REFUSED;

    if (!are_good(t))
        return EXIT_USAGE;
    if (!parse_expires(t->expires, &expires_s)) {
        args_complain("--expires: a time as 30s, 15m, 1h, 7d, or never is needed, not '%s'",
                      t->expires);
        return EXIT_USAGE;
    }
    weft_buf_init(&keys, KEYS_MAX);
    if (token_read_file(&keys, t->key)) {
        claims = claims_of(t, expires_s);
        code = sign(t, &keys, claims);
        json_decref(claims);
    }
    weft_buf_fini(&keys);
    return code;
}

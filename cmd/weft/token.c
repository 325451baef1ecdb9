/* weft token - make keys, show their public halves; the rest is in token_make.c and token_read.c. */
#include "token.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/auth/sign.h>

#include "commands.h"
#include "exits.h"
#include "output.h"

#define KEYS_MAX (1024 * 1024)

static struct weft_str str(const char *s)
{
    return s == NULL ? WEFT_STR("") : weft_str(s, strlen(s));
}

static void print_help(const struct arg *table)
{
    puts(
        "usage: weft token key --alg ALG [--kid KID]\n"
        "       weft token public --key FILE\n"
        "       weft token make --key FILE --subject WHO [options]\n"
        "       weft token read [TOKEN] [--jwks FILE]\n"
        "\n"
        "key prints a new private key as a JWK set; public what nodes need of it;\n"
        "make signs a token; read shows what one says (- or nothing: from stdin), which proves nothing\n"
        "without --jwks. No node is asked.\n");
    args_print(table);
    printf("\nalgorithms: %s\n", weft_sign_algorithms());
    puts("exit codes: 0 done, 1 wrong keys, or the token does not verify, 2 wrong usage");
}

int token_refuse(const char *about, const struct weft_err *err)
{
    args_complain("%s: %s%s%s", about, err->field, err->field[0] != '\0' ? ": " : "", err->message);
    return EXIT_REFUSED;
}

bool token_read_file(struct weft_buf *out, const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(path, "re");
    int failed = errno;
    char piece[4096];
    size_t n;

    if (in != NULL) {
        while (!out->toobig && (n = fread(piece, 1, sizeof(piece), in)) > 0)
            weft_buf_append(out, piece, n);
        failed = ferror(in) ? errno : 0;
        if (!is_stdin)
            fclose(in);
    }
    if (in == NULL || failed != 0) {
        args_complain("%s: %s", is_stdin ? "stdin" : path, strerror(failed));
        return false;
    }
    if (out->toobig) {
        args_complain("%s: more than %zu bytes", is_stdin ? "stdin" : path, out->max);
        return false;
    }
    return true;
}

static int make_key(const struct token *t)
{
    struct weft_err err;
    struct weft_buf set;
    int code = EXIT_DONE;

    if (t->alg == NULL) {
        args_complain("--alg is needed: %s", weft_sign_algorithms());
        return EXIT_USAGE;
    }
    weft_buf_init(&set, KEYS_MAX);
    if (weft_sign_make_key(&set, str(t->alg), str(t->kid), &err) != 0)
        code = token_refuse("key", &err);
    else
        output_line(weft_str(set.data, set.len), WEFT_STR(""));
    weft_buf_fini(&set);
    return code;
}

static int show_public(const struct token *t)
{
    struct weft_buf keys, set;
    struct weft_err err;
    size_t secret = 0;
    int code = EXIT_REFUSED;

    if (t->key == NULL) {
        args_complain("--key is needed: a file with a JWK set");
        return EXIT_USAGE;
    }
    weft_buf_init(&keys, KEYS_MAX);
    weft_buf_init(&set, KEYS_MAX);
    if (token_read_file(&keys, t->key)) {
        if (weft_sign_public(&set, weft_str(keys.data, keys.len), &secret, &err) != 0) {
            code = token_refuse(t->key, &err);
        } else {
            output_line(weft_str(set.data, set.len), WEFT_STR(""));
            code = EXIT_DONE;
        }
    }
    if (secret > 0)
        args_complain("%zu symmetric key%s in it: whoever reads it can sign tokens", secret,
                      secret > 1 ? "s are" : " is");
    weft_buf_fini(&set);
    weft_buf_fini(&keys);
    return code;
}

static int run(const struct token *t)
{
    const char *what = t->words.items[0];

    if (strcmp(what, "key") == 0 && t->words.n == 1)
        return make_key(t);
    if (strcmp(what, "public") == 0 && t->words.n == 1)
        return show_public(t);
    if (strcmp(what, "make") == 0 && t->words.n == 1)
        return token_make(t);
    if (strcmp(what, "read") == 0)
        return token_read(t);
    args_complain("see weft token --help");
    return EXIT_USAGE;
}

int token_run(int argc, char **argv)
{
    struct token t = {.expires = "1h"};
    int code;
    const struct arg table[] = {
        ARG_IS_STRING("alg", "ALG", &t.alg, "key, make: the algorithm (make: that of the key)"),
        ARG_IS_STRING("kid", "KID", &t.kid,
                      "key: its name (the thumbprint); make: which key of the set"),
        ARG_IS_STRING("key", "FILE", &t.key, "public, make: the private JWK set (- for stdin)"),
        ARG_IS_STRING("subject", "WHO", &t.subject, "make: who it is for"),
        ARG_IS_LIST("publish", "GLOB", &t.publish,
                    "make: topics to publish to; * is any run of characters; may repeat"),
        ARG_IS_LIST("subscribe", "GLOB", &t.subscribe, "make: topics to subscribe to; may repeat"),
        ARG_IS_LIST("role", "ROLE", &t.roles, "make: operator; may repeat"),
        ARG_IS_LIST("audience", "AUD", &t.audiences,
                    "make: aud; read: one of them must be there; may repeat"),
        ARG_IS_LIST("issuer", "ISS", &t.issuers, "make: iss; read: it must be one of these"),
        ARG_IS_STRING("jti", "JTI", &t.jti, "make: what it is revoked by (16 random bytes)"),
        ARG_IS_STRING("expires", "TIME", &t.expires,
                      "make: how long it is good, as 30s, 15m, 1h, 7d, or never (1h)"),
        ARG_IS_STRING("jwks", "FILE", &t.jwks,
                      "read: whether one of these keys verifies it, and why not"),
        ARG_END,
    };

    switch (args_parse(table, argc, argv, 1, 2, &t.words)) {
    case ARGS_HELP:
        print_help(table);
        return EXIT_DONE;
    case ARGS_BAD:
        return EXIT_USAGE;
    case ARGS_OK:
        break;
    }
    code = run(&t);
    output_flush();
    return code != EXIT_DONE ? code : output_exit();
}

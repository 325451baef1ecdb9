#include "alg_priv.h"

#include <string.h>

#include <weft/base/assert.h>

/* X(name, kind, hash in bytes, curve) */
#define ALGS(X)               \
    X(HS256, OCT, 32, NULL)   \
    X(HS384, OCT, 48, NULL)   \
    X(HS512, OCT, 64, NULL)   \
    X(RS256, RSA, 32, NULL)   \
    X(RS384, RSA, 48, NULL)   \
    X(RS512, RSA, 64, NULL)   \
    X(PS256, RSA, 32, NULL)   \
    X(PS384, RSA, 48, NULL)   \
    X(PS512, RSA, 64, NULL)   \
    X(ES256, EC, 32, "P-256") \
    X(ES384, EC, 48, "P-384") \
    X(ES512, EC, 64, "P-521")

enum {
#define X(name, kind, hash, curve) INDEX_##name,
    ALGS(X)
#undef X
};

static const struct weft_alg algs[] = {
#define X(name, kind, hash, curve) {#name, WEFT_KEY_##kind, hash, curve, 1U << INDEX_##name},
    ALGS(X)
#undef X
};

const char weft_alg_names[] = "HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 "
                              "ES256 ES384 ES512";

const struct weft_alg *weft_alg_find(struct weft_str name)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(algs); i++) {
        if (weft_str_eq(name, weft_str(algs[i].name, strlen(algs[i].name)))) {
            return &algs[i];
        }
    }
    return NULL;
}

const struct weft_alg *weft_alg_first(unsigned set)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(algs); i++) {
        if ((set & algs[i].bit) != 0) {
            return &algs[i];
        }
    }
    return NULL;
}

unsigned weft_alg_of_oct(size_t key_bytes)
{
    unsigned set = 0;

    for (size_t i = 0; i < WEFT_COUNT_OF(algs); i++) {
        if (algs[i].kind == WEFT_KEY_OCT && algs[i].hash_bytes <= key_bytes) {
            set |= algs[i].bit;
        }
    }
    return set;
}

unsigned weft_alg_of_rsa(void)
{
    unsigned set = 0;

    for (size_t i = 0; i < WEFT_COUNT_OF(algs); i++) {
        if (algs[i].kind == WEFT_KEY_RSA) {
            set |= algs[i].bit;
        }
    }
    return set;
}

unsigned weft_alg_of_ec(const char *curve)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(algs); i++) {
        if (algs[i].kind == WEFT_KEY_EC && strcmp(algs[i].curve, curve) == 0) {
            return algs[i].bit;
        }
    }
    return 0;
}

static void say_nothing(void *misc, const char *file, int line, uint64_t error, const char *fmt,
                        va_list ap)
{
    (void)misc;
    (void)file;
    (void)line;
    (void)error;
    (void)fmt;
    (void)ap;
}

/* One for each use: its count of references is not atomic. */
jose_cfg_t *weft_alg_quiet(void)
{
    jose_cfg_t *cfg = jose_cfg();

    WEFT_ASSERT(cfg != NULL);
    jose_cfg_set_err_func(cfg, say_nothing, NULL);
    return cfg;
}

/* redis.url: what is taken lies within its bounds, and no refusal repeats the password. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/redis/url.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_taken(const struct weft_redis_url *url)
{
    bool local = url->path[0] == '/';
    bool named = url->host.name[0] != '\0';

    WEFT_ASSERT(local + named + (url->n_sentinels > 0) == 1);
    WEFT_ASSERT(url->n_sentinels <= WEFT_REDIS_SENTINELS_MAX);
    WEFT_ASSERT((url->n_sentinels > 0) == (url->master[0] != '\0'));
    WEFT_ASSERT(!named || url->host.port != 0);
    WEFT_ASSERT(url->db <= 65535 && url->label[0] != '\0' && !(local && url->tls));
    for (size_t i = 0; i < url->n_sentinels; i++) {
        struct weft_redis_url one;

        weft_redis_url_of_sentinel(&one, url, i);
        WEFT_ASSERT(one.host.name[0] != '\0' && one.host.port != 0 && one.tls == url->tls);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct weft_redis_url url;
    struct weft_err err = {.message = ""};

    WEFT_ASSERT(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (weft_redis_url_parse(&url, text, &err) == 0)
        check_taken(&url);
    else
        WEFT_ASSERT(err.message[0] != '\0' && strcmp(err.field, "redis.url") == 0);
    free(text);
    return 0;
}

/* Bytes of a Sentinel, through the reader of replies, to what is made of them. */
#include <stdint.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include <weft/base/assert.h>

#include <reply_priv.h>
#include <sentinel_priv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_arena arena = {NULL, NULL, false};
    redisReader *reader = weft_reply_reader(&arena);
    struct weft_sentinel_view view = {.n = 3};
    uint64_t epoch = 0;
    uint64_t heard = 0;
    void *reply = NULL;

    WEFT_ASSERT(reader != NULL);
    (void)redisReaderFeed(reader, (const char *)data, size);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
        struct weft_redis_host host;

        (void)weft_sentinel_read_epoch(reply, &epoch);
        (void)weft_sentinel_read_switch(weft_reply_str(reply), "m");
        if (weft_sentinel_read_address(reply, &host)) {
            uint64_t before = view.epoch;
            bool moved = weft_sentinel_view_hear(&view, heard % 3, &host, epoch, heard);

            WEFT_ASSERT(host.name[0] != '\0' && host.port != 0 && strchr(host.name, '\n') == NULL);
            WEFT_ASSERT(!moved || strcmp(view.host.name, host.name) == 0);
            WEFT_ASSERT(view.known && view.epoch >= before); /* no time passes */
            heard++;
        }
        weft_arena_reset(&arena);
    }
    redisReaderFree(reader);
    weft_arena_fini(&arena);
    return 0;
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>
#include <weft/wire/frame.h>

static struct weft_str from(const char *s)
{
    return weft_str(s, strlen(s));
}

static void assert_str(struct weft_str got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.p, want, got.len);
}

static void one_event_byte_for_byte(void **state)
{
    static const char want[] = "00007b\r\n"
                               "event: task.progress\n"
                               "id: 1795314948063-41\n"
                               "data: {\"id\":\"1795314948063-41\",\"topic\":\"repo:42\","
                               "\"type\":\"task.progress\",\"ts\":1}\n"
                               "\n"
                               "\r\n";
    static const char bare[] = "id: 1795314948063-41\n"
                               "data: {\"id\":\"1795314948063-41\",\"topic\":\"repo:42\","
                               "\"type\":\"task.progress\",\"ts\":1}\n"
                               "\n";
    struct weft_batch_builder bb;
    struct weft_batch *batch;
    const struct weft_frame *f;

    weft_batch_builder_init(&bb);
    weft_batch_add(&bb, (struct weft_id){1795314948063, 41}, 40, from("repo:42"),
                   from("task.progress"), from("{\"type\":\"task.progress\",\"ts\":1}"));
    batch = weft_batch_seal(&bb, 123);
    weft_batch_builder_fini(&bb);

    assert_int_equal(batch->n, 1);
    assert_int_equal(batch->born_ns, 123);
    f = &batch->frames[0];
    assert_int_equal(f->id.ms, 1795314948063);
    assert_int_equal(f->id.seq, 41);
    assert_int_equal(f->prev, 40);
    assert_str(weft_str(batch->bytes + f->off, f->len), want);
    assert_str(weft_frame_type(batch, f), "task.progress");
    assert_str(weft_frame_topic(batch, f), "repo:42");
    assert_str(weft_frame_json(batch, f),
               "{\"id\":\"1795314948063-41\",\"topic\":\"repo:42\",\"type\":\"task.progress\","
               "\"ts\":1}");

    /* Without the event line: from the id to the end of the chunk's data. */
    assert_str(weft_str(batch->bytes + f->id_off, f->off + f->len - WEFT_CHUNK_TAIL - f->id_off),
               bare);
    assert_int_equal(batch->size, sizeof(*batch) + sizeof(*f) + f->len);
    weft_batch_unref(batch);
}

static void an_empty_envelope(void **state)
{
    struct weft_batch_builder bb;
    struct weft_batch *batch;

    weft_batch_builder_init(&bb);
    weft_batch_add(&bb, (struct weft_id){0, 0}, 0, from("a"), from("b"), from("{}"));
    batch = weft_batch_seal(&bb, 0);
    assert_str(weft_frame_json(batch, &batch->frames[0]), "{\"id\":\"0-0\",\"topic\":\"a\"}");
    weft_batch_unref(batch);
    weft_batch_builder_fini(&bb);
}

/* Every chunk header says how long its chunk is, the frames follow each other without a hole. */
static void many_events(void **state)
{
    enum { N = 1000 };
    struct weft_batch_builder bb;
    char *padding = malloc(70000);

    memset(padding, 'x', 70000);
    weft_batch_builder_init(&bb);
    for (int round = 0; round < 3; round++) {
        struct weft_batch *batch;
        uint32_t at = 0;

        assert_null(weft_batch_seal(&bb, 0));
        for (unsigned i = 0; i < N; i++) {
            char envelope[300];
            int len = snprintf(envelope, sizeof(envelope), "{\"n\":%u,\"p\":\"%.*s\"}", i,
                               (int)(i % 200), padding);

            weft_batch_add(&bb, (struct weft_id){UINT64_MAX, i}, i, from("topic"), from("type"),
                           weft_str(envelope, (size_t)len));
        }
        batch = weft_batch_seal(&bb, 0);
        assert_int_equal(batch->n, N);
        for (unsigned i = 0; i < N; i++) {
            const struct weft_frame *f = &batch->frames[i];
            const char *chunk = batch->bytes + f->off;
            char want[32];

            assert_int_equal(f->off, at);
            assert_int_equal(strtoul(chunk, NULL, 16), f->len - WEFT_CHUNK_HEAD - WEFT_CHUNK_TAIL);
            assert_memory_equal(chunk + f->len - 4, "\n\n\r\n", 4);
            (void)snprintf(want, sizeof(want), "\"n\":%u,", i);
            assert_non_null(memmem(chunk, f->len, want, strlen(want)));
            assert_int_equal(f->prev, i);
            at += f->len;
        }
        weft_batch_unref(batch);
    }
    weft_batch_builder_fini(&bb);
    free(padding);
}

static void a_large_event(void **state)
{
    struct weft_batch_builder bb;
    struct weft_batch *batch;
    size_t size = 1 << 20;
    char *envelope = malloc(size);

    memset(envelope, 'x', size);
    memcpy(envelope, "{\"a\":\"", 6);
    memcpy(envelope + size - 2, "\"}", 2);
    weft_batch_builder_init(&bb);
    weft_batch_add(&bb, (struct weft_id){1, 2}, 1, from("t"), from("u"), weft_str(envelope, size));
    batch = weft_batch_seal(&bb, 0);
    assert_int_equal(strtoul(batch->bytes, NULL, 16), batch->frames[0].len - 10);
    weft_batch_unref(batch);
    weft_batch_builder_fini(&bb);
    free(envelope);
}

/* The longest that is said to fit does, and its size is told right; one byte more is not taken. */
static void the_longest_event(void **state)
{
    const struct weft_id id = {UINT64_MAX, UINT64_MAX};
    struct weft_batch_builder bb;
    struct weft_batch *batch;
    size_t size = 0xffffff;
    char *envelope = malloc(size);

    memset(envelope, 'x', size);
    envelope[0] = '{';
    assert_false(weft_frame_fits(from("t"), from("u"), weft_str(envelope, size)));
    assert_false(weft_frame_fits(from("t"), from("u"), weft_str(envelope, SIZE_MAX)));
    while (!weft_frame_fits(from("t"), from("u"), weft_str(envelope, size)))
        size--;
    assert_true(size > (8 << 20));
    envelope[size - 1] = '}';
    weft_batch_builder_init(&bb);
    weft_batch_add(&bb, id, 1, from("t"), from("u"), weft_str(envelope, size));
    batch = weft_batch_seal(&bb, 0);
    assert_int_equal(strtoul(batch->bytes, NULL, 16), batch->frames[0].len - 10);
    assert_memory_equal(batch->bytes + 6, "\r\n", 2);
    weft_batch_unref(batch);
    weft_batch_builder_fini(&bb);
    free(envelope);
}

static void *drop(void *arg)
{
    weft_batch_unref(arg);
    return NULL;
}

/* The last owner frees, whoever that is; what is read before is whole. */
static void references(void **state)
{
    struct weft_batch_builder bb;
    struct weft_batch *batch;
    pthread_t threads[4];

    weft_batch_unref(NULL);
    weft_batch_builder_init(&bb);
    weft_batch_add(&bb, (struct weft_id){1, 2}, 1, from("t"), from("u"), from("{}"));
    batch = weft_batch_seal(&bb, 0);
    weft_batch_builder_fini(&bb);
    for (size_t i = 0; i < WEFT_COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, drop, weft_batch_ref(batch)), 0);
    weft_batch_unref(batch);
    for (size_t i = 0; i < WEFT_COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_event_byte_for_byte),
        cmocka_unit_test(an_empty_envelope),
        cmocka_unit_test(many_events),
        cmocka_unit_test(a_large_event),
        cmocka_unit_test(the_longest_event),
        cmocka_unit_test(references),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

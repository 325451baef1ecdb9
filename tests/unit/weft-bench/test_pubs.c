/* What publishers send: the time that an event carries. */
#include "pubs.c" /* first: cmocka has a macro of the name of one of its functions */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bench {
    struct server server;
    struct record record;
    struct pubs pubs;
    struct pub pub;
};

static void begin(struct bench *b, uint64_t rate)
{
    memset(b, 0, sizeof(*b));
    record_init(&b->record, 1000, 2, 3);
    b->pubs.record = &b->record;
    b->pubs.servers = &b->server;
    b->pubs.n_servers = 1;
    b->pubs.rate = rate;
    b->pubs.begin_ns = 5000000000;
    make_event(&b->pubs);
    b->pub.pubs = &b->pubs;
    b->pub.out = malloc(HEAD_MAX + (b->pubs.event_len + 1) * 2 + 2);
    b->pub.n = 2;
}

static void end(struct bench *b)
{
    free(b->pub.out);
    free(b->pubs.event);
    record_fini(&b->record);
}

/* Of the first event that the request carries. */
static uint64_t told_ns(const struct bench *b)
{
    const char *at = memmem(b->pub.out, b->pub.out_len, "\"t\":\"", 5);

    assert_non_null(at);
    return strtoull(at + 5, NULL, 10);
}

static void with_a_rate_the_time_at_which_it_was_due(void **state)
{
    struct bench b;

    begin(&b, 100);
    for (uint32_t n = 0; n < 1000; n += 14) {
        b.pub.first = n;
        make_request(&b.pub); /* whenever that is */
        assert_int_equal(b.pub.sent_ns, 5000000000 + (uint64_t)n * 10000000);
        assert_int_equal(told_ns(&b), b.pub.sent_ns);
        make_request(&b.pub); /* again, at another server */
        assert_int_equal(b.pub.sent_ns, 5000000000 + (uint64_t)n * 10000000);
    }
    end(&b);
}

static void at_full_speed_the_time_at_which_it_is_sent(void **state)
{
    struct bench b;
    uint64_t before = weft_clock_mono_ns();

    begin(&b, 0);
    make_request(&b.pub);
    assert_true(b.pub.sent_ns >= before && b.pub.sent_ns <= weft_clock_mono_ns());
    assert_int_equal(told_ns(&b), b.pub.sent_ns);
    end(&b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_a_rate_the_time_at_which_it_was_due),
        cmocka_unit_test(at_full_speed_the_time_at_which_it_is_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

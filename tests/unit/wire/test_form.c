/* Bodies that are one object of known members: what is taken, what is refused, and by which name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <weft/wire/form.h>

struct target {
    uint64_t count;
    double rate;
    bool on;
    struct weft_str text;
    unsigned mode;
    struct weft_json labels;
    struct weft_json list;
};

static const char *const modes[] = {"exact", "leased", NULL};

static const struct weft_member members[] = {
    {.name = "count",
     .kind = WEFT_MEMBER_U64,
     .offset = offsetof(struct target, count),
     .lo = 1,
     .hi = 100},
    {.name = "rate",
     .kind = WEFT_MEMBER_NUMBER,
     .offset = offsetof(struct target, rate),
     .lo = 0,
     .hi = 10},
    {.name = "on", .kind = WEFT_MEMBER_BOOL, .offset = offsetof(struct target, on)},
    {.name = "text",
     .kind = WEFT_MEMBER_TEXT,
     .offset = offsetof(struct target, text),
     .lo = 1,
     .hi = 5},
    {.name = "mode",
     .kind = WEFT_MEMBER_CHOICE,
     .offset = offsetof(struct target, mode),
     .choices = modes},
    {.name = "labels", .kind = WEFT_MEMBER_OBJECT, .offset = offsetof(struct target, labels)},
    {.name = "list", .kind = WEFT_MEMBER_ARRAY, .offset = offsetof(struct target, list)},
};

#define N (sizeof(members) / sizeof(members[0]))

static struct weft_buf buf;
static struct target got;
static struct weft_err err;

static int read_text(const char *text)
{
    size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1); /* without a NUL: reading on is noticed */
    uint64_t seen;
    int rc;

    memcpy(copy, text, len);
    weft_buf_clear(&buf);
    memset(&err, 0, sizeof(err));
    got = (struct target){.count = 7, .rate = 0.5, .mode = 1};
    rc = weft_form_read(members, N, weft_str(copy, len), &buf, &got, &seen, &err);
    free(copy);
    return rc;
}

static int setup(void **state)
{
    weft_buf_init(&buf, 4096);
    return 0;
}

static int teardown(void **state)
{
    weft_buf_fini(&buf);
    return 0;
}

static void what_is_there_is_taken_and_the_rest_stays(void **state)
{
    struct weft_str decoded = WEFT_STR("a\xc3\xa9");

    assert_int_equal(
        read_text("{ \"count\" : 100, \"text\":\"a\\u00e9\", \"on\":true,\n\"list\":[1, 2]}"), 0);
    assert_int_equal(got.count, 100);
    assert_true(got.on);
    assert_true(weft_str_eq(got.text, decoded));
    assert_true(weft_str_eq(got.list.raw, WEFT_STR("[1,2]")));
    assert_int_equal(got.mode, 1);
    assert_true(got.rate == 0.5);
    assert_int_equal(read_text("{\"mode\":\"exact\",\"rate\":2.5e0,\"labels\":{\"a\":\"b\"}}"), 0);
    assert_int_equal(got.mode, 0);
    assert_true(got.rate == 2.5);
    assert_int_equal(got.labels.kind, WEFT_JSON_OBJECT);
    assert_int_equal(read_text(""), 0);
    assert_int_equal(got.count, 7);
    assert_int_equal(read_text("{\"c\\u006funt\":3}"), 0);
    assert_int_equal(got.count, 3);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *field;
    } rows[] = {
        {"{\"count\":0}", "count"},
        {"{\"count\":101}", "count"},
        {"{\"count\":-1}", "count"},
        {"{\"count\":1.0}", "count"},
        {"{\"count\":1e1}", "count"},
        {"{\"count\":\"1\"}", "count"},
        {"{\"count\":null}", "count"},
        {"{\"count\":18446744073709551617}", "count"},
        {"{\"rate\":-0.1}", "rate"},
        {"{\"rate\":1e999}", "rate"},
        {"{\"rate\":10.0000001}", "rate"},
        {"{\"rate\":0.00000000000000000000000000000000000000000000000000000001}", "rate"},
        {"{\"rate\":[]}", "rate"},
        {"{\"on\":1}", "on"},
        {"{\"text\":\"\"}", "text"},
        {"{\"text\":\"abcdef\"}", "text"},
        {"{\"text\":\"a\\n\"}", "text"},
        {"{\"text\":5}", "text"},
        {"{\"mode\":\"EXACT\"}", "mode"},
        {"{\"mode\":0}", "mode"},
        {"{\"labels\":[]}", "labels"},
        {"{\"list\":{}}", "list"},
        {"{\"other\":1}", "other"},
        {"{\"count\":1,\"count\":2}", "body"},
        {"{\"rate\":NaN}", "body"},
        {"{\"count\":1", "body"},
        {"[]", "body"},
        {"7", "body"},
        {"{} x", "body"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(read_text(rows[i].text), WEFT_EINVAL);
        assert_string_equal(err.field, rows[i].field);
        assert_true(err.message[0] != '\0');
    }
}

static void a_required_member_is_missed(void **state)
{
    static const struct weft_member one[] = {
        {.name = "count",
         .kind = WEFT_MEMBER_U64,
         .lo = 0,
         .hi = 9007199254740992.0,
         .required = true},
    };
    uint64_t v;
    uint64_t seen = 0;

    weft_buf_clear(&buf);
    assert_int_equal(weft_form_read(one, 1, WEFT_STR("{}"), &buf, &v, NULL, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "count");
    weft_buf_clear(&buf);
    assert_int_equal(
        weft_form_read(one, 1, WEFT_STR("{\"count\":9007199254740992}"), &buf, &v, &seen, &err), 0);
    assert_true(v == UINT64_C(9007199254740992));
    assert_int_equal(seen, 1);
}

static void objects_in_it_are_read_by_the_same_means(void **state)
{
    struct weft_json_iter it;
    struct weft_json v;
    struct target inner = {0};

    assert_int_equal(
        read_text("{\"text\":\"abc\",\"list\":[{\"text\":\"def\"},{\"text\":\"toolong\"}]}"), 0);
    weft_json_begin(&it, got.list);
    assert_true(weft_json_next(&it, NULL, &v));
    assert_int_equal(weft_form_read_value(members, N, v, &buf, &inner, NULL, &err), 0);
    assert_true(weft_str_eq(inner.text, WEFT_STR("def")));
    assert_true(weft_str_eq(got.text, WEFT_STR("abc")));
    assert_true(weft_json_next(&it, NULL, &v));
    assert_int_equal(weft_form_read_value(members, N, v, &buf, &inner, NULL, &err), WEFT_EINVAL);
    assert_string_equal(err.field, "text");
    assert_int_equal(weft_form_read_value(members, N, got.list, &buf, &inner, NULL, &err),
                     WEFT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_is_taken_and_the_rest_stays),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_required_member_is_missed),
        cmocka_unit_test(objects_in_it_are_read_by_the_same_means),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* Lines from a stream: however the bytes come, the same lines; bounded in length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <weft/base/random.h>
#include <weft/loop/lines.h>

static char got[4096];

/* Each line in brackets; a cut one ends with `…`. */
static void came(void *ctx, struct weft_str line, bool cut)
{
    size_t at = strlen(got);

    (void)snprintf(got + at, sizeof(got) - at, "[%.*s%s]", (int)line.len,
                   line.p == NULL ? "" : line.p, cut ? "…" : "");
}

static const struct {
    const char *bytes;
    const char *lines;
} table[] = {
    {"", ""},
    {"a\nb\n", "[a][b]"},
    {"a\nb", "[a][b]"},
    {"\n\n", "[][]"},
    {"a\r\nb\r", "[a][b]"},
    {"12345678\n", "[12345678]"},
    {"12345678\r\n", "[12345678]"},
    {"123456789\n", "[12345678…]"},
    {"123456789abcdef\nnext\n", "[12345678…][next]"},
    {"1234567\r8\n", "[1234567\r…]"},
    {"123456789abcdef", "[12345678…]"},
};

static void run(const char *bytes, uint64_t seed)
{
    struct weft_lines lines;
    size_t len = strlen(bytes);
    size_t at = 0;

    got[0] = '\0';
    weft_lines_init(&lines, 8);
    while (at < len) {
        size_t n = seed == 0 ? len : 1 + weft_random_next(&seed) % 4;

        n = n < len - at ? n : len - at;
        weft_lines_feed(&lines, weft_str(bytes + at, n), came, NULL);
        at += n;
    }
    weft_lines_end(&lines, came, NULL);
    weft_lines_fini(&lines);
}

static void the_same_lines_however_the_bytes_come(void **state)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        for (uint64_t seed = 0; seed < 50; seed++) {
            run(table[i].bytes, seed);
            assert_string_equal(got, table[i].lines);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_lines_however_the_bytes_come)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

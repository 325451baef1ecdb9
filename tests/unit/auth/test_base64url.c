/* base64url: the vectors of RFC 4648, every length, and one spelling alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <jose/b64.h>

#include <weft/base/assert.h>

#include "base64url_priv.h"

static void vectors(void **state)
{
    static const char *const cases[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xff\xef", "_-8"},
    };
    unsigned char out[16];
    size_t len;

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        const char *text = cases[i][1];

        assert_true(weft_base64url_decode(out, &len, weft_str(text, strlen(text))));
        assert_int_equal(len, strlen(cases[i][0]));
        assert_memory_equal(out, cases[i][0], len);
    }
}

static void wrong_ones(void **state)
{
    static const char *const cases[] = {"Z",    "Zm9vY", "Zh",  "Zm9", "Zg==", "Zm8=",    "Zm 8",
                                        "Zm8 ", "+-8_",  "/-8", "Z\n", "Z.g",  "\xc3\xa9"};
    unsigned char out[16];
    size_t len;

    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        if (weft_base64url_decode(out, &len, weft_str(cases[i], strlen(cases[i])))) {
            fail_msg("'%s'", cases[i]);
        }
    }
}

/* Every byte in each place of texts of two to four characters: as libjose has it. */
static void as_libjose(void **state)
{
    unsigned char mine[8], theirs[8];
    char text[4] = "AAAA";

    for (int place = 0; place < 4; place++) {
        for (int c = 1; c < 256; c++) {
            for (size_t n = 2; n <= 4; n++) {
                size_t len = 0;
                size_t their_len;
                bool good;

                memset(text, 'Q', sizeof(text));
                text[place] = (char)c;
                good = weft_base64url_decode(mine, &len, weft_str(text, n));
                their_len = jose_b64_dec_buf(text, n, theirs, sizeof(theirs));
                assert_int_equal(good, their_len != SIZE_MAX);
                assert_int_equal(good ? len : 0, good ? their_len : 0);
                assert_memory_equal(mine, theirs, good ? len : 0);
                assert_int_equal(weft_base64url_valid(weft_str(text, n)) || !good, true);
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(wrong_ones),
        cmocka_unit_test(as_libjose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Heads that two parsers could read in two ways are refused; all others pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../pkg/http/worker_priv.h"

#define HEAD "POST /x HTTP/1.1\r\nHost: a\r\n"

static void heads(void **state)
{
    static const struct {
        const char *head;
        bool http11, fine, chunked;
    } cases[] = {
        {HEAD "\r\n", true, true, false},
        {HEAD "Content-Length: 3\r\n\r\n", true, true, false},
        {HEAD "Transfer-Encoding: chunked\r\n\r\n", true, true, true},
        {HEAD "Content-Lengths: 3\r\nContent-Length: 3\r\nX-Host: b\r\n\r\n", true, true, false},
        {"GET / HTTP/1.0\r\n\r\n", false, true, false},
        {"GET / HTTP/1.1\r\n\r\n", true, false, false},
        {HEAD "HOST: b\r\n\r\n", true, false, false},
        {HEAD "Content-Length: 3\r\ncontent-length: 3\r\n\r\n", true, false, false},
        {HEAD "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", true, false, true},
        {HEAD "Transfer-Encoding: a\r\ntransfer-encoding: chunked\r\n\r\n", true, false, true},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", false, false, true},
        {HEAD "A: b\n\r\n", true, false, false},
        {HEAD "A: b\rc\r\n\r\n", true, false, false},
        {HEAD " folded\r\n\r\n", true, false, false},
        {HEAD "A: b\r\n\tfolded\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: a", true, false, false},
        /* One empty line before is skipped, and hides nothing. */
        {"\r\n" HEAD "\r\n", true, true, false},
        {"\r\nPOST / HTTP/1.0\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", false, false,
         false},
        {"\r\nPOST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", false, false, true},
        {"\r\n\r\n" HEAD "\r\n", true, false, false},
        {"\n" HEAD "\r\n", true, false, false},
        {"\r\n\r\nGET / HTTP/1.0\r\n\r\n", false, false, false},
        /* Only paths are asked for. */
        {"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {"GET healthz HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {" / HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {"GET  HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {"/\r\nHost: a\r\n\r\n", true, false, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool chunked = false;
        const char *problem = weft_rawhead_check(weft_str(cases[i].head, strlen(cases[i].head)),
                                                 cases[i].http11, &chunked);

        assert_int_equal(problem == NULL, cases[i].fine);
        if (problem == NULL) {
            assert_int_equal(chunked, cases[i].chunked);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

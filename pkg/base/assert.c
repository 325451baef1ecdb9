#include <weft/base/assert.h>

#include <stdio.h>
#include <stdlib.h>

_Noreturn void weft_assert_failed(const char *file, int line, const char *what)
{
    /* One write: other threads may be writing their logs to the same stream. */
    (void)fprintf(stderr, "weft: assertion failed: %s:%d: %s\n", file, line, what);
    abort();
}

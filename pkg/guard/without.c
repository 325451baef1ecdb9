#include <weft/guard/without.h>

#include <stddef.h>

const char *const weft_without_words[] = {
    [WEFT_WITHOUT_OPEN] = "open",
    [WEFT_WITHOUT_CLOSED] = "closed",
    [WEFT_WITHOUT_LOCAL] = "local",
    NULL,
};

/*
 * assert - for our own bugs only; on in release builds.
 *
 * Bad input, a lost peer or a full disk are error values, never asserts.
 */
#ifndef WEFT_BASE_ASSERT_H
#define WEFT_BASE_ASSERT_H

#include <stddef.h>

_Noreturn void weft_assert_failed(const char *file, int line, const char *what);

#define WEFT_ASSERT(cond) ((cond) ? (void)0 : weft_assert_failed(__FILE__, __LINE__, #cond))

/* From a pointer to an embedded member back to the struct that holds it. */
#define WEFT_CONTAINER_OF(ptr, type, member) \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define WEFT_COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif

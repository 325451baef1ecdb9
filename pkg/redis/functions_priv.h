/* The Redis Functions library that the node loads into Redis.
 *
 * The files of functions/, in the order of their names, put together into one text by the build
 * (scripts/cmake/EmbedLua.cmake). The text lives as long as the program. */
#ifndef WEFT_REDIS_FUNCTIONS_PRIV_H
#define WEFT_REDIS_FUNCTIONS_PRIV_H

#include <stddef.h>

/* NUL-terminated; the NUL is not counted in the length. */
extern const char weft_redis_functions_source[];
extern const size_t weft_redis_functions_source_len;

#endif

/*
 * problem - what a server's refusal says, as one line: `weft: <field>: <sentence>`.
 */
#ifndef WEFT_CMD_PROBLEM_H
#define WEFT_CMD_PROBLEM_H

#include <stdbool.h>

#include <weft/base/str.h>

/* On stderr. body: problem details (RFC 9457) with weft's `error` member, or anything. */
void problem_print(const char *url, long status, struct weft_str body);

/* Whether that is its error code. */
bool problem_is(struct weft_str body, const char *code);

/* Whether it says that nothing was done: a bounded queue was full, or `written` is false. */
bool problem_is_harmless(struct weft_str body);

#endif

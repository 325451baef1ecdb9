/*
 * name - topics, patterns and types: what they may look like and how they match.
 *
 * Topic: 1 to 200 of A-Z a-z 0-9 . _ : - ; a subscriber's pattern may end with one `*`.
 * Type:  1 to 200 of A-Z a-z 0-9 . _ - ; dotted; not beginning with `weft.` when published.
 * Type glob: like a type, with `*` anywhere standing for any run of characters.
 */
#ifndef WEFT_WIRE_NAME_H
#define WEFT_WIRE_NAME_H

#include <stdbool.h>

#include <weft/base/str.h>

#define WEFT_NAME_MAX  200
#define WEFT_GLOBS_MAX 32

bool weft_topic_valid(struct weft_str s);
/* A topic, or a prefix of one followed by a single `*` (also `*` alone). */
bool weft_pattern_valid(struct weft_str s);
bool weft_pattern_is_wildcard(struct weft_str s);
/* pattern was valid; a plain topic matches only itself. */
bool weft_pattern_match(struct weft_str pattern, struct weft_str topic);

bool weft_type_valid(struct weft_str s);
bool weft_type_reserved(struct weft_str s); /* begins with "weft." */
bool weft_type_glob_valid(struct weft_str s);
/* Linear in glob × type at worst; both are at most WEFT_NAME_MAX. */
bool weft_type_glob_match(struct weft_str glob, struct weft_str type);

#endif

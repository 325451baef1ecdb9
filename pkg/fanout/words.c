/* A subscriber's topics, patterns and type globs, in one piece of memory: u8 length and bytes each. */
#include "fanout_priv.h"

#include <stdlib.h>
#include <string.h>

static struct weft_str word_at(const struct weft_sub *sub, size_t off)
{
    return weft_str(sub->words + off + 1, (uint8_t)sub->words[off]);
}

bool weft_sub_next_topic(const struct weft_sub *sub, size_t *pos, struct weft_str *ret_topic)
{
    if (*pos >= sub->types_off) {
        return false;
    }
    *ret_topic = word_at(sub, *pos);
    *pos += 1 + ret_topic->len;
    return true;
}

void weft_sub_types(const struct weft_sub *sub, struct weft_str *ret_types)
{
    size_t off = sub->types_off;

    for (unsigned i = 0; i < sub->types_n; i++) {
        ret_types[i] = word_at(sub, off);
        off += 1 + ret_types[i].len;
    }
}

bool weft_sub_type_wanted(const struct weft_sub *sub, const struct weft_batch *batch, uint32_t i)
{
    size_t off = sub->types_off;

    if (sub->types_n == 0) {
        return true;
    }
    for (unsigned k = 0; k < sub->types_n; k++) {
        struct weft_str glob = word_at(sub, off);

        if (weft_type_glob_match(glob, weft_frame_type(batch, &batch->frames[i]))) {
            return true;
        }
        off += 1 + glob.len;
    }
    return false;
}

static int compare_words(const void *a, const void *b)
{
    const struct weft_str *x = a;
    const struct weft_str *y = b;

    return weft_str_cmp(*x, *y);
}

/* Sorted, so that equal subscriptions read equal pages whatever the order of their parameters. */
bool weft_sub_keep_words(struct weft_sub *sub, const struct weft_sub_opts *opts)
{
    struct weft_str *sorted = calloc(opts->n_topics + 1, sizeof(*sorted));
    size_t size = 1;
    char *at;

    if (sorted == NULL) {
        return false;
    }
    memcpy(sorted, opts->topics, opts->n_topics * sizeof(*sorted));
    qsort(sorted, opts->n_topics, sizeof(*sorted), compare_words);
    for (size_t i = 0; i < opts->n_topics; i++) {
        size += 1 + sorted[i].len;
    }
    for (size_t i = 0; i < opts->n_types; i++) {
        size += 1 + opts->types[i].len;
    }
    sub->words = malloc(size);
    if (sub->words != NULL) {
        at = sub->words;
        for (size_t i = 0; i < opts->n_topics; i++) {
            *at++ = (char)(unsigned char)sorted[i].len;
            memcpy(at, sorted[i].p, sorted[i].len);
            at += sorted[i].len;
            if (weft_pattern_is_wildcard(sorted[i])) {
                sub->patterns_n++;
            }
        }
        sub->types_off = (uint32_t)(at - sub->words);
        for (size_t i = 0; i < opts->n_types; i++) {
            *at++ = (char)(unsigned char)opts->types[i].len;
            memcpy(at, opts->types[i].p, opts->types[i].len);
            at += opts->types[i].len;
        }
        sub->topics_n = (uint16_t)opts->n_topics;
        sub->types_n = (uint16_t)opts->n_types;
    }
    free(sorted);
    return sub->words != NULL;
}

bool weft_sub_names(const struct weft_sub *sub, const struct weft_topic *topic)
{
    struct weft_str word;
    size_t pos = 0;

    while (weft_sub_next_topic(sub, &pos, &word)) {
        if (weft_str_eq(word, weft_str(topic->name, topic->name_len))) {
            return true;
        }
    }
    return false;
}

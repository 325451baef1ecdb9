/*
 * without - what a guard does while Redis is away.
 */
#ifndef WEFT_GUARD_WITHOUT_H
#define WEFT_GUARD_WITHOUT_H

enum weft_without {
    WEFT_WITHOUT_OPEN,   /* everything passes */
    WEFT_WITHOUT_CLOSED, /* nothing passes */
    WEFT_WITHOUT_LOCAL   /* the node decides alone, by what it knows */
};

/* "open", "closed", "local", NULL: for weft/wire/form.h, and by the enum's values. */
extern const char *const weft_without_words[];

#endif

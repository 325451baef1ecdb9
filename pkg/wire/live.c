#include <weft/wire/live.h>

#include <string.h>

#include <weft/base/err.h>
#include <weft/wire/name.h>

/* Up to the next space; false if there is none. */
static bool take_word(struct weft_str *line, struct weft_str *ret_word)
{
    const char *space = memchr(line->p, ' ', line->len);

    if (space == NULL)
        return false;
    *ret_word = weft_str(line->p, (size_t)(space - line->p));
    line->len -= ret_word->len + 1;
    line->p = space + 1;
    return true;
}

static bool prev_parse(struct weft_str s, uint64_t *ret_prev)
{
    if (s.len > 1 && s.p[0] == '0')
        return false;
    return weft_str_u64(s, ret_prev);
}

/* Eight bytes at a time: a byte below 0x20 borrows into its top bit when 0x20 is taken from it. A
 * borrow can spoil the byte above, but there is one only if a control byte was found already. */
static bool has_control(struct weft_str s)
{
    const uint64_t low = 0x2020202020202020U;
    const uint64_t high = 0x8080808080808080U;
    uint64_t found = 0;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;

        memcpy(&word, s.p + i, sizeof(word));
        found |= (word - low) & ~word & high;
    }
    for (; i < s.len; i++)
        found |= (uint64_t)((unsigned char)s.p[i] < 0x20);
    return found != 0;
}

static bool parse(struct weft_str text, struct weft_live_line *line)
{
    struct weft_str id;
    struct weft_str prev;

    if (!take_word(&text, &id) || !take_word(&text, &prev) || !take_word(&text, &line->topic) ||
        !take_word(&text, &line->type))
        return false;
    line->envelope = text;
    return weft_id_parse(id, &line->id) && prev_parse(prev, &line->prev) &&
           weft_topic_valid(line->topic) && weft_type_valid(line->type) && text.len >= 2 &&
           text.p[0] == '{' && text.p[text.len - 1] == '}' && !has_control(text);
}

int weft_live_next(struct weft_str *text, struct weft_live_line *ret_line)
{
    struct weft_live_line parsed;
    struct weft_str line = *text;
    const char *lf;

    if (text->len == 0)
        return 0;
    lf = memchr(text->p, '\n', text->len);
    if (lf != NULL) {
        line.len = (size_t)(lf - text->p);
        text->p = lf + 1;
        text->len -= line.len + 1;
    } else {
        text->p += line.len;
        text->len = 0;
    }

    if (!parse(line, &parsed))
        return WEFT_EPROTO;
    *ret_line = parsed;
    return 1;
}

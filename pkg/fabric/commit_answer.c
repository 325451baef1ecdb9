#include "commit_priv.h"

#include <weft/wire/id.h>

/* `<ms>-<seq> <n>` */
static bool parse_run(struct weft_str s, struct weft_id_run *ret_run)
{
    struct weft_str id = weft_str_before(&s, ' ');
    uint64_t n;

    if (!weft_id_parse(id, &ret_run->first) || !weft_str_u64(s, &n) || n == 0 || n > UINT32_MAX) {
        return false;
    }
    ret_run->n = (uint32_t)n;
    return true;
}

bool weft_verdict_parse(struct weft_verdict *ret_v, struct weft_str text)
{
    *ret_v = (struct weft_verdict){.rc = WEFT_PUBLISHED_OK};
    if (text.len == 0) {
        return false;
    }
    if (weft_str_take(&text, "!fenced ")) {
        ret_v->rc = WEFT_PUBLISHED_FENCED;
        return weft_str_u64(text, &ret_v->number);
    }
    if (weft_str_take(&text, "!expected ")) {
        ret_v->rc = WEFT_PUBLISHED_OUT_OF_ORDER;
        return weft_str_u64(text, &ret_v->number);
    }
    if (weft_str_take(&text, "!")) {
        ret_v->rc = WEFT_PUBLISHED_REFUSED;
        ret_v->why = text;
        return true;
    }
    if (weft_str_take(&text, "=")) {
        ret_v->rc = text.len == 0 ? WEFT_PUBLISHED_DUPLICATE : WEFT_PUBLISHED_REPLAYED;
    }
    return ret_v->rc == WEFT_PUBLISHED_DUPLICATE || parse_run(text, &ret_v->run);
}

#include <weft/guard/breaker.h>

#include <stdio.h>

/* A breaker as one line of text, and the words of its configuration. */

const char *const weft_breaker_mode_words[] = {
    [WEFT_BREAKER_COUNT] = "count",
    [WEFT_BREAKER_RATE] = "rate",
    NULL,
};

const char *const weft_breaker_state_words[] = {
    [WEFT_BREAKER_CLOSED] = "closed",
    [WEFT_BREAKER_OPEN] = "open",
    [WEFT_BREAKER_HALF_OPEN] = "half_open",
    [WEFT_BREAKER_FORCED_OPEN] = "forced_open",
    [WEFT_BREAKER_FORCED_CLOSED] = "forced_closed",
    [WEFT_BREAKER_DISABLED] = "disabled",
    NULL,
};

const char *const weft_breaker_force_words[] = {
    [WEFT_BREAKER_FORCE_OPEN] = "open",
    [WEFT_BREAKER_FORCE_CLOSED] = "closed",
    [WEFT_BREAKER_FORCE_DISABLED] = "disabled",
    [WEFT_BREAKER_FORCE_AUTO] = "auto",
    NULL,
};

void weft_breaker_config_init(struct weft_breaker_config *cfg)
{
    *cfg = (struct weft_breaker_config){
        .mode = WEFT_BREAKER_COUNT,
        .without_redis = WEFT_WITHOUT_LOCAL,
        .failure_threshold = 5,
        .failure_rate = 50,
        .min_calls = 20,
        .success_threshold = 2,
        .timeout_ms = 30000,
        .time_window_ms = 60000,
        .half_open_permits = 1,
        .permit_ms = 10000,
        .quorum = 1,
    };
}

static bool take_word(struct weft_str *rest, const char *const *words, unsigned *ret_value)
{
    struct weft_str word = weft_str_before(rest, ' ');

    for (unsigned i = 0; words[i] != NULL; i++) {
        if (weft_str_eq(word, weft_str(words[i], strlen(words[i])))) {
            *ret_value = i;
            return true;
        }
    }
    return false;
}

static bool take_number(struct weft_str *rest, uint64_t *ret_value)
{
    return weft_str_u64(weft_str_before(rest, ' '), ret_value);
}

bool weft_breaker_view_parse(struct weft_breaker_view *ret_view, struct weft_str line)
{
    struct weft_breaker_config *cfg = &ret_view->cfg;
    unsigned state = 0;
    bool good = take_number(&line, &ret_view->version) && take_number(&line, &ret_view->epoch) &&
                take_word(&line, weft_breaker_state_words, &state) &&
                take_number(&line, &ret_view->since_ms) && take_number(&line, &ret_view->wait_ms) &&
                take_word(&line, weft_breaker_mode_words, &cfg->mode) &&
                take_number(&line, &cfg->failure_threshold) &&
                take_number(&line, &cfg->failure_rate) && take_number(&line, &cfg->min_calls) &&
                take_number(&line, &cfg->success_threshold) &&
                take_number(&line, &cfg->timeout_ms) && take_number(&line, &cfg->time_window_ms) &&
                take_number(&line, &cfg->half_open_permits) &&
                take_number(&line, &cfg->permit_ms) && take_number(&line, &cfg->quorum) &&
                take_word(&line, weft_without_words, &cfg->without_redis);

    ret_view->state = (enum weft_breaker_state)state;
    return good;
}

static void put(struct weft_buf *b, uint64_t v)
{
    weft_buf_append(b, " ", 1);
    weft_buf_u64(b, v);
}

void weft_breaker_view_print(struct weft_buf *b, const struct weft_breaker_view *view)
{
    const struct weft_breaker_config *cfg = &view->cfg;

    weft_buf_u64(b, view->version);
    put(b, view->epoch);
    weft_buf_printf(b, " %s", weft_breaker_state_words[view->state]);
    put(b, view->since_ms);
    put(b, view->wait_ms);
    weft_buf_printf(b, " %s", weft_breaker_mode_words[cfg->mode]);
    put(b, cfg->failure_threshold);
    put(b, cfg->failure_rate);
    put(b, cfg->min_calls);
    put(b, cfg->success_threshold);
    put(b, cfg->timeout_ms);
    put(b, cfg->time_window_ms);
    put(b, cfg->half_open_permits);
    put(b, cfg->permit_ms);
    put(b, cfg->quorum);
    weft_buf_printf(b, " %s", weft_without_words[cfg->without_redis]);
}

bool weft_permit_parse(struct weft_permit *ret_permit, struct weft_str text)
{
    return weft_str_u64(weft_str_before(&text, '-'), &ret_permit->epoch) &&
           weft_str_u64(text, &ret_permit->number) && ret_permit->number > 0;
}

size_t weft_permit_print(char *out, struct weft_permit permit)
{
    size_t len = 0;

    if (permit.number > 0) {
        len = weft_u64_print(out, permit.epoch);
        out[len++] = '-';
        len += weft_u64_print(out + len, permit.number);
    }
    out[len] = '\0';
    return len;
}

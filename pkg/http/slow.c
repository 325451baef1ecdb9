#include "worker_priv.h"

#include <string.h>

#include <weft/wire/name.h>

/*
 * What becomes of a subscriber that is slow (fanout.h): its own word, or that of the first row of slow.policies that
 * covers its topic. A subscription has one cursor and so one policy: where its topics have different ones, it reads the
 * log, which leaves nothing out.
 */

static const char *const words[] = {
    [WEFT_SLOW_REPLAY] = "replay",
    [WEFT_SLOW_LATEST] = "latest",
    [WEFT_SLOW_CLOSE] = "close",
};

const char *weft_slow_word(unsigned slow)
{
    return words[slow];
}

static bool parse(struct weft_str word, enum weft_slow *ret_slow)
{
    for (size_t i = 0; i < WEFT_COUNT_OF(words); i++) {
        if (weft_str_eq(word, weft_str(words[i], strlen(words[i])))) {
            *ret_slow = (enum weft_slow)i;
            return true;
        }
    }
    return false;
}

/* topic: a name, or a pattern, which is covered by a row whose pattern is as wide. */
static enum weft_slow of_topic(const struct weft_config_list *rows, struct weft_str topic)
{
    enum weft_slow slow = WEFT_SLOW_REPLAY;

    for (size_t i = 0; i < rows->len; i++) {
        const char *equals = strrchr(rows->items[i], '='); /* checked by config */
        struct weft_str pattern = weft_str(rows->items[i], (size_t)(equals - rows->items[i]));

        if (weft_pattern_match(pattern, topic)) {
            (void)parse(weft_str(equals + 1, strlen(equals + 1)), &slow);
            break;
        }
    }
    return slow;
}

int weft_take_slow(const struct weft_config *cfg, struct weft_str word, struct weft_sub_opts *opts,
                   struct weft_err *err)
{
    opts->slow = WEFT_SLOW_REPLAY;
    if (word.p != NULL) {
        return parse(word, &opts->slow)
                   ? 0
                   : weft_err_set(err, WEFT_EINVAL, "slow", "it must be replay, latest or close");
    }
    for (size_t i = 0; i < opts->n_topics; i++) {
        enum weft_slow slow = of_topic(&cfg->slow.policies, opts->topics[i]);

        if (i == 0) {
            opts->slow = slow;
        } else if (slow != opts->slow) {
            opts->slow = WEFT_SLOW_REPLAY;
            break;
        }
    }
    return 0;
}

#include <weft/guard/breaker.h>

#include <stdlib.h>
#include <string.h>

#include <weft/base/assert.h>

#define RETRY_MS 1000 /* at most, while other calls hold all permits */

/* Permits of a node that is alone are numbered from here on: Redis never gives one of these, so it takes none for its own. */
#define RESUMED_PERMITS (UINT64_C(1) << 62)

/* Results of one second. */
struct second {
    uint64_t at;
    uint64_t successes, failures;
};

struct out {
    uint64_t number;
    uint64_t until_ms;
};

struct failing {
    uint32_t node;
    uint64_t at; /* second of its last failure */
};

struct weft_breaker {
    struct weft_breaker_config cfg;
    enum weft_breaker_state state;
    uint64_t since_ms, epoch, version;
    uint64_t successes; /* in half_open */
    uint64_t first;     /* permits are numbered behind it */
    uint64_t given;

    struct second *window; /* in order; at most one for each second of time_window_ms */
    size_t n_window, cap_window;
    struct out *permits; /* in the order in which they were given */
    size_t n_permits, cap_permits;
    struct failing *nodes;
    size_t n_nodes, cap_nodes;
};

static void *grow(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap) {
        return list;
    }
    *cap = *cap == 0 ? 8 : *cap * 2;
    list = realloc(list, *cap * size);
    WEFT_ASSERT(list != NULL);
    return list;
}

/* Of a version or an epoch: never one that was there before, not even of another breaker of this name. */
static uint64_t next(uint64_t number, uint64_t now_ms)
{
    return number + 1 > now_ms ? number + 1 : now_ms;
}

static void turn(struct weft_breaker *br, enum weft_breaker_state state, uint64_t now_ms)
{
    br->state = state;
    br->since_ms = now_ms;
    br->epoch = next(br->epoch, now_ms);
    br->successes = 0;
    br->given = br->first;
    br->n_window = 0;
    br->n_permits = 0;
    br->n_nodes = 0;
    br->version = next(br->version, now_ms);
}

/* ---- the window ---- */

static uint64_t window_seconds(const struct weft_breaker *br)
{
    return (br->cfg.time_window_ms + 999) / 1000;
}

/* Takes out what has left it; the second that counts are added to. */
static uint64_t slide(struct weft_breaker *br, uint64_t second)
{
    uint64_t seconds = window_seconds(br);
    uint64_t newest = br->n_window > 0 ? br->window[br->n_window - 1].at : 0;
    size_t left = 0;

    /* Nothing of it is left, or it is of another clock. */
    if (br->n_window == 0 || newest + seconds <= second || newest >= second + seconds) {
        br->n_window = 0;
        return second;
    }
    if (newest < second) {
        newest = second;
    }
    for (size_t i = 0; i < br->n_window; i++) {
        if (br->window[i].at + seconds > newest) {
            br->window[left++] = br->window[i];
        }
    }
    br->n_window = left;
    return newest;
}

static void add(struct weft_breaker *br, uint64_t second, uint64_t successes, uint64_t failures)
{
    if (br->n_window == 0 || br->window[br->n_window - 1].at != second) {
        br->window = grow(br->window, br->n_window, &br->cap_window, sizeof(*br->window));
        br->window[br->n_window++] = (struct second){second, 0, 0};
    }
    br->window[br->n_window - 1].successes += successes;
    br->window[br->n_window - 1].failures += failures;
}

/* This node has had a failure now; those whose last one has left the window are forgotten. */
static void note_node(struct weft_breaker *br, uint32_t node, uint64_t second)
{
    size_t left = 0;

    for (size_t i = 0; i < br->n_nodes; i++) {
        if (br->nodes[i].node != node && br->nodes[i].at + window_seconds(br) > second) {
            br->nodes[left++] = br->nodes[i];
        }
    }
    br->n_nodes = left;
    br->nodes = grow(br->nodes, br->n_nodes, &br->cap_nodes, sizeof(*br->nodes));
    br->nodes[br->n_nodes++] = (struct failing){node, second};
}

static bool is_enough(const struct weft_breaker *br, uint64_t newest)
{
    uint64_t successes = 0;
    uint64_t failures = 0;
    uint64_t nodes = 0;

    for (size_t i = 0; i < br->n_window; i++) {
        successes += br->window[i].successes;
        failures += br->window[i].failures;
    }
    for (size_t i = 0; i < br->n_nodes; i++) {
        nodes += br->nodes[i].at + window_seconds(br) > newest;
    }
    if (br->cfg.mode == WEFT_BREAKER_RATE) {
        uint64_t calls = successes + failures;

        if (calls < br->cfg.min_calls || failures * 100 < br->cfg.failure_rate * calls) {
            return false;
        }
    } else if (failures < br->cfg.failure_threshold) {
        return false;
    }
    return br->cfg.quorum <= 1 || nodes >= br->cfg.quorum;
}

/* ---- permits ---- */

/*
 * Those of a clock that has gone back, or of a longer permit_ms, may be used still, but not for longer than others.
 */
static void lapse(struct weft_breaker *br, uint64_t now_ms)
{
    uint64_t last_ms = now_ms + br->cfg.permit_ms;
    size_t left = 0;

    for (size_t i = 0; i < br->n_permits; i++) {
        if (br->permits[i].until_ms > now_ms) {
            br->permits[left] = br->permits[i];
            if (br->permits[left].until_ms > last_ms) {
                br->permits[left].until_ms = last_ms;
            }
            left++;
        }
    }
    br->n_permits = left;
}

static void give(struct weft_breaker *br, uint64_t now_ms, struct weft_breaker_answer *a)
{
    lapse(br, now_ms);
    if (br->n_permits >= br->cfg.half_open_permits) {
        uint64_t first = UINT64_MAX;

        for (size_t i = 0; i < br->n_permits; i++) {
            first = br->permits[i].until_ms < first ? br->permits[i].until_ms : first;
        }
        a->wait_ms = first - now_ms < RETRY_MS ? first - now_ms : RETRY_MS;
        return;
    }
    a->allowed = true;
    a->permit = (struct weft_permit){br->epoch, ++br->given};
    br->permits = grow(br->permits, br->n_permits, &br->cap_permits, sizeof(*br->permits));
    br->permits[br->n_permits++] = (struct out){br->given, now_ms + br->cfg.permit_ms};
}

/* ---- the machine ---- */

struct weft_breaker *weft_breaker_create(const struct weft_breaker_config *cfg, uint64_t now_ms)
{
    struct weft_breaker *br = calloc(1, sizeof(*br));

    WEFT_ASSERT(br != NULL);
    br->cfg = *cfg;
    br->since_ms = now_ms;
    br->epoch = next(0, now_ms);
    br->version = next(0, now_ms);
    return br;
}

struct weft_breaker *weft_breaker_resume(const struct weft_breaker_view *view, uint64_t now_ms)
{
    struct weft_breaker *br = weft_breaker_create(&view->cfg, now_ms);

    br->state = view->state;
    br->epoch = view->epoch;
    br->version = view->version;
    br->first = br->given = RESUMED_PERMITS;
    /* By our clock: it has to be asked again in wait_ms. */
    if (br->state == WEFT_BREAKER_OPEN && view->wait_ms < view->cfg.timeout_ms) {
        uint64_t gone_ms = view->cfg.timeout_ms - view->wait_ms;

        br->since_ms = gone_ms < now_ms ? now_ms - gone_ms : 0;
    }
    return br;
}

void weft_breaker_destroy(struct weft_breaker *br)
{
    if (br != NULL) {
        free(br->window);
        free(br->permits);
        free(br->nodes);
        free(br);
    }
}

void weft_breaker_configure(struct weft_breaker *br, const struct weft_breaker_config *cfg,
                            uint64_t now_ms)
{
    br->cfg = *cfg;
    br->version = next(br->version, now_ms);
}

/* The clock may have gone back: nothing has begun later than now. */
static uint64_t since_ms(const struct weft_breaker *br, uint64_t now_ms)
{
    return br->since_ms < now_ms ? br->since_ms : now_ms;
}

static uint64_t open_ms(const struct weft_breaker *br, uint64_t now_ms)
{
    uint64_t until_ms = since_ms(br, now_ms) + br->cfg.timeout_ms;

    return until_ms > now_ms ? until_ms - now_ms : 0;
}

void weft_breaker_view(const struct weft_breaker *br, uint64_t now_ms,
                       struct weft_breaker_view *ret_view)
{
    *ret_view = (struct weft_breaker_view){
        .version = br->version,
        .epoch = br->epoch,
        .state = br->state,
        .since_ms = since_ms(br, now_ms),
        .wait_ms = br->state == WEFT_BREAKER_OPEN ? open_ms(br, now_ms) : 0,
        .cfg = br->cfg,
    };
}

void weft_breaker_acquire(struct weft_breaker *br, uint64_t now_ms,
                          struct weft_breaker_answer *ret_answer)
{
    *ret_answer = (struct weft_breaker_answer){0};
    br->since_ms = since_ms(br, now_ms);
    if (br->state == WEFT_BREAKER_OPEN && open_ms(br, now_ms) == 0) {
        turn(br, WEFT_BREAKER_HALF_OPEN, now_ms);
    }
    switch (br->state) {
    case WEFT_BREAKER_CLOSED:
    case WEFT_BREAKER_FORCED_CLOSED:
    case WEFT_BREAKER_DISABLED:
        ret_answer->allowed = true;
        break;
    case WEFT_BREAKER_OPEN:
        ret_answer->wait_ms = open_ms(br, now_ms);
        break;
    case WEFT_BREAKER_FORCED_OPEN:
        ret_answer->wait_ms = br->cfg.timeout_ms;
        break;
    case WEFT_BREAKER_HALF_OPEN:
        give(br, now_ms, ret_answer);
        break;
    }
}

bool weft_breaker_report(struct weft_breaker *br, uint32_t node, uint64_t epoch, uint64_t successes,
                         uint64_t failures, uint64_t now_ms)
{
    uint64_t newest;

    if ((br->state != WEFT_BREAKER_CLOSED && br->state != WEFT_BREAKER_FORCED_CLOSED) ||
        (epoch != 0 && epoch != br->epoch) || successes + failures == 0) {
        return false;
    }
    newest = slide(br, now_ms / 1000);
    add(br, newest, successes, failures);
    if (failures > 0) {
        note_node(br, node, newest);
    }
    if (br->state == WEFT_BREAKER_CLOSED && is_enough(br, newest)) {
        turn(br, WEFT_BREAKER_OPEN, now_ms);
    }
    return true;
}

/* The index of a permit that is out; n_permits: it is not. */
static size_t find_permit(const struct weft_breaker *br, struct weft_permit permit)
{
    size_t i = 0;

    while (i < br->n_permits && br->permits[i].number != permit.number) {
        i++;
    }
    return permit.epoch == br->epoch ? i : br->n_permits;
}

static void take_permit(struct weft_breaker *br, size_t i)
{
    br->n_permits--;
    memmove(&br->permits[i], &br->permits[i + 1], (br->n_permits - i) * sizeof(*br->permits));
}

bool weft_breaker_settle(struct weft_breaker *br, struct weft_permit permit, bool success,
                         uint64_t now_ms)
{
    size_t i = find_permit(br, permit);

    if (br->state != WEFT_BREAKER_HALF_OPEN || i == br->n_permits ||
        br->permits[i].until_ms <= now_ms) {
        return false;
    }
    take_permit(br, i);
    if (!success) {
        turn(br, WEFT_BREAKER_OPEN, now_ms);
    } else if (++br->successes >= br->cfg.success_threshold) {
        turn(br, WEFT_BREAKER_CLOSED, now_ms);
    }
    return true;
}

bool weft_breaker_give_back(struct weft_breaker *br, struct weft_permit permit)
{
    size_t i = find_permit(br, permit);

    if (i == br->n_permits) {
        return false;
    }
    take_permit(br, i);
    return true;
}

bool weft_breaker_force(struct weft_breaker *br, enum weft_breaker_force force, uint64_t now_ms)
{
    static const enum weft_breaker_state states[] = {
        [WEFT_BREAKER_FORCE_OPEN] = WEFT_BREAKER_FORCED_OPEN,
        [WEFT_BREAKER_FORCE_CLOSED] = WEFT_BREAKER_FORCED_CLOSED,
        [WEFT_BREAKER_FORCE_DISABLED] = WEFT_BREAKER_DISABLED,
        [WEFT_BREAKER_FORCE_AUTO] = WEFT_BREAKER_CLOSED,
    };
    bool forced = br->state != WEFT_BREAKER_CLOSED && br->state != WEFT_BREAKER_OPEN &&
                  br->state != WEFT_BREAKER_HALF_OPEN;

    if (states[force] == br->state || (force == WEFT_BREAKER_FORCE_AUTO && !forced)) {
        return false;
    }
    turn(br, states[force], now_ms);
    return true;
}

/*
 * page_priv - puts a page together from what Redis answered. Pure: no connection, no thread.
 *
 * For each topic: its newest seq (score) and the entries after the start. For all: the head, read
 * before the entries. Then: in order, each event once, and only up to a seq up to which every topic
 * is complete.
 */
#ifndef WEFT_FABRIC_PAGE_PRIV_H
#define WEFT_FABRIC_PAGE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/fabric/msg.h>
#include <weft/wire/history.h>
#include <weft/wire/page.h>

/* One log entry; the texts lie in the maker's buffer. */
struct weft_entry {
    struct weft_id id;
    uint64_t prev;
    uint32_t topic; /* index */
    uint32_t type_off, type_len;
    uint32_t event_off, event_len;
};

struct weft_page_topic {
    char name[WEFT_NAME_MAX + 1];
    uint16_t name_len;
    bool known;          /* has a score */
    bool asked;          /* entries were asked for */
    bool due;            /* ... and the reply has not come yet */
    bool full;           /* as many came as were asked for, and not its newest: there may be more */
    uint32_t count;      /* entries asked for */
    uint64_t score;      /* seq of its newest event */
    uint64_t first_prev; /* of its first entry */
    struct weft_id first, last; /* seq 0: no entry; they may lie beyond what the page keeps */
    struct weft_id at;          /* read up to here; an entry that is not ours has an id too */
};

/* A name that was asked for, and the oldest event after the start that a removed topic of it had. */
struct weft_page_removed {
    struct weft_str name; /* borrowed */
    uint64_t seq;         /* of the topic's last event */
};

struct weft_page_maker {
    enum weft_read_start from;
    struct weft_id start;
    struct weft_id head;   /* seq 0: no event ever */
    bool reset;            /* not all up to the start is of this history */
    struct weft_id resume; /* ... read after this instead; seq 0: from the first event held */
    struct weft_id cap;    /* the page ends here at the latest; seq 0: no such bound */
    bool more;             /* something came from beyond its end, and was not kept */
    struct weft_page_topic *topics;
    size_t n_topics, topics_cap;
    struct weft_entry *entries;
    size_t n, entries_cap;
    struct weft_page_removed *removed;
    size_t n_removed, removed_cap;
    struct weft_buf text;
};

void weft_page_maker_init(struct weft_page_maker *pm);
void weft_page_maker_fini(struct weft_page_maker *pm);

/* One more topic, which is not among them yet; its index. */
uint32_t weft_page_maker_add(struct weft_page_maker *pm, struct weft_str name);
/* The topic's next entry; kept if it does not lie beyond weft_page_maker_end(). */
void weft_page_maker_entry(struct weft_page_maker *pm, uint32_t topic, struct weft_id id,
                           uint64_t prev, struct weft_str type, struct weft_str event);
/*
 * A topic that `name`, one of those asked for, means or matches was removed whole by retention; seq: of its
 * last event. It may have been born again since. name is borrowed until the page is made.
 */
void weft_page_maker_removed(struct weft_page_maker *pm, struct weft_str name, uint64_t seq);
/*
 * Whether that has to be asked for a topic by its name: it has no score, or what is held of it
 * begins with its first event.
 */
bool weft_page_maker_unsure(const struct weft_page_maker *pm, const struct weft_page_topic *t);
/* Drops the entries; topics and head stay. */
void weft_page_maker_rewind(struct weft_page_maker *pm);

/* The page ends at this id or before. */
void weft_page_maker_end_at(struct weft_page_maker *pm, struct weft_id id);
/* Where it ends at the latest: nothing has to be read of a topic that is read up to there. */
struct weft_id weft_page_maker_end(const struct weft_page_maker *pm);
/* Memory of the entries kept. */
size_t weft_page_maker_bytes(const struct weft_page_maker *pm);
/* ... and of those among them that a page made now would have. */
size_t weft_page_maker_ready(const struct weft_page_maker *pm);
/*
 * Keeps the oldest entries that come to so many bytes, one event at least; the page ends there then, so that memory is
 * bounded by what a page is to have and not by the number of topics.
 */
void weft_page_maker_cut(struct weft_page_maker *pm, size_t bytes);

/* The head, which is read before anything else: also whether the start belongs to this history. */
void weft_page_maker_head(struct weft_page_maker *pm, const struct weft_history *h);
/* What is to be read lies after this; seq 0: from the first event held, or by time. */
struct weft_id weft_page_maker_after(const struct weft_page_maker *pm);

/*
 * `what`: the names that were asked for, for the gaps of a reset. bb is scratch. Yours; NULL when
 * out of memory.
 */
struct weft_page *weft_page_make(struct weft_page_maker *pm, struct weft_str what,
                                 struct weft_batch_builder *bb);

#endif

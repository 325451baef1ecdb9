#include <weft/http/board.h>

#include <pthread.h>
#include <stdlib.h>

#include <weft/base/assert.h>

struct pin {
    struct weft_report *report; /* NULL: none yet */
};

struct weft_board {
    pthread_mutex_t lock; /* of the pins */
    uint32_t n;           /* const after create */
    struct pin pins[];
};

int weft_board_create(struct weft_board **ret_board, uint32_t workers)
{
    struct weft_board *board = calloc(1, sizeof(*board) + workers * sizeof(struct pin));

    if (board == NULL) {
        return WEFT_ENOMEM;
    }
    board->n = workers;
    (void)pthread_mutex_init(&board->lock, NULL);
    *ret_board = board;
    return 0;
}

void weft_board_destroy(struct weft_board *board)
{
    if (board == NULL) {
        return;
    }
    for (uint32_t i = 0; i < board->n; i++) {
        weft_report_unref(board->pins[i].report);
    }
    (void)pthread_mutex_destroy(&board->lock);
    free(board);
}

uint32_t weft_board_workers(const struct weft_board *board)
{
    return board->n;
}

void weft_board_pin(struct weft_board *board, uint32_t worker, struct weft_report *report)
{
    struct weft_report *last;

    WEFT_ASSERT(worker < board->n);
    (void)pthread_mutex_lock(&board->lock);
    last = board->pins[worker].report;
    board->pins[worker].report = report;
    (void)pthread_mutex_unlock(&board->lock);
    weft_report_unref(last);
}

struct weft_report *weft_board_look(struct weft_board *board, uint32_t worker)
{
    struct weft_report *report;

    WEFT_ASSERT(worker < board->n);
    (void)pthread_mutex_lock(&board->lock);
    report = board->pins[worker].report;
    if (report != NULL) {
        (void)atomic_fetch_add_explicit(&report->refs, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&board->lock);
    return report;
}

struct weft_report *weft_report_create(void)
{
    struct weft_report *report = calloc(1, sizeof(*report));

    if (report != NULL) {
        atomic_init(&report->refs, 1);
    }
    return report;
}

void weft_report_unref(struct weft_report *report)
{
    if (report != NULL && atomic_fetch_sub_explicit(&report->refs, 1, memory_order_acq_rel) == 1) {
        free(report->text);
        free(report);
    }
}

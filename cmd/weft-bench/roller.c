#include "roller.h"

#include <time.h>

#include <weft/base/assert.h>
#include <weft/base/clock.h>

static enum roller_state state_of(struct roller *roller)
{
    return (enum roller_state)atomic_load_explicit(&roller->state, memory_order_acquire);
}

static void move(struct roller *roller, enum roller_state to)
{
    atomic_store_explicit(&roller->state, to, memory_order_release);
}

static void short_sleep(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static enum roller_state restart(struct roller *roller)
{
    struct child *child = &roller->stage->nodes[roller->node];
    uint64_t begin = weft_clock_mono_ms();
    struct bench bench;

    if (!child_stop_in(child, roller->stop_timeout_ms))
        return ROLLER_FAILED;
    roller->stop_ms = weft_clock_mono_ms() - begin;
    if (!stage_node(roller->stage, roller->node, &bench))
        return ROLLER_FAILED;
    roller->server = bench.servers[0];
    return ROLLER_BACK;
}

static void *work(void *arg)
{
    struct roller *roller = arg;

    for (;;) {
        switch (state_of(roller)) {
        case ROLLER_ASKED:
            move(roller, restart(roller));
            break;
        case ROLLER_QUIT:
            return NULL;
        case ROLLER_IDLE:
        case ROLLER_BACK:
        case ROLLER_FAILED:
            short_sleep();
            break;
        }
    }
}

void roller_init(struct roller *roller, struct stage *stage, uint64_t stop_timeout_ms)
{
    int rc;

    *roller = (struct roller){.stage = stage, .stop_timeout_ms = stop_timeout_ms};
    rc = pthread_create(&roller->thread, NULL, work, roller);
    WEFT_ASSERT(rc == 0);
}

void roller_fini(struct roller *roller)
{
    roller_await(roller);
    move(roller, ROLLER_QUIT);
    pthread_join(roller->thread, NULL);
}

/* A restart ends in time by itself. */
void roller_await(struct roller *roller)
{
    while (state_of(roller) == ROLLER_ASKED)
        short_sleep();
}

void roller_restart(struct roller *roller, unsigned node)
{
    WEFT_ASSERT(state_of(roller) == ROLLER_IDLE);
    roller->node = node;
    move(roller, ROLLER_ASKED);
}

enum roller_state roller_look(struct roller *roller)
{
    enum roller_state state = state_of(roller);

    if (state == ROLLER_BACK || state == ROLLER_FAILED)
        move(roller, ROLLER_IDLE);
    return state;
}

/*
 * role - which thread may run a function or touch a field, checked by clang.
 *
 * A role is a capability without a lock: functions that must run on the hub's thread are marked
 * WEFT_ON_HUB, fields that are only touched there WEFT_OF_HUB. The callbacks through which a
 * library enters that thread begin with weft_role_assert_hub(), which checks at run time and tells
 * the analysis so. It does not follow function pointers: a static function that is only reached by
 * one asserts, too. gcc compiles the same code with the marks empty.
 * (Clang's thread-safety analysis, `-Wthread-safety`.)
 */
#ifndef WEFT_BASE_ROLE_H
#define WEFT_BASE_ROLE_H

#include <pthread.h>

#if defined(__clang__)
#define WEFT_CAPABILITY(name) __attribute__((capability(name)))
#define WEFT_REQUIRES(x)      __attribute__((requires_capability(x)))
#define WEFT_ASSERTS(x)       __attribute__((assert_capability(x)))
#define WEFT_GUARDED_BY(x)    __attribute__((guarded_by(x)))
#else
#define WEFT_CAPABILITY(name)
#define WEFT_REQUIRES(x)
#define WEFT_ASSERTS(x)
#define WEFT_GUARDED_BY(x)
#endif

struct WEFT_CAPABILITY("role") weft_role {
    char unused;
};

/*
 * The roles of a node. A role says which kind of thread; which of the workers, the run-time check
 * says.
 */
extern struct weft_role weft_role_hub;
extern struct weft_role weft_role_worker;
extern struct weft_role weft_role_control;

/* Functions that run there, and fields that only they touch. */
#define WEFT_ON_HUB     WEFT_REQUIRES(weft_role_hub)
#define WEFT_ON_WORKER  WEFT_REQUIRES(weft_role_worker)
#define WEFT_ON_CONTROL WEFT_REQUIRES(weft_role_control)
#define WEFT_OF_HUB     WEFT_GUARDED_BY(weft_role_hub)
#define WEFT_OF_WORKER  WEFT_GUARDED_BY(weft_role_worker)
#define WEFT_OF_CONTROL WEFT_GUARDED_BY(weft_role_control)

/*
 * First line of every callback that a loop enters a thread by: owner is the object's home thread.
 */
void weft_role_assert_hub(pthread_t owner) WEFT_ASSERTS(weft_role_hub);
void weft_role_assert_worker(pthread_t owner) WEFT_ASSERTS(weft_role_worker);
void weft_role_assert_control(pthread_t owner) WEFT_ASSERTS(weft_role_control);

#endif

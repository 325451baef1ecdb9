#include <weft/loop/mailbox.h>

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <weft/base/assert.h>

struct weft_mailbox {
    size_t capacity; /* const after create */
    void *owner;     /* const after create */
    int fd;          /* const after create */
    struct {         /* any thread, mu held */
        pthread_mutex_t mu;
        struct weft_msg *head;
        struct weft_msg **tail; /* &head, or the last message's next */
        size_t len;
    } locked;
};

int weft_mailbox_create(struct weft_mailbox **ret_mb, size_t capacity, void *owner)
{
    struct weft_mailbox *mb = calloc(1, sizeof(*mb));

    if (mb == NULL) {
        return WEFT_ENOMEM;
    }
    mb->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mb->fd < 0) {
        free(mb);
        return WEFT_ESYS;
    }
    mb->capacity = capacity;
    mb->owner = owner;
    WEFT_ASSERT(pthread_mutex_init(&mb->locked.mu, NULL) == 0);
    mb->locked.tail = &mb->locked.head;
    *ret_mb = mb;
    return 0;
}

void weft_mailbox_destroy(struct weft_mailbox *mb)
{
    if (mb == NULL) {
        return;
    }
    struct weft_msg *msg = mb->locked.head;
    while (msg != NULL) {
        struct weft_msg *next = msg->next;

        msg->ops->drop(msg);
        msg = next;
    }
    (void)pthread_mutex_destroy(&mb->locked.mu);
    (void)close(mb->fd);
    free(mb);
}

static void wake(struct weft_mailbox *mb)
{
    static const uint64_t one = 1;

    /* Cannot fail but by EAGAIN at 2^64 wake-ups nobody read, which are a wake-up. */
    ssize_t n = write(mb->fd, &one, sizeof(one));
    (void)n;
}

int weft_mailbox_post(struct weft_mailbox *mb, struct weft_msg **msg)
{
    bool was_empty;

    (void)pthread_mutex_lock(&mb->locked.mu);
    if (mb->locked.len >= mb->capacity) {
        (void)pthread_mutex_unlock(&mb->locked.mu);
        return WEFT_EFULL;
    }
    was_empty = mb->locked.len++ == 0;
    (*msg)->next = NULL;
    *mb->locked.tail = *msg;
    mb->locked.tail = &(*msg)->next;
    (void)pthread_mutex_unlock(&mb->locked.mu);

    *msg = NULL; /* moved: the owner may have freed it already */
    if (was_empty) {
        wake(mb);
    }
    return 0;
}

void weft_mailbox_post_chain(struct weft_mailbox *mb, struct weft_msg *first, struct weft_msg *last,
                             size_t n)
{
    bool was_empty;

    last->next = NULL;
    (void)pthread_mutex_lock(&mb->locked.mu);
    was_empty = mb->locked.len == 0;
    mb->locked.len += n;
    *mb->locked.tail = first;
    mb->locked.tail = &last->next;
    (void)pthread_mutex_unlock(&mb->locked.mu);

    if (was_empty) {
        wake(mb);
    }
}

size_t weft_mailbox_len(struct weft_mailbox *mb)
{
    size_t len;

    (void)pthread_mutex_lock(&mb->locked.mu);
    len = mb->locked.len;
    (void)pthread_mutex_unlock(&mb->locked.mu);
    return len;
}

int weft_mailbox_fd(const struct weft_mailbox *mb)
{
    return mb->fd;
}

size_t weft_mailbox_drain(struct weft_mailbox *mb)
{
    struct weft_msg *msg;
    uint64_t count;
    size_t n = 0;

    ssize_t got = read(mb->fd, &count, sizeof(count));
    (void)got; /* EAGAIN: an earlier drain took what this wake-up was for */

    (void)pthread_mutex_lock(&mb->locked.mu);
    msg = mb->locked.head;
    mb->locked.head = NULL;
    mb->locked.tail = &mb->locked.head;
    mb->locked.len = 0;
    (void)pthread_mutex_unlock(&mb->locked.mu);

    while (msg != NULL) {
        struct weft_msg *next = msg->next;

        msg->ops->deliver(msg, mb->owner);
        msg = next;
        n++;
    }
    return n;
}

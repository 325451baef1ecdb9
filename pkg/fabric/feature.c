#include <weft/fabric/feature.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <weft/base/assert.h>

struct weft_answer_msg *weft_answer_to(const struct weft_request *rq, uint16_t status)
{
    struct weft_answer_msg *a = calloc(1, sizeof(*a));

    WEFT_ASSERT(a != NULL);
    a->ticket = rq->ticket;
    a->status = status;
    return a;
}

void weft_answer_body(struct weft_answer_msg *a, struct weft_buf *b)
{
    WEFT_ASSERT(a->body == NULL);
    a->body = weft_buf_take(b, &a->body_len);
}

void weft_answer_header(struct weft_answer_msg *a, const char *name, const char *fmt, ...)
{
    struct weft_answer_header *h;
    va_list ap;

    WEFT_ASSERT(a->n_headers < WEFT_ANSWER_HEADERS_MAX);
    h = &a->headers[a->n_headers++];
    h->name = name;
    va_start(ap, fmt);
    (void)vsnprintf(h->value, sizeof(h->value), fmt, ap);
    va_end(ap);
}

void weft_answer_problem(struct weft_answer_msg *a, const char *code, const char *field,
                         const char *fmt, ...)
{
    va_list ap;

    a->code = code;
    a->field = field;
    va_start(ap, fmt);
    (void)vsnprintf(a->detail, sizeof(a->detail), fmt, ap);
    va_end(ap);
}

void weft_feature_answer(const struct weft_feature_env *env, const struct weft_request *rq,
                         struct weft_answer_msg *a)
{
    a->msg.ops = &env->ops->answer;
    weft_feature_tell(env, rq->worker, &a->msg);
}

void weft_feature_tell(const struct weft_feature_env *env, size_t worker, struct weft_msg *msg)
{
    WEFT_ASSERT(worker < env->n_workers);
    msg->next = NULL;
    weft_mailbox_post_chain(env->workers[worker], msg, msg, 1);
}

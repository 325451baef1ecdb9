/*
 * streams - reaches a stream wherever it is, as a feature of the control thread (fabric/feature.h).
 *
 * A stream lives on one worker of one node, and whoever wants something of it (other topics, another token, its end) may
 * have come to any other. The request goes from the worker that was asked to its control, by the channel of the stream's
 * node, weft:streams:<node>, to the control there, and to the stream's worker; the answer goes the same way back. What
 * request and answer say is the workers' own affair: here they are texts.
 *
 * On the channel: `ask <from> <number> <worker> <text>` and `answer <number> <text>`. A node that nobody hears for is
 * gone, and the stream with it; so is one that does not answer within two seconds.
 */
#ifndef WEFT_ACCESS_STREAMS_H
#define WEFT_ACCESS_STREAMS_H

#include <stdint.h>

#include <weft/base/buf.h>
#include <weft/base/err.h>
#include <weft/base/role.h>
#include <weft/base/str.h>
#include <weft/fabric/feature.h>

#define WEFT_STREAMS_TEXT_MAX ((size_t)256 * 1024) /* of a request, and of an answer */

struct weft_streams;
struct weft_mailbox;

int weft_streams_create(struct weft_streams **ret_sts,
                        const struct weft_feature_env *env) WEFT_ON_CONTROL WEFT_MUST_CHECK;
void weft_streams_message(struct weft_streams *sts, struct weft_str payload) WEFT_ON_CONTROL;
void weft_streams_up(struct weft_streams *sts) WEFT_ON_CONTROL;
void weft_streams_down(struct weft_streams *sts) WEFT_ON_CONTROL;
/* NULL is allowed. */
void weft_streams_destroy(struct weft_streams *sts) WEFT_ON_CONTROL;

/*
 * A worker's part of it (WEFT_PART_STREAMS): act does what the text asks for and appends the answer, at once, on
 * the worker's thread.
 */
struct weft_streams_part {
    void *ctx;
    void (*act)(void *ctx, struct weft_str text, struct weft_buf *answer);
    struct weft_mailbox *control;
};

/*
 * Made on any thread, posted to control; never NULL. Answered with the other worker's text as the body, or with a
 * problem: 404, the node is not there; 503. text: at most WEFT_STREAMS_TEXT_MAX.
 */
struct weft_request *weft_streams_ask(struct weft_str node, uint32_t worker, struct weft_str text);

#endif

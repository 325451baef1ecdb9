/*
 * removed_priv - asks Redis which topics retention has removed, for the gaps of a page.
 *
 * A topic that was removed has neither log nor score, and what is published to it later begins a new
 * chain: neither shows what went. `weft:{0}:removed` has the last event of each, so that exactly those
 * are told who had not seen it; where it has forgotten, the head's floor is all that is known.
 */
#ifndef WEFT_FABRIC_REMOVED_PRIV_H
#define WEFT_FABRIC_REMOVED_PRIV_H

#include "hub_priv.h"
#include "page_priv.h"

/*
 * After the entries of the page are there. 0: there is nothing to ask. 1: asked; done is called once, pm
 * has what was found then (what and pm are borrowed until that). WEFT_EUNAVAILABLE: done is not called.
 */
int weft_removed_ask(struct weft_hub *hub, struct weft_page_maker *pm, struct weft_str what,
                     void (*done)(void *ctx, bool ok), void *ctx) WEFT_ON_HUB WEFT_MUST_CHECK;

#endif

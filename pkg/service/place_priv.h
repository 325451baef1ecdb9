/*
 * place_priv - which of some nodes is the one for a service: the same answer everywhere, without asking anybody.
 *
 * Rendezvous hashing: when a node goes only its services move, when one comes only those that become its own. It
 * is a preference, not a lock: a lease decides.
 */
#ifndef WEFT_SERVICE_PLACE_PRIV_H
#define WEFT_SERVICE_PLACE_PRIV_H

#include <stddef.h>

/* Index of the node; n if there is none. */
size_t weft_place(const char *service, const char *const *nodes, size_t n);

#endif

/*
 * The places for unfinished handshakes, by address, so that one address can't take them all: each has a limit of its own, and where all
 * places are taken the oldest handshake of the address with most of them gives way. All operations take constant time, whatever peers do.
 *
 * An IPv6 address counts with all others of its /64, which is what one customer gets. One thread.
 */
#ifndef DATAPLANE_SHARD_HANDSHAKE_PLACES_H
#define DATAPLANE_SHARD_HANDSHAKE_PLACES_H

#include "flashrelay/address.h"
#include "flashrelay/list.h"

#include <stdint.h>

struct handshake_places;

/* `total` places, of which one address may take `per_address`; `seed` of the hash. 0 or -ENOMEM. */
int handshake_places_create(struct handshake_places **out, uint32_t total, uint32_t per_address, uint64_t seed);
void handshake_places_destroy(struct handshake_places *places);

/*
 * Returns whose place is to be given up so that a handshake from `ip` gets one, NULL if there is one free: the node of the oldest of its
 * address, or of the address with most. Its owner leaves and then enters the new one.
 */
struct list_node *handshake_places_find_victim(const struct handshake_places *places, const struct ip_address *ip);

/* Takes a place for a handshake from `ip`, which must have one; `node` is in no list, and the places' until it leaves. */
void handshake_places_enter(struct handshake_places *places, const struct ip_address *ip, struct list_node *node);

/* Gives the place back. */
void handshake_places_leave(struct handshake_places *places, const struct ip_address *ip, struct list_node *node);

/* How many are taken. */
uint32_t handshake_places_taken(const struct handshake_places *places);

#endif

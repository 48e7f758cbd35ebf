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
 * Returns NULL if a handshake from `ip` can take a place, else the node of the handshake that must give up its place first: the oldest of
 * the same address if that has reached its limit, or the oldest of the address with most. The caller makes it leave before the new one enters.
 */
struct list_node *handshake_places_find_victim(const struct handshake_places *places, const struct ip_address *ip);

/* The oldest handshake of the address with most places, or NULL if no place is taken. */
struct list_node *handshake_places_find_busiest(const struct handshake_places *places);

/* Takes a place for a handshake from `ip`; there must be one. `node` is in no list before and belongs to the places until it leaves. */
void handshake_places_enter(struct handshake_places *places, const struct ip_address *ip, struct list_node *node);

/* Gives back the place of a handshake that entered with the same `ip` and `node`. */
void handshake_places_leave(struct handshake_places *places, const struct ip_address *ip, struct list_node *node);

/* How many places are taken. */
uint32_t handshake_places_taken(const struct handshake_places *places);

#endif

/*
 * A card's transmit ring as the full path of DPDK's driver for Intel's E810 (ice) treats it: one descriptor of 16 bytes per mbuf, one more
 * before a packet with TSO, one per 16,383 bytes of such a packet; an mbuf is kept until its descriptor is needed again, and is freed then.
 * The card is infinitely fast: there is always room.
 */
#ifndef PERF_POPULATION_TRANSMIT_RING_H
#define PERF_POPULATION_TRANSMIT_RING_H

#include <rte_mbuf.h>

#include <stdint.h>

#define TRANSMIT_RING_ENTRIES 4096 /* a power of two */

struct transmit_descriptor {
    uint64_t address;
    uint64_t command;
};

struct transmit_ring {
    struct transmit_descriptor *descriptors;
    struct rte_mbuf **held; /* the mbuf of each descriptor, or NULL */
    uint32_t next;
};

/* 0 or -ENOMEM. transmit_ring_dispose frees the mbufs too; a zeroed ring is allowed there. */
int transmit_ring_init(struct transmit_ring *ring);
void transmit_ring_dispose(struct transmit_ring *ring);

/* Writes the descriptors of a packet and takes its mbufs. */
void transmit_ring_add(struct transmit_ring *ring, struct rte_mbuf *packet);

/* Frees all mbufs, in the order in which they were sent. */
void transmit_ring_clean(struct transmit_ring *ring);

#endif

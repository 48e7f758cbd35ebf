/*
 * How a port hands packets to the device: two functions, so that something else can take the place of a card's queue pair, such as a
 * simulated population of clients.
 */
#ifndef DATAPLANE_ENGINE_DPDK_BURST_H
#define DATAPLANE_ENGINE_DPDK_BURST_H

#include <rte_mbuf.h>

#include <stdbool.h>
#include <stdint.h>

#undef NS_PER_S /* of rte_cycles.h: flashrelay/clock.h defines it too */

struct dpdk_burst {
    /*
     * Takes packets to be sent, the first ones of `packets`, and returns how many it took: less than `count` if the ring is full. What it
     * took it frees (rte_pktmbuf_free) once their bytes are read: an epoch of the port ends with that.
     */
    uint16_t (*transmit)(void *context, struct rte_mbuf **packets, uint16_t count);
    /* Gives at most `count` packets that have arrived; the port frees them. Returns how many there are. */
    uint16_t (*receive)(void *context, struct rte_mbuf **packets, uint16_t count);
    void *context;
};

/* One queue pair of a device. */
struct dpdk_queue {
    uint16_t device, queue; /* their numbers in DPDK */
};

/* The bursts of a device's queue pair, which must outlive them. `prepares`: packets may need what rte_eth_tx_prepare does (TSO). */
struct dpdk_burst dpdk_burst_of(struct dpdk_queue *queue, bool prepares);

#endif

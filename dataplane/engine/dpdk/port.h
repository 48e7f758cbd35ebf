/* A port (engine/tcp/port.h) of mbufs: one queue pair of a device, or what takes its place. */
#ifndef DATAPLANE_ENGINE_DPDK_PORT_H
#define DATAPLANE_ENGINE_DPDK_PORT_H

#include "engine/dpdk/burst.h"
#include "engine/tcp/port.h"

/* Most packets that wait for room in the device's ring. */
#define DPDK_PORT_WAITING 4096

/* How a device is made to free what it has sent while nothing more is to be sent. */
enum dpdk_reclaim {
    DPDK_RECLAIM_NEVER,   /* it frees without being asked */
    DPDK_RECLAIM_CLEANUP, /* by rte_eth_tx_done_cleanup */
    DPDK_RECLAIM_STATUS,  /* by rte_eth_tx_descriptor_status */
    DPDK_RECLAIM_FRAME,   /* by sending a frame, to the port's own MAC address */
};

struct dpdk_device;

struct dpdk_port_options {
    struct port_limits limits;
    struct dpdk_burst burst;
    int socket;       /* NUMA node of the buffers, or SOCKET_ID_ANY */
    uint32_t packets; /* most packets that the device holds at once */
    bool chains;      /* the device sends packets that consist of several mbufs; else payloads are copied behind their headers */
    bool needs_iova;  /* the device reads memory by itself, so payloads outside of EAL's memory are copied */
    bool frees_in_order; /* the device frees packets in the order in which it took them */

    /* A device's queue pair. NULL: `burst` is not one; then there are no interrupts, and what follows is not used. */
    const struct dpdk_queue *queue;
    struct dpdk_device *device; /* stopped when one of its ports is closed */
    bool has_interrupts;        /* the queue has a descriptor that ends the sleep */
    enum dpdk_reclaim reclaim;
};

/*
 * Creates a port. Its memory is EAL's, which must be initialised. The thread that uses it is made known to EAL at its first `receive`. 0,
 * -ENOMEM, or another negative errno. dpdk_port_destroy frees it (NULL is allowed), after the device has been stopped and has freed all it held.
 */
int dpdk_port_create(struct port **out, const struct dpdk_port_options *options);
void dpdk_port_destroy(struct port *port);

/* Bytes of EAL's memory that a port needs for its own buffers, and that a pool of `count` mbufs with `room` bytes each needs. */
size_t dpdk_port_memory(const struct dpdk_port_options *options);
size_t dpdk_pool_memory(unsigned count, uint16_t room);

#endif

/* A port's own structure, which its files share. */
#ifndef DATAPLANE_ENGINE_DPDK_INTERNAL_H
#define DATAPLANE_ENGINE_DPDK_INTERNAL_H

#include "engine/dpdk/port.h"
#include "engine/dpdk/port_epochs.h"
#include "engine/dpdk/regions.h"
#include "engine/dpdk/sleeper.h"

#include <pthread.h>

/* Ethernet frames are at least this long (without checksum; IEEE 802.3). */
#define SHORTEST_FRAME_BYTES 60

/* Packets that wait for room in the ring, in order. */
struct waiting {
    struct rte_mbuf *packets[DPDK_PORT_WAITING];
    uint32_t first, count;
    uint64_t refused_ns; /* since when the device has taken nothing; 0: it takes */
};

struct dpdk_port {
    struct port port;
    struct dpdk_port_options options;
    struct rte_mempool *headers;  /* mbufs with room for PORT_HEADER_BYTES, and without chains for a whole packet */
    struct rte_mempool *payloads; /* mbufs without room, for payloads by reference; NULL without chains */
    struct rte_mempool *copies;   /* mbufs for payloads that the device can't read where they lie; NULL without chains */
    struct regions regions;
    struct port_epochs epochs;
    struct waiting waiting;
    struct sleeper sleeper;
    struct rte_mbuf *early[PORT_BURST]; /* received before a sleep that did not come about */
    unsigned early_count;
    pthread_t thread;       /* the last that received */
    bool has_thread;        /* false: none has received */
    uint64_t chained_drops; /* received packets of several mbufs */
    uint64_t reclaim_ns;    /* when the last frame was sent to that end */
};

/* --- transmit.c --- */

bool dpdk_port_take_headers(struct port *port, uint8_t **headers, unsigned count);
void dpdk_port_return_headers(struct port *port, uint8_t **headers, unsigned count);
void dpdk_port_send(struct port *port, const struct port_segment *segments, unsigned count);

/* --- waiting.c --- */

/* Sends packets; those that the ring does not take wait, those that find no room there are freed and counted. */
void dpdk_port_submit(struct dpdk_port *port, struct rte_mbuf **packets, uint16_t count);
/* Lets a packet wait for the next flush. */
void dpdk_port_append(struct dpdk_port *port, struct rte_mbuf *packet);
bool dpdk_port_flush(struct port *port);
void dpdk_port_drop_waiting(struct dpdk_port *port);

/* How many packets can wait in addition. */
static inline uint32_t dpdk_port_room(const struct dpdk_port *port)
{
    return DPDK_PORT_WAITING - port->waiting.count;
}

/* --- reclaim.c --- */

void dpdk_port_reclaim(struct port *port, bool urgent);

#endif

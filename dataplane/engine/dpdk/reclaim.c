/* Making an idle device free what it has sent. */
#include "engine/dpdk/internal.h"

#include "flashrelay/clock.h"

#include <rte_ethdev.h>

#include <string.h>

/* A frame is sent to that end at most once per this time. */
#define FRAME_INTERVAL_NS (100 * NS_PER_MS)
/* EtherType for local experiments (IEEE 802, 9.2.3). */
#define ETHER_TYPE_EXPERIMENT 0x88b5

/*
 * Sends an empty frame from the port's MAC address to itself. A switch discards a frame for the segment that it comes from (IEEE 802.1D,
 * 7.7), so nobody gets it.
 */
static void send_frame(struct dpdk_port *port)
{
    const uint8_t *mac = port->port.limits.mac;
    uint8_t *header;

    if (!dpdk_port_take_headers(&port->port, &header, 1))
        return;
    memcpy(header, mac, RTE_ETHER_ADDR_LEN);
    memcpy(header + RTE_ETHER_ADDR_LEN, mac, RTE_ETHER_ADDR_LEN);
    header[12] = ETHER_TYPE_EXPERIMENT >> 8;
    header[13] = ETHER_TYPE_EXPERIMENT & 0xff;
    dpdk_port_send(&port->port, &(struct port_segment){.header = header, .header_bytes = RTE_ETHER_HDR_LEN}, 1);
}

void dpdk_port_reclaim(struct port *base, bool urgent)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    const struct dpdk_queue *queue = port->options.queue;
    uint64_t now_ns;

    switch (queue ? port->options.reclaim : DPDK_RECLAIM_NEVER) {
    case DPDK_RECLAIM_NEVER:
        return;
    case DPDK_RECLAIM_CLEANUP:
        rte_eth_tx_done_cleanup(queue->device, queue->queue, 0);
        return;
    case DPDK_RECLAIM_STATUS:
        rte_eth_tx_descriptor_status(queue->device, queue->queue, 0);
        return;
    case DPDK_RECLAIM_FRAME:
        now_ns = clock_monotonic_ns();
        if (!urgent || now_ns - port->reclaim_ns < FRAME_INTERVAL_NS)
            return;
        port->reclaim_ns = now_ns;
        send_frame(port);
        return;
    }
}

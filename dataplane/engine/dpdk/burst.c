#include "engine/dpdk/burst.h"

#include <rte_ethdev.h>

static uint16_t transmit(void *context, struct rte_mbuf **packets, uint16_t count)
{
    const struct dpdk_queue *queue = context;

    return rte_eth_tx_burst(queue->device, queue->queue, packets, count);
}

/* A packet that the driver can't send is dropped: it would stand before all others for ever. */
static uint16_t prepare_and_transmit(void *context, struct rte_mbuf **packets, uint16_t count)
{
    const struct dpdk_queue *queue = context;
    uint16_t prepared = rte_eth_tx_prepare(queue->device, queue->queue, packets, count);
    uint16_t sent = rte_eth_tx_burst(queue->device, queue->queue, packets, prepared);

    if (sent < prepared || prepared == count)
        return sent;
    rte_pktmbuf_free(packets[prepared]);
    return (uint16_t)(prepared + 1);
}

static uint16_t receive(void *context, struct rte_mbuf **packets, uint16_t count)
{
    const struct dpdk_queue *queue = context;

    return rte_eth_rx_burst(queue->device, queue->queue, packets, count);
}

struct dpdk_burst dpdk_burst_of(struct dpdk_queue *queue, bool prepares)
{
    return (struct dpdk_burst){
        .transmit = prepares ? prepare_and_transmit : transmit,
        .receive = receive,
        .context = queue,
    };
}

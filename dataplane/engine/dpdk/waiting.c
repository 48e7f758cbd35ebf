/* Handing packets to the device, and the queue of those that it does not take yet. */
#include "engine/dpdk/internal.h"

#include "flashrelay/clock.h"

/*
 * A device that takes nothing for this long may never take the packet in front: it is dropped, and so are those behind it until the device
 * takes one. A tap, for example, refuses packets above its MTU, which an operator can lower, and all packets while its interface is down.
 * Packets that wait hold frames, and so the publisher.
 */
#define REFUSED_NS NS_PER_S

static uint16_t transmit(const struct dpdk_port *port, struct rte_mbuf **packets, uint32_t count)
{
    const struct dpdk_burst *burst = &port->options.burst;

    return burst->transmit(burst->context, packets, (uint16_t)count);
}

static void drop(struct dpdk_port *port, struct rte_mbuf *packet)
{
    rte_pktmbuf_free(packet);
    counter_add(&port->port.counters.send_drops, 1);
}

void dpdk_port_append(struct dpdk_port *port, struct rte_mbuf *packet)
{
    struct waiting *waiting = &port->waiting;

    if (waiting->count == DPDK_PORT_WAITING)
        drop(port, packet);
    else
        waiting->packets[(waiting->first + waiting->count++) % DPDK_PORT_WAITING] = packet;
}

static void remove_first(struct waiting *waiting, uint32_t count)
{
    waiting->first = (waiting->first + count) % DPDK_PORT_WAITING;
    waiting->count -= count;
}

void dpdk_port_drop_waiting(struct dpdk_port *port)
{
    while (port->waiting.count > 0) {
        drop(port, port->waiting.packets[port->waiting.first]);
        remove_first(&port->waiting, 1);
    }
}

/* Notes that the device took nothing, and drops the first packet if that has lasted too long. */
static void on_refused(struct dpdk_port *port)
{
    struct waiting *waiting = &port->waiting;
    uint64_t now_ns = clock_monotonic_ns();

    if (waiting->refused_ns == 0)
        waiting->refused_ns = now_ns;
    if (now_ns - waiting->refused_ns < REFUSED_NS)
        return;
    drop(port, waiting->packets[waiting->first]);
    remove_first(waiting, 1);
}

bool dpdk_port_flush(struct port *base)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    struct waiting *waiting = &port->waiting;

    while (waiting->count > 0) {
        uint32_t contiguous = RTE_MIN(waiting->count, DPDK_PORT_WAITING - waiting->first);
        uint32_t offered = RTE_MIN(contiguous, (uint32_t)PORT_BURST);
        uint16_t taken = transmit(port, &waiting->packets[waiting->first], offered);

        remove_first(waiting, taken);
        if (taken == 0)
            on_refused(port);
        else
            waiting->refused_ns = 0;
        if (taken < offered)
            return waiting->count == 0;
    }
    return true;
}

void dpdk_port_submit(struct dpdk_port *port, struct rte_mbuf **packets, uint16_t count)
{
    uint16_t taken = dpdk_port_flush(&port->port) ? transmit(port, packets, count) : 0;

    for (uint16_t i = taken; i < count; i++)
        dpdk_port_append(port, packets[i]);
}

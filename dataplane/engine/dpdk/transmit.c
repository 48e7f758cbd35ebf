/* Building packets: header mbufs, and payloads attached to them by reference or copied. */
#include "engine/dpdk/internal.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#include <assert.h>
#include <string.h>

/* A payload consists of at most this many mbufs by reference: one, or two across a page's border. */
#define PIECES 2

/* Where a header buffer begins: behind the mbuf and the room that drivers may want for headers of their own. */
#define HEADER_OFFSET (sizeof(struct rte_mbuf) + RTE_PKTMBUF_HEADROOM)

/* How far ahead mbufs are fetched into the cache: they come back from the card cold. */
#define PREFETCH_MBUFS 4

/* What `send` has at hand. */
struct batch {
    struct dpdk_port *port;
    struct rte_mbuf *payloads[PORT_BURST * PIECES]; /* taken from the pool */
    unsigned taken;                                 /* how many; 0: the device sends no chains */
    unsigned used;                                  /* of them, the first ones */
};

static struct rte_mbuf *mbuf_of(uint8_t *header)
{
    return (struct rte_mbuf *)(header - HEADER_OFFSET);
}

bool dpdk_port_take_headers(struct port *base, uint8_t **headers, unsigned count)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    struct rte_mbuf *mbufs[PORT_BURST];

    assert(count <= PORT_BURST);
    if (rte_mempool_get_bulk(port->headers, (void **)mbufs, count) != 0) {
        counter_add(&base->counters.buffer_shortages, 1);
        return false;
    }
    for (unsigned i = 0; i < count; i++)
        headers[i] = (uint8_t *)mbufs[i] + HEADER_OFFSET;
    return true;
}

void dpdk_port_return_headers(struct port *base, uint8_t **headers, unsigned count)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    struct rte_mbuf *mbufs[PORT_BURST];

    assert(count <= PORT_BURST);
    for (unsigned i = 0; i < count; i++)
        mbufs[i] = mbuf_of(headers[i]);
    rte_mempool_put_bulk(port->headers, (void **)mbufs, count);
}

/* Tells the card how to cut; it adds to the pseudo header's sum, which is without length (as rte_tcp.h and Intel's cards have it). */
static void request_cutting(struct rte_mbuf *packet, const struct port_segment *segment)
{
    uint8_t *ip = segment->header + segment->link_bytes;
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + segment->ip_bytes);

    packet->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM |
                       (segment->is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM);
    packet->tx_offload = rte_mbuf_tx_offload(segment->link_bytes, segment->ip_bytes, segment->tcp_bytes, segment->mss, 0, 0, 0);
    if (segment->is_v6) {
        tcp->cksum = rte_ipv6_phdr_cksum((struct rte_ipv6_hdr *)ip, packet->ol_flags);
    } else {
        ((struct rte_ipv4_hdr *)ip)->hdr_checksum = 0;
        tcp->cksum = rte_ipv4_phdr_cksum((struct rte_ipv4_hdr *)ip, packet->ol_flags);
    }
}

static struct rte_mbuf *begin_packet(const struct port_segment *segment)
{
    struct rte_mbuf *packet = mbuf_of(segment->header);

    packet->data_off = RTE_PKTMBUF_HEADROOM;
    packet->data_len = segment->header_bytes;
    packet->pkt_len = segment->header_bytes;
    packet->ol_flags = 0;
    if (segment->mss != 0)
        request_cutting(packet, segment);
    return packet;
}

/* Copies a payload behind its header, where there is room for all of it, and pads the frame. */
static void copy_behind(struct rte_mbuf *packet, const struct port_segment *segment)
{
    uint32_t length = segment->header_bytes;

    if (segment->payload) {
        memcpy(segment->header + length, segment->payload, segment->payload_bytes);
        length += segment->payload_bytes;
    }
    if (length < SHORTEST_FRAME_BYTES) {
        memset(segment->header + length, 0, SHORTEST_FRAME_BYTES - length);
        length = SHORTEST_FRAME_BYTES;
    }
    packet->data_len = (uint16_t)length;
    packet->pkt_len = length;
}

/* Makes an mbuf of the batch refer to the payload. Which of them the epoch counts is decided for the whole batch. */
static struct rte_mbuf *refer(struct batch *batch, const struct region *region, const uint8_t *bytes, uint32_t length)
{
    struct rte_mbuf *piece = batch->payloads[batch->used++];

    piece->buf_addr = (void *)(uintptr_t)bytes;
    rte_mbuf_iova_set(piece, region_iova(region, bytes));
    piece->buf_len = (uint16_t)length;
    piece->data_off = 0;
    piece->data_len = (uint16_t)length;
    piece->ol_flags = 0;
    return piece;
}

static void attach_by_reference(struct batch *batch, const struct region *region, struct rte_mbuf *packet,
                                const struct port_segment *segment)
{
    uint32_t first = region_contiguous(region, segment->payload, segment->payload_bytes);

    packet->next = refer(batch, region, segment->payload, first);
    packet->nb_segs = 2;
    if (first < segment->payload_bytes) {
        packet->next->next = refer(batch, region, segment->payload + first, segment->payload_bytes - first);
        packet->nb_segs = 3;
    }
    packet->pkt_len += segment->payload_bytes;
}

/* Copies a payload into as many mbufs as it needs. False if there are not enough. */
static bool attach_copies(struct dpdk_port *port, struct rte_mbuf *packet, const struct port_segment *segment)
{
    struct rte_mbuf *last = packet;

    for (uint32_t copied = 0, length; copied < segment->payload_bytes; copied += length) {
        struct rte_mbuf *copy = rte_pktmbuf_alloc(port->copies);

        if (!copy)
            return false;
        length = RTE_MIN(segment->payload_bytes - copied, (uint32_t)rte_pktmbuf_tailroom(copy));
        memcpy(rte_pktmbuf_mtod(copy, void *), segment->payload + copied, length);
        copy->data_len = (uint16_t)length;
        last->next = copy;
        last = copy;
        packet->nb_segs++;
        packet->pkt_len += length;
    }
    return true;
}

/* Builds the packet of a segment. NULL if there are no buffers for it: the segment is lost. */
static struct rte_mbuf *build(struct batch *batch, const struct port_segment *segment)
{
    struct dpdk_port *port = batch->port;
    struct rte_mbuf *packet = begin_packet(segment);
    uint32_t length = segment->header_bytes + (segment->payload ? segment->payload_bytes : 0);
    const struct region *region;

    if (!segment->payload || length < SHORTEST_FRAME_BYTES || batch->taken == 0) {
        copy_behind(packet, segment);
        if (segment->payload)
            counter_add(&port->port.counters.copied_segments, 1);
        return packet;
    }
    region = regions_find(&port->regions, segment->payload, segment->payload_bytes);
    if (likely(region)) {
        attach_by_reference(batch, region, packet, segment);
        return packet;
    }
    counter_add(&port->port.counters.copied_segments, 1);
    if (attach_copies(port, packet, segment))
        return packet;
    counter_add(&port->port.counters.buffer_shortages, 1);
    counter_add(&port->port.counters.send_drops, 1);
    rte_pktmbuf_free(packet);
    return NULL;
}

/*
 * Counts the payloads of the batch in the open epoch: all of them, or only the last one where the device frees in order. Only a counted mbuf
 * has an external buffer for DPDK; the others are freed as if their buffers were their own.
 */
static void count_in_epoch(struct batch *batch)
{
    struct dpdk_port *port = batch->port;
    unsigned first = port->options.frees_in_order ? batch->used - 1 : 0;

    if (batch->used == 0)
        return;
    assert(port->epochs.open);
    port_epochs_hold(&port->epochs, batch->used - first);
    for (unsigned i = first; i < batch->used; i++) {
        batch->payloads[i]->ol_flags = RTE_MBUF_F_EXTERNAL;
        batch->payloads[i]->shinfo = &port->epochs.open->info;
    }
}

/* How many payload mbufs `count` segments can need. */
static unsigned pieces_of(const struct dpdk_port *port, unsigned count)
{
    if (!port->options.chains)
        return 0;
    return port->regions.count > 0 && port->regions.items[0].pages ? count * PIECES : count;
}

static void drop_segments(struct dpdk_port *port, const struct port_segment *segments, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        rte_mempool_put(port->headers, mbuf_of(segments[i].header));
    counter_add(&port->port.counters.send_drops, count);
}

void dpdk_port_send(struct port *base, const struct port_segment *segments, unsigned count)
{
    struct dpdk_port *port = (struct dpdk_port *)base;
    /* What might find no room is dropped before it is counted in the epoch: freeing it later would not be in order. */
    unsigned accepted = RTE_MIN(count, dpdk_port_room(port)), taken = pieces_of(port, accepted), built = 0;
    struct rte_mbuf *packets[PORT_BURST];
    struct batch batch;
    uint64_t bytes = 0;

    assert(count <= PORT_BURST);
    batch.port = port;
    batch.taken = taken;
    batch.used = 0;
    if (taken > 0 && rte_mempool_get_bulk(port->payloads, (void **)batch.payloads, taken) != 0) {
        counter_add(&base->counters.buffer_shortages, 1);
        accepted = taken = 0;
    }
    for (unsigned i = 0; i < accepted; i++) {
        if (i + PREFETCH_MBUFS < accepted)
            rte_prefetch0(mbuf_of(segments[i + PREFETCH_MBUFS].header));
        if (i + PREFETCH_MBUFS < taken)
            rte_prefetch0(batch.payloads[i + PREFETCH_MBUFS]);
        struct rte_mbuf *packet = build(&batch, &segments[i]);

        if (unlikely(!packet))
            continue;
        bytes += packet->pkt_len;
        packets[built++] = packet;
    }
    count_in_epoch(&batch);
    if (batch.used < taken)
        rte_mempool_put_bulk(port->payloads, (void **)(batch.payloads + batch.used), taken - batch.used);
    if (accepted < count)
        drop_segments(port, segments + accepted, count - accepted);
    counter_add(&base->counters.sent_packets, built);
    counter_add(&base->counters.sent_bytes, bytes);
    dpdk_port_submit(port, packets, (uint16_t)built);
}

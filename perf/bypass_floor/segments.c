/* From queued connections to packets: headers from the template, payload by reference. */
#include "bypass_floor/floor.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mempool.h>
#include <rte_tcp.h>

#include <err.h>
#include <string.h>

#define WINDOW         32768
#define PREFETCH_MBUFS 4

/* Places in a header. */
#define AT_IP_LENGTH    16
#define AT_IP_SUM       24
#define AT_REMOTE_IP    30
#define AT_REMOTE_PORT  36
#define AT_SEQUENCE     38
#define AT_ACKNOWLEDGED 42
#define AT_FLAGS        47
#define AT_TCP_SUM      50

/* What all segments of a connection's burst share. */
struct burst {
    struct floor_connection *connection;
    uint32_t remote_ip, acknowledged; /* in network byte order, as remote_port */
    uint16_t remote_port;
    uint32_t sum;    /* of what the TCP checksum covers, but sequence number, length, PSH and payload */
    uint32_t ip_sum; /* of the IP header but its length */
};

/* --- the template --- */

void floor_init_template(struct floor *floor)
{
    struct rte_ether_hdr *link = (struct rte_ether_hdr *)floor->template;
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(link + 1);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

    *link = (struct rte_ether_hdr){
        .dst_addr.addr_bytes = {2, 0, 0, 0, 0, 1},
        .src_addr.addr_bytes = {2, 0, 0, 0, 0, 2},
        .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4),
    };
    *ip = (struct rte_ipv4_hdr){
        .version_ihl = RTE_IPV4_VHL_DEF,
        .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
        .time_to_live = 64,
        .next_proto_id = IPPROTO_TCP,
        .src_addr = RTE_BE32(SERVER_IP),
    };
    *tcp = (struct rte_tcp_hdr){
        .src_port = RTE_BE16(SERVER_PORT),
        .data_off = sizeof *tcp / 4 << 4,
        .tcp_flags = RTE_TCP_ACK_FLAG,
        .rx_win = RTE_BE16(WINDOW),
    };
    floor->template_ip_sum = rte_raw_cksum(ip, sizeof *ip);
    floor->template_sum =
        (uint32_t)rte_raw_cksum(tcp, sizeof *tcp) + rte_raw_cksum(&ip->src_addr, sizeof ip->src_addr) + RTE_BE16(IPPROTO_TCP);
}

/* --- sums --- */

static inline uint32_t sum_of(uint32_t word)
{
    return (word & 0xffff) + (word >> 16);
}

static inline uint16_t fold(uint32_t sum)
{
    sum = sum_of(sum);
    return (uint16_t)(sum + (sum >> 16));
}

/* --- mbufs --- */

static void __attribute__((noinline)) refill(struct mbuf_supply *supply)
{
    if (rte_mempool_get_bulk(supply->pool, (void **)supply->mbufs, BURST) != 0)
        errx(1, "the pool of mbufs %s is empty", supply->pool->name);
    supply->count = BURST;
}

/* Takes an mbuf and prefetches one that is taken a little later. */
static inline struct rte_mbuf *take_mbuf(struct mbuf_supply *supply)
{
    if (supply->count == 0)
        refill(supply);
    uint32_t index = --supply->count;
    const char *later = (const char *)supply->mbufs[index >= PREFETCH_MBUFS ? index - PREFETCH_MBUFS : 0];

    rte_prefetch0(later);
    rte_prefetch0(later + RTE_CACHE_LINE_SIZE);
    return supply->mbufs[index];
}

/* Sets the fields that stand together: no headroom, one reference, that many segments, no port. */
static inline void rearm(struct rte_mbuf *mbuf, uint16_t segments)
{
    mbuf->data_off = 0;
    rte_mbuf_refcnt_set(mbuf, 1);
    mbuf->nb_segs = segments;
    mbuf->port = RTE_MBUF_PORT_INVALID;
}

static inline struct rte_mbuf *make_payload(struct floor *floor, const uint8_t *bytes, uint32_t length)
{
    struct rte_mbuf *mbuf = take_mbuf(&floor->payloads);

    rearm(mbuf, 1);
    mbuf->buf_addr = (void *)(uintptr_t)bytes;
    rte_mbuf_iova_set(mbuf, (rte_iova_t)(uintptr_t)bytes);
    mbuf->buf_len = (uint16_t)length;
    mbuf->data_len = (uint16_t)length;
    mbuf->pkt_len = length;
    if (floor->options.counts_every_segment) {
        mbuf->ol_flags = RTE_MBUF_F_EXTERNAL;
        mbuf->shinfo = &floor->epoch->info;
    } else {
        mbuf->ol_flags = 0;
    }
    floor->last_payload = mbuf;
    return mbuf;
}

/* --- packets --- */

static void transmit_packets(struct floor *floor)
{
    uint16_t sent = 0;

    while (sent < floor->packet_count)
        sent += floor->port.transmit(floor->port.context, floor->packets + sent, (uint16_t)(floor->packet_count - sent));
    floor->packet_count = 0;
}

/* The last packet of a turn stays here until the turn ends, because its payload may have to count for all others. */
static inline void add_packet(struct floor *floor, struct rte_mbuf *packet)
{
    if (floor->packet_count == BURST)
        transmit_packets(floor);
    floor->packets[floor->packet_count++] = packet;
}

static struct burst begin_burst(const struct floor *floor, struct floor_connection *connection)
{
    struct burst burst = {.connection = connection, .remote_port = connection->remote_port};

    memcpy(&burst.remote_ip, connection->remote_address, sizeof burst.remote_ip);
    burst.acknowledged = rte_cpu_to_be_32(connection->receive_next);
    burst.sum = floor->template_sum + sum_of(burst.remote_ip) + burst.remote_port + sum_of(burst.acknowledged);
    burst.ip_sum = floor->template_ip_sum + sum_of(burst.remote_ip);
    return burst;
}

static inline void store16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline void store32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

/* Writes a header. `payload_sum`: of the payload; `tcp_bytes`: of the TCP header and the payload, in the checksum. */
static inline void write_header(uint8_t *header, const struct floor *floor, const struct burst *burst, uint32_t sequence,
                                uint16_t flags, uint16_t ip_bytes)
{
    memcpy(header, floor->template, sizeof floor->template);
    store16(header + AT_IP_LENGTH, rte_cpu_to_be_16(ip_bytes));
    store32(header + AT_REMOTE_IP, burst->remote_ip);
    store16(header + AT_REMOTE_PORT, burst->remote_port);
    store32(header + AT_SEQUENCE, sequence);
    store32(header + AT_ACKNOWLEDGED, burst->acknowledged);
    header[AT_FLAGS] = (uint8_t)flags;
}

static inline void set_lengths(struct rte_mbuf *header, uint32_t payload_bytes, struct rte_mbuf *payload)
{
    rearm(header, 2);
    header->data_len = HEADER_BYTES;
    header->pkt_len = HEADER_BYTES + payload_bytes;
    header->next = payload;
}

/* Makes one packet of at most the MSS, with its checksums. */
static inline void add_segment(struct floor *floor, const struct burst *burst, const uint8_t *bytes, uint32_t length,
                               uint16_t payload_sum, bool is_last)
{
    struct rte_mbuf *header = take_mbuf(&floor->headers);
    uint8_t *written = header->buf_addr;
    uint16_t ip_bytes = (uint16_t)(HEADER_BYTES - RTE_ETHER_HDR_LEN + length);
    uint32_t sequence = rte_cpu_to_be_32(burst->connection->nxt);
    uint16_t flags = is_last ? RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG : RTE_TCP_ACK_FLAG;
    uint32_t sum =
        burst->sum + sum_of(sequence) + rte_cpu_to_be_16((uint16_t)(ip_bytes - sizeof(struct rte_ipv4_hdr))) + payload_sum;

    if (is_last)
        sum += RTE_BE16(RTE_TCP_PSH_FLAG);
    write_header(written, floor, burst, sequence, flags, ip_bytes);
    store16(written + AT_IP_SUM, (uint16_t)~fold(burst->ip_sum + rte_cpu_to_be_16(ip_bytes)));
    store16(written + AT_TCP_SUM, (uint16_t)~fold(sum));
    set_lengths(header, length, make_payload(floor, bytes, length));
    header->ol_flags = 0;
    add_packet(floor, header);
    burst->connection->nxt += length;
}

/* Makes one packet that the card cuts; the card writes lengths and checksums. */
static inline void add_piece(struct floor *floor, const struct burst *burst, const uint8_t *bytes, uint32_t length, bool is_last)
{
    struct rte_mbuf *header = take_mbuf(&floor->headers);
    uint8_t *written = header->buf_addr;
    uint16_t ip_bytes = (uint16_t)(HEADER_BYTES - RTE_ETHER_HDR_LEN + length);
    uint16_t flags = is_last ? RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG : RTE_TCP_ACK_FLAG;

    write_header(written, floor, burst, rte_cpu_to_be_32(burst->connection->nxt), flags, ip_bytes);
    store16(written + AT_TCP_SUM, fold(sum_of(RTE_BE32(SERVER_IP)) + sum_of(burst->remote_ip) + RTE_BE16(IPPROTO_TCP)));
    set_lengths(header, length, make_payload(floor, bytes, length));
    header->ol_flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
    header->tx_offload = rte_mbuf_tx_offload(RTE_ETHER_HDR_LEN, sizeof(struct rte_ipv4_hdr), sizeof(struct rte_tcp_hdr),
                                             floor->options.mss, 0, 0, 0);
    add_packet(floor, header);
    burst->connection->nxt += length;
}

/* --- service --- */

/* How many bytes of an extent may be sent now: within both windows and the quantum, cut where frames are cut. */
static uint32_t sendable(const struct floor *floor, struct floor_connection *connection, const struct extent *extent)
{
    uint32_t in_flight = connection->nxt - connection->una, left = extent->end - extent->start;
    uint32_t window = RTE_MIN(connection->window, connection->cwnd);
    uint32_t quantum = (floor->options.tso ? TSO_SEGMENTS : QUANTUM) * floor->options.mss;
    uint32_t room = window > in_flight ? window - in_flight : 0;

    if (room < left) {
        connection->flags |= CONNECTION_WAS_LIMITED;
        left = room / floor->options.mss * floor->options.mss;
    }
    return RTE_MIN(left, quantum);
}

static void send_extent(struct floor *floor, struct floor_connection *connection, struct extent *extent, uint32_t bytes)
{
    const struct log_frame *frame = frame_log_get(&floor->log, extent->frame);
    struct burst burst = begin_burst(floor, connection);
    uint32_t end = extent->start + bytes, unit = floor->options.mss * (floor->options.tso ? TSO_SEGMENTS : 1), step;

    if (floor->options.counts_every_segment)
        epoch_add(floor->epoch, (uint16_t)((bytes + unit - 1) / unit));
    for (uint32_t at = extent->start, index = at / floor->options.mss; at < end; at += step, index++) {
        step = RTE_MIN(unit, end - at);
        if (floor->options.tso)
            add_piece(floor, &burst, frame->bytes + at, step, at + step == frame->length);
        else
            add_segment(floor, &burst, frame->bytes + at, step, frame->sums[index], at + step == frame->length);
    }
    extent->start = end;
    connection->taken += bytes;
}

/* Notes when the burst was sent; of more than four the two closest become one, with the later time. */
static void note_burst(struct floor *floor, struct floor_connection *connection)
{
    uint32_t now_us = (uint32_t)(floor->now_ns / 1000), count = connection->burst_count;

    if (count > 0 && now_us - connection->bursts[count - 1].sent_us < 1000) {
        connection->bursts[count - 1].end = connection->nxt;
        return;
    }
    if (count == BURSTS_TIMED) {
        uint32_t closest = 0;

        for (uint32_t i = 1; i < BURSTS_TIMED - 1; i++) {
            if (connection->bursts[i + 1].sent_us - connection->bursts[i].sent_us <
                connection->bursts[closest + 1].sent_us - connection->bursts[closest].sent_us)
                closest = i;
        }
        memmove(&connection->bursts[closest], &connection->bursts[closest + 1],
                (count - 1 - closest) * sizeof connection->bursts[0]);
        count--;
    }
    connection->bursts[count] = (struct timed_burst){connection->nxt, now_us};
    connection->burst_count = count + 1;
}

/* The frame in which una lies, where nothing was in flight. */
static void note_first_in_flight(struct floor_connection *connection, const struct extent *extent)
{
    connection->frame = extent->frame;
    connection->frame_start = connection->nxt - extent->start;
    connection->frame_end = connection->frame_start + extent->end;
    connection->pinned = extent->frame;
}

static void serve(struct floor *floor, uint32_t slot)
{
    struct floor_connection *connection = &floor->connections[slot];
    uint32_t budget = (floor->options.tso ? TSO_SEGMENTS : QUANTUM) * floor->options.mss;
    bool sent = false;

    /* Spread over the turn, so that memory works while segments are written. */
    if (floor->prefetched < floor->prefetch_end)
        floor_prefetch_next(floor);
    connection->flags &= ~(uint32_t)CONNECTION_QUEUED;
    while (connection->extent_count > 0 && budget > 0) {
        struct extent *extent = &connection->extents[0];
        uint32_t bytes = RTE_MIN(sendable(floor, connection, extent), budget);

        if (bytes == 0) {
            floor->blocked++;
            break;
        }
        if (connection->una == connection->nxt)
            note_first_in_flight(connection, extent);
        send_extent(floor, connection, extent, bytes);
        sent = true;
        budget -= bytes;
        if (extent->start == extent->end && --connection->extent_count > 0)
            memmove(extent, extent + 1, connection->extent_count * sizeof *extent);
    }
    if (connection->extent_count > 0 && budget == 0)
        floor_queue(floor, connection, slot);
    if (!sent)
        return;
    note_burst(floor, connection);
}

/* Ends the turn's epoch. Where only the last segment counts, that is the one that waits to be handed to the port. */
static void end_epoch(struct floor *floor)
{
    struct rte_mbuf *last = floor->last_payload;

    if (!floor->options.counts_every_segment && last) {
        epoch_add(floor->epoch, 1);
        last->ol_flags = RTE_MBUF_F_EXTERNAL;
        last->shinfo = &floor->epoch->info;
    }
    floor->last_payload = NULL;
    epoch_end(floor->epoch);
}

void floor_serve(struct floor *floor)
{
    struct floor_stamp stamp = floor_begin(floor);
    uint32_t begin = floor->queue_tail, end = begin + RTE_MIN(floor->queue_head - begin, (uint32_t)SLICE);

    floor->epoch = epochs_begin(&floor->epochs, floor->log.head - 1);
    while (floor->queue_tail != end)
        serve(floor, floor->queue[floor->queue_tail++ & floor->queue_mask]);
    end_epoch(floor);
    transmit_packets(floor);
    floor_measured(floor, PART_SEGMENTS, stamp);

    stamp = floor_begin(floor);
    for (uint32_t i = begin; i != end; i++)
        floor_set_deadline(floor, floor->queue[i & floor->queue_mask]);
    floor_measured(floor, PART_TIMERS, stamp);
}

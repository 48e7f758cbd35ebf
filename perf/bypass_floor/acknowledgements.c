/* Acknowledgements, in bursts and three passes: parse and hash, look up, process. Each prefetches what the next one reads. */
#include "bypass_floor/floor.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_tcp.h>

#include <string.h>

#define CHECKSUMS_GOOD (RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD)

struct received {
    const struct rte_tcp_hdr *tcp; /* NULL: not one for a connection */
    const void *key;               /* in the packet, where it lies as struct connection_key does */
    uint64_t hash;
    uint32_t slot, probe;
    uint32_t payload_bytes;
};

static inline bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* --- first and second pass --- */

static inline void parse(const struct floor *floor, const struct rte_mbuf *packet, struct received *received)
{
    const struct rte_ether_hdr *link = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(link + 1);
    const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);

    received->tcp = NULL;
    if (packet->data_len < HEADER_BYTES || link->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
        ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_TCP ||
        ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK) ||
        (packet->ol_flags & CHECKSUMS_GOOD) != CHECKSUMS_GOOD)
        return;
    uint32_t header_bytes = (uint32_t)sizeof *ip + (uint32_t)(tcp->data_off >> 4) * 4,
             ip_bytes = rte_be_to_cpu_16(ip->total_length);
    if (ip_bytes + RTE_ETHER_HDR_LEN > packet->data_len || ip_bytes < header_bytes)
        return;
    received->tcp = tcp;
    received->payload_bytes = ip_bytes - header_bytes;
    received->key = &ip->src_addr;
    received->hash = connection_table_hash(&floor->table, received->key);
    received->probe = 0;
    rte_prefetch0(connection_table_entry(&floor->table, received->hash));
}

static inline void look_up(const struct floor *floor, struct received *received)
{
    if (!received->tcp)
        return;
    received->slot = connection_table_find(&floor->table, received->hash, &received->probe);
    if (received->slot == TABLE_NONE)
        return;
    const char *connection = (const char *)&floor->connections[received->slot];
    rte_prefetch0(connection);
    rte_prefetch0(connection + 112);
    rte_prefetch0(connection + 168);
    rte_prefetch0(connection + 232);
}

/* --- third pass --- */

static inline bool is_of(const struct floor_connection *connection, const void *key_bytes)
{
    struct connection_key key;

    memcpy(&key, key_bytes, sizeof key);
    return memcmp(connection->remote_address, &key.remote_ip, sizeof key.remote_ip) == 0 &&
           connection->remote_port == key.remote_port && key.local_ip == RTE_BE32(SERVER_IP) &&
           key.local_port == RTE_BE16(SERVER_PORT);
}

/* The connection with exactly that key; NULL if there is none. */
static inline struct floor_connection *find(const struct floor *floor, struct received *received)
{
    while (received->slot != TABLE_NONE) {
        struct floor_connection *connection = &floor->connections[received->slot];

        if (is_of(connection, received->key))
            return connection;
        received->slot = connection_table_find(&floor->table, received->hash, &received->probe);
    }
    return NULL;
}

/* RFC 6298, 2. */
static inline void sample_rtt(struct floor_connection *connection, uint32_t rtt_us)
{
    if (connection->srtt_us == 0) {
        connection->srtt_us = rtt_us;
        connection->rttvar_us = rtt_us / 2;
        connection->min_rtt_us = rtt_us;
        return;
    }
    uint32_t difference = rtt_us > connection->srtt_us ? rtt_us - connection->srtt_us : connection->srtt_us - rtt_us;
    connection->rttvar_us += (difference >> 2) - (connection->rttvar_us >> 2);
    connection->srtt_us += (rtt_us >> 3) - (connection->srtt_us >> 3);
    connection->min_rtt_us = RTE_MIN(connection->min_rtt_us, rtt_us);
}

/* Takes a sample of each burst that is acknowledged whole. */
static inline void retire_bursts(struct floor_connection *connection, uint32_t now_us)
{
    uint32_t done = 0;

    while (done < connection->burst_count && !is_before(connection->una, connection->bursts[done].end)) {
        connection->rack_us = connection->bursts[done].sent_us;
        connection->rack_end = connection->bursts[done].end;
        done++;
    }
    if (done == 0)
        return;
    sample_rtt(connection, now_us - connection->rack_us);
    connection->burst_count -= done;
    for (uint32_t i = 0; i < connection->burst_count; i++)
        connection->bursts[i] = connection->bursts[i + done];
}

/* Moves to the frame in which una lies now, and lets go of those before it. */
static inline void leave_frames(const struct floor *floor, struct floor_connection *connection)
{
    while (!is_before(connection->una, connection->frame_end)) {
        if (connection->una == connection->nxt) {
            connection->pinned = UINT64_MAX;
            return;
        }
        connection->frame++;
        connection->frame_start = connection->frame_end;
        connection->frame_end += frame_log_get(&floor->log, connection->frame)->length;
        connection->pinned = connection->frame;
    }
}

static inline void process(struct floor *floor, struct received *received, uint32_t now_us)
{
    struct floor_connection *connection = received->tcp ? find(floor, received) : NULL;
    const struct rte_tcp_hdr *tcp = received->tcp;
    uint32_t acknowledged;

    /* Everything but the plain acknowledgement is another path of a relay, which is not taken here. */
    if (!connection || tcp->data_off != sizeof *tcp / 4 << 4 || tcp->tcp_flags != RTE_TCP_ACK_FLAG ||
        received->payload_bytes > 0 || rte_be_to_cpu_32(tcp->sent_seq) != connection->receive_next) {
        floor->strange_packets++;
        return;
    }
    acknowledged = rte_be_to_cpu_32(tcp->recv_ack);
    if (is_before(acknowledged, connection->una) || is_before(connection->nxt, acknowledged)) {
        floor->strange_packets++;
        return;
    }
    connection->window = (uint32_t)rte_be_to_cpu_16(tcp->rx_win) << connection->peer_scale;
    connection->wl1 = connection->receive_next;
    if (connection->flags & CONNECTION_WAS_LIMITED) {
        connection->cwnd += acknowledged - connection->una;
        connection->flags &= ~(uint32_t)CONNECTION_WAS_LIMITED;
    }
    connection->una = acknowledged;
    retire_bursts(connection, now_us);
    if (!is_before(acknowledged, connection->frame_end))
        leave_frames(floor, connection);
    if (acknowledged == connection->nxt)
        connection->deadline_ms = 0;
    if (connection->extent_count > 0)
        floor_queue(floor, connection, received->slot);
}

static uint32_t receive_burst(struct floor *floor)
{
    struct rte_mbuf *packets[BURST];
    struct received received[BURST];
    uint16_t count = floor->port.receive(floor->port.context, packets, BURST);
    uint32_t now_us = (uint32_t)(floor->now_ns / 1000);

    for (uint16_t i = 0; i < count; i++)
        parse(floor, packets[i], &received[i]);
    for (uint16_t i = 0; i < count; i++)
        look_up(floor, &received[i]);
    for (uint16_t i = 0; i < count; i++)
        process(floor, &received[i], now_us);
    rte_pktmbuf_free_bulk(packets, count);
    return count;
}

uint32_t floor_receive(struct floor *floor)
{
    struct floor_stamp stamp = floor_begin(floor);
    uint32_t received = 0, count;

    do {
        count = receive_burst(floor);
        received += count;
    } while (count == BURST && received < RECEIVE_BUDGET);
    floor_measured(floor, PART_ACKS, stamp);
    return received;
}

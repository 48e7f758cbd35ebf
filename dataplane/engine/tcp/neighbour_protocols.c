/* ARP (RFC 826), neighbour discovery (RFC 4861) and ICMP (RFC 792, 1191, 4443, 8201), as far as a server needs them. */
#include "engine/tcp/checksum.h"
#include "engine/tcp/congestion.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/input.h"
#include "engine/tcp/recovery.h"
#include "engine/tcp/reply.h"
#include "engine/tcp/solicit.h"

#include <string.h>

#define ICMP_ECHO_REPLY           0
#define ICMP_UNREACHABLE          3
#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMP_ECHO                 8
#define ICMP6_TOO_BIG             2
#define ICMP6_ECHO                128
#define ICMP6_ECHO_REPLY          129
#define ICMP_BYTES                8
#define ND_SOLICITED_OVERRIDE     0x60000000u
/* Room for answers that are longer than what they answer: every port's buffers have it. */
#define LONGEST_ANSWER_BYTES 512

/* --- ARP --- */

void tcp_arp(struct tcp_engine *engine, struct packet *packet)
{
    uint8_t *arp = packet->payload;
    uint32_t length = (uint32_t)(arp - packet->ethernet) + ARP_BYTES;
    uint8_t mac[6], asker[4];

    memcpy(mac, arp + 8, sizeof mac);
    host_learn(engine->host, &packet->remote, mac, engine->now_ns);
    if (read_u16(arp + 6) != ARP_REQUEST)
        return;
    memcpy(asker, arp + 14, sizeof asker);
    solicit_write_arp(engine->host, arp, ARP_REPLY, mac, asker, packet->local);
    memcpy(packet->ethernet, mac, 6);
    memcpy(packet->ethernet + 6, engine->host->mac, 6);
    reply_reflect(engine, packet, length);
}

/* --- neighbour discovery --- */

/* The link-layer address in the option `type` of a message; NULL if there is none. */
static const uint8_t *link_address(const struct packet *packet, uint8_t type)
{
    const uint8_t *at = packet->payload + ND_BYTES, *end = packet->payload + packet->payload_bytes;

    while (end - at >= ND_OPTION_BYTES && at[1] > 0 && at[1] * ND_OPTION_BYTES <= end - at) {
        if (at[0] == type)
            return at + 2;
        at += at[1] * ND_OPTION_BYTES;
    }
    return NULL;
}

/* True for a message that cannot have come from another link, for the own address number packet->local. */
static bool is_valid_discovery(const struct tcp_engine *engine, const struct packet *packet)
{
    const struct ip_address *own = &engine->host->options.addresses[packet->local].ip;

    return packet->payload_bytes >= ND_BYTES && packet->ip[7] == ND_HOP_LIMIT && packet->payload[1] == 0 &&
           (packet->payload[0] == ICMP6_ADVERTISEMENT || memcmp(packet->payload + 8, own->bytes, 16) == 0);
}

static void end_icmp6(struct tcp_engine *engine, struct packet *packet, uint32_t length)
{
    uint16_t sum;

    memset(packet->payload + 2, 0, 2);
    sum = checksum_end(packet_pseudo_sum(packet->ip, true, PROTOCOL_ICMPV6) + packet_length_sum(length) +
                       checksum_add(packet->payload, length));
    memcpy(packet->payload + 2, &sum, sizeof sum);
    reply_send(engine, packet, IPV6_BYTES + length);
}

static void on_solicitation(struct tcp_engine *engine, struct packet *packet)
{
    static const struct ip_address unspecified;
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 0x01};
    const uint8_t *mac = link_address(packet, ND_SOURCE_ADDRESS);
    bool is_probe = ip_address_equal(&packet->remote, &unspecified); /* duplicate address detection: RFC 4862, 5.4.3 */

    if (mac)
        host_learn(engine->host, &packet->remote, mac, engine->now_ns);
    reply_turn_round(engine, packet);
    if (is_probe) {
        static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};

        memcpy(packet->ethernet, all_nodes_mac, 6);
        memcpy(packet->ip + 24, all_nodes, 16);
    }
    packet->ip[7] = ND_HOP_LIMIT;
    packet->payload[0] = ICMP6_ADVERTISEMENT;
    packet->payload[1] = 0;
    write_u32(packet->payload + 4, is_probe ? ND_SOLICITED_OVERRIDE & 0x20000000u : ND_SOLICITED_OVERRIDE);
    packet->payload[ND_BYTES] = ND_TARGET_ADDRESS;
    packet->payload[ND_BYTES + 1] = 1;
    memcpy(packet->payload + ND_BYTES + 2, engine->host->mac, 6);
    end_icmp6(engine, packet, ND_BYTES + ND_OPTION_BYTES);
}

static void on_advertisement(struct tcp_engine *engine, const struct packet *packet)
{
    const uint8_t *mac = link_address(packet, ND_TARGET_ADDRESS);
    struct ip_address target;

    memcpy(target.bytes, packet->payload + 8, sizeof target.bytes);
    host_learn(engine->host, &target, mac ? mac : packet->ethernet + 6, engine->now_ns);
}

/* --- ICMP --- */

/* Bounds what others can make the port send. */
static bool take_echo(struct tcp_engine *engine, const struct packet *packet)
{
    if (engine->echoes_left == 0 || packet->payload_bytes > LONGEST_ANSWER_BYTES || !host_is_peer(engine->host, &packet->remote))
        return false;
    engine->echoes_left--;
    return true;
}

static void on_echo(struct tcp_engine *engine, struct packet *packet)
{
    uint16_t sum;

    if (!take_echo(engine, packet))
        return;
    reply_turn_round(engine, packet);
    packet->payload[0] = ICMP_ECHO_REPLY;
    memset(packet->payload + 2, 0, 2);
    sum = checksum_end(checksum_add(packet->payload, packet->payload_bytes));
    memcpy(packet->payload + 2, &sum, sizeof sum);
    reply_send(engine, packet, IPV4_BYTES + packet->payload_bytes);
}

static void on_echo6(struct tcp_engine *engine, struct packet *packet)
{
    if (!take_echo(engine, packet))
        return;
    reply_turn_round(engine, packet);
    packet->payload[0] = ICMP6_ECHO_REPLY;
    end_icmp6(engine, packet, packet->payload_bytes);
}

/* The packet that was too big is quoted, with at least the first 8 bytes behind its IP header. */
static void on_too_big(struct tcp_engine *engine, const struct packet *packet, uint32_t mtu)
{
    const uint8_t *quoted = packet->payload + ICMP_BYTES;
    uint32_t ip_bytes = packet->is_v6 ? IPV6_BYTES : IPV4_BYTES;
    struct host_too_big news = {.mtu = (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX)};
    uint8_t local;

    if (packet->payload_bytes < ICMP_BYTES + ip_bytes + 8 || quoted[0] >> 4 != (packet->is_v6 ? 6 : 4) ||
        quoted[packet->is_v6 ? 6 : 9] != PROTOCOL_TCP)
        return;
    if (packet->is_v6 ? !host_find_v6(engine->host, quoted + 8, &local) : !host_find_v4(engine->host, quoted + 12, &local))
        return;
    if (packet->is_v6) {
        memcpy(news.remote.bytes, quoted + 24, 16);
    } else {
        ip_address_from_v4(&news.remote, quoted + 16);
    }
    news.local = local;
    news.local_port = read_u16(quoted + ip_bytes);
    news.remote_port = read_u16(quoted + ip_bytes + 2);
    news.sequence = read_u32(quoted + ip_bytes + 4);
    host_tell(engine->host, &news);
}

static void on_icmp6(struct tcp_engine *engine, struct packet *packet)
{
    switch (packet->payload[0]) {
    case ICMP6_TOO_BIG:
        on_too_big(engine, packet, read_u32(packet->payload + 4));
        break;
    case ICMP6_ECHO:
        on_echo6(engine, packet);
        break;
    case ICMP6_SOLICITATION:
        if (is_valid_discovery(engine, packet))
            on_solicitation(engine, packet);
        break;
    case ICMP6_ADVERTISEMENT:
        if (is_valid_discovery(engine, packet))
            on_advertisement(engine, packet);
        break;
    default:
        break;
    }
}

void tcp_icmp(struct tcp_engine *engine, struct packet *packet)
{
    if (packet->is_v6)
        on_icmp6(engine, packet);
    else if (packet->payload[0] == ICMP_ECHO)
        on_echo(engine, packet);
    else if (packet->payload[0] == ICMP_UNREACHABLE && packet->payload[1] == ICMP_FRAGMENTATION_NEEDED)
        on_too_big(engine, packet, read_u16(packet->payload + 6));
}

/* --- too big --- */

/* Believed only if it quotes what is in flight (RFC 5927, 7.2); the size never grows again. */
static void lower_mss(struct tcp_engine *engine, struct tcp_connection *connection, const struct host_too_big *news)
{
    bool is_v6 = connection->is_v6;
    uint16_t floor = is_v6 ? 1280 : 576;
    uint8_t class = mss_class_of(UINT16_MAX, news->mtu > floor ? news->mtu : floor, is_v6);

    if (sequence_before(news->sequence, connection->una) || !sequence_before(news->sequence, connection->nxt) ||
        class >= connection->mss_class)
        return;
    connection->mss_class = class & 7u;
    counter_add(&engine->counters.mtu_reductions, 1);
    recovery_time_out(engine, connection);
    tcp_set_deadline(engine, connection, true);
    tcp_unblock(engine, connection);
}

void tcp_take_news(struct tcp_engine *engine)
{
    struct host_too_big news;

    while (host_take_news(engine->host, engine->index, &news)) {
        const struct packet packet = {.remote = news.remote,
                                      .remote_port = news.remote_port,
                                      .local = news.local,
                                      .hash = tcp_hash(engine, &news.remote, news.remote_port, news.local)};
        struct tcp_connection *connection = news.local_port == engine->base.listen_port ? tcp_find(engine, &packet) : NULL;

        if (connection && !connection->base.dead)
            lower_mss(engine, connection, &news);
    }
}

/* --- asking for neighbours --- */

void tcp_refresh_neighbours(struct tcp_engine *engine)
{
    struct ip_address ip;
    unsigned place = 0;
    uint8_t local;

    while (host_next_stale(engine->host, &place, engine->now_ns, &ip, &local)) {
        struct output *output = &engine->output;
        struct port_segment *segment;

        if (!output_has_room(engine, 1))
            return;
        segment = &output->segments[output->segment_count++];
        *segment = (struct port_segment){.header = output->headers[--output->header_count]};
        segment->header_bytes = (uint16_t)solicit_write(engine->host, &ip, local, false, segment->header);
    }
}

#include "engine/tcp/packet.h"

#include "engine/tcp/checksum.h"
#include "engine/tcp/host.h"

#include <string.h>

#define VLAN_ID_MASK       0x0fff
#define IPV4_FRAGMENT_BITS 0x3fff /* more fragments, and the offset */
#define IPV4_SOURCE        12
#define IPV4_DESTINATION   16
#define IPV6_SOURCE        8
#define IPV6_DESTINATION   24
#define ARP_BYTES          28
#define ICMP_BYTES         8

#define OPTION_END            0
#define OPTION_NOP            1
#define OPTION_MSS            2
#define OPTION_SCALE          3
#define OPTION_SACK_PERMITTED 4
#define OPTION_SACK           5
#define SACK_BLOCK_BYTES      8

uint64_t packet_pseudo_sum(const uint8_t *ip, bool is_v6, uint8_t protocol)
{
    uint8_t last[2] = {0, protocol};

    return checksum_add(last, sizeof last) + (is_v6 ? checksum_add(ip + IPV6_SOURCE, 32) : checksum_add(ip + IPV4_SOURCE, 8));
}

/* Reads a SYN's and an ACK's options, up to the first that is malformed. */
static void parse_options(struct packet *packet, const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at != OPTION_END) {
        if (*at == OPTION_NOP) {
            at++;
            continue;
        }
        if (end - at < 2 || at[1] < 2 || at[1] > end - at)
            return;
        if (at[0] == OPTION_MSS && at[1] == 4)
            packet->mss = read_u16(at + 2);
        else if (at[0] == OPTION_SCALE && at[1] == 3)
            packet->has_scale = true, packet->scale = at[2];
        else if (at[0] == OPTION_SACK_PERMITTED && at[1] == 2)
            packet->sack_permitted = true;
        else if (at[0] == OPTION_SACK)
            for (const uint8_t *block = at + 2; at + at[1] - block >= SACK_BLOCK_BYTES && packet->sack_count < PACKET_SACK_BLOCKS;
                 block += SACK_BLOCK_BYTES)
                packet->sacks[packet->sack_count++] = (struct sack_block){.start = read_u32(block), .end = read_u32(block + 4)};
        at += at[1];
    }
}

static enum packet_kind parse_tcp(struct packet *packet, uint32_t length)
{
    const uint8_t *tcp = packet->tcp;
    uint32_t header = length >= TCP_BYTES ? (uint32_t)(tcp[12] >> 4) * 4 : 0;

    if (header < TCP_BYTES || header > length)
        return PACKET_MALFORMED;
    if (!packet->source->tcp_good && checksum_end(packet_pseudo_sum(packet->ip, packet->is_v6, PROTOCOL_TCP) +
                                                  packet_length_sum(length) + checksum_add(tcp, length)) != 0)
        return PACKET_BAD_CHECKSUM;
    packet->remote_port = read_u16(tcp);
    packet->local_port = read_u16(tcp + 2);
    packet->sequence = read_u32(tcp + 4);
    packet->acknowledgement = read_u32(tcp + 8);
    packet->flags = tcp[13] & (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK);
    packet->window = read_u16(tcp + 14);
    packet->payload = packet->tcp + header;
    packet->payload_bytes = length - header;
    packet->sack_count = 0;
    packet->mss = 0;
    packet->has_scale = packet->sack_permitted = false;
    if (header > TCP_BYTES)
        parse_options(packet, tcp + TCP_BYTES, tcp + header);
    return PACKET_TCP;
}

static enum packet_kind parse_v4(struct packet *packet, uint32_t length, const struct host *host)
{
    const uint8_t *ip = packet->ip;
    uint32_t total;

    if (length < IPV4_BYTES || ip[0] >> 4 != 4)
        return PACKET_MALFORMED;
    ip_address_from_v4(&packet->remote, ip + IPV4_SOURCE);
    if (!host_find_v4(host, ip + IPV4_DESTINATION, &packet->local))
        return PACKET_FOREIGN;
    if ((ip[0] & 0x0f) != IPV4_BYTES / 4 || (read_u16(ip + 6) & IPV4_FRAGMENT_BITS) != 0)
        return PACKET_FRAGMENT;
    total = read_u16(ip + 2);
    if (total < IPV4_BYTES || total > length)
        return PACKET_MALFORMED;
    if (!packet->source->ip_good && checksum_end(checksum_add(ip, IPV4_BYTES)) != 0)
        return PACKET_BAD_CHECKSUM;
    packet->tcp = packet->ip + IPV4_BYTES;
    if (ip[9] == PROTOCOL_TCP)
        return parse_tcp(packet, total - IPV4_BYTES);
    packet->payload = packet->tcp;
    packet->payload_bytes = total - IPV4_BYTES;
    if (ip[9] != PROTOCOL_ICMP)
        return PACKET_FOREIGN;
    if (packet->payload_bytes < ICMP_BYTES)
        return PACKET_MALFORMED;
    return checksum_end(checksum_add(packet->payload, packet->payload_bytes)) == 0 ? PACKET_ICMP : PACKET_BAD_CHECKSUM;
}

static enum packet_kind parse_v6(struct packet *packet, uint32_t length, const struct host *host)
{
    const uint8_t *ip = packet->ip;
    uint32_t payload;
    bool is_multicast;

    if (length < IPV6_BYTES || ip[0] >> 4 != 6)
        return PACKET_MALFORMED;
    memcpy(packet->remote.bytes, ip + IPV6_SOURCE, sizeof packet->remote.bytes);
    if (!host_find_v6(host, ip + IPV6_DESTINATION, &packet->local))
        return PACKET_FOREIGN;
    is_multicast = ip[IPV6_DESTINATION] == 0xff;
    payload = read_u16(ip + 4);
    if (payload > length - IPV6_BYTES)
        return PACKET_MALFORMED;
    packet->tcp = packet->ip + IPV6_BYTES;
    if (ip[6] == PROTOCOL_TCP)
        return is_multicast ? PACKET_FOREIGN : parse_tcp(packet, payload);
    packet->payload = packet->tcp;
    packet->payload_bytes = payload;
    if (ip[6] != PROTOCOL_ICMPV6)
        return ip[6] == 0 || ip[6] == 43 || ip[6] == 44 || ip[6] == 60 ? PACKET_FRAGMENT : PACKET_FOREIGN;
    if (packet->payload_bytes < ICMP_BYTES)
        return PACKET_MALFORMED;
    return checksum_end(packet_pseudo_sum(ip, true, PROTOCOL_ICMPV6) + packet_length_sum(payload) +
                        checksum_add(packet->payload, payload)) == 0
               ? PACKET_ICMP
               : PACKET_BAD_CHECKSUM;
}

static enum packet_kind parse_arp(struct packet *packet, uint32_t length, const struct host *host)
{
    static const uint8_t ethernet_and_ipv4[6] = {0, 1, 8, 0, 6, 4};

    if (length < ARP_BYTES || memcmp(packet->ip, ethernet_and_ipv4, sizeof ethernet_and_ipv4) != 0)
        return PACKET_MALFORMED;
    packet->payload = packet->ip;
    packet->payload_bytes = ARP_BYTES;
    ip_address_from_v4(&packet->remote, packet->ip + 14);
    return host_find_v4(host, packet->ip + 24, &packet->local) ? PACKET_ARP : PACKET_FOREIGN;
}

enum packet_kind packet_parse(struct packet *packet, struct port_packet *source, const struct host *host)
{
    uint32_t link_bytes = ETHERNET_BYTES, length = source->length;
    uint16_t type, vlan = 0;

    packet->source = source;
    packet->ethernet = source->bytes;
    if (length < ETHERNET_BYTES + VLAN_TAG_BYTES)
        return PACKET_MALFORMED;
    type = read_u16(source->bytes + 12);
    if (type == ETHERTYPE_VLAN) {
        link_bytes += VLAN_TAG_BYTES;
        vlan = read_u16(source->bytes + 14) & VLAN_ID_MASK;
        type = read_u16(source->bytes + 16);
    }
    if (vlan != host->options.vlan)
        return PACKET_FOREIGN;
    packet->ip = source->bytes + link_bytes;
    packet->is_v6 = type == ETHERTYPE_IPV6;
    if (type == ETHERTYPE_IPV4)
        return parse_v4(packet, length - link_bytes, host);
    if (type == ETHERTYPE_IPV6)
        return parse_v6(packet, length - link_bytes, host);
    return type == ETHERTYPE_ARP ? parse_arp(packet, length - link_bytes, host) : PACKET_FOREIGN;
}

#include "common/wire_packet.h"

#include <string.h>

static size_t write_ethernet(const struct wire_packet *packet, uint8_t *bytes)
{
    uint16_t type = packet->is_v6 ? WIRE_TYPE_IPV6 : WIRE_TYPE_IPV4;

    memcpy(bytes, packet->destination_mac, 6);
    memcpy(bytes + 6, packet->source_mac, 6);
    if (packet->vlan == 0) {
        wire_packet_store16(bytes + 12, type);
        return WIRE_ETHERNET_BYTES;
    }
    wire_packet_store16(bytes + 12, WIRE_TYPE_VLAN);
    wire_packet_store16(bytes + 14, packet->vlan);
    wire_packet_store16(bytes + 16, type);
    return WIRE_ETHERNET_BYTES + WIRE_VLAN_BYTES;
}

/* Writes the IP header of a packet with `segment_bytes` behind it. Returns its length. */
static size_t write_ip(uint8_t *ip, bool is_v6, const struct ip_address *source, const struct ip_address *destination,
                       uint8_t protocol, size_t segment_bytes)
{
    if (is_v6) {
        memset(ip, 0, 8);
        ip[0] = 0x60;
        wire_packet_store16(ip + 4, (uint16_t)segment_bytes);
        ip[6] = protocol;
        ip[7] = 64;
        memcpy(ip + 8, source->bytes, 16);
        memcpy(ip + 24, destination->bytes, 16);
        return 40;
    }
    memset(ip, 0, 20);
    ip[0] = 0x45;
    wire_packet_store16(ip + 2, (uint16_t)(20 + segment_bytes));
    wire_packet_store16(ip + 6, 0x4000);
    ip[8] = 64;
    ip[9] = protocol;
    memcpy(ip + 12, source->bytes + 12, 4);
    memcpy(ip + 16, destination->bytes + 12, 4);
    wire_packet_store16(ip + 10, wire_packet_fold(wire_packet_sum(0, ip, 20)));
    return 20;
}

static size_t write_sacks(uint8_t *bytes, const struct wire_packet_options *options)
{
    bytes[0] = 1;
    bytes[1] = 1;
    bytes[2] = 5;
    bytes[3] = (uint8_t)(2 + 8 * options->sack_count);
    for (unsigned i = 0; i < options->sack_count; i++) {
        wire_packet_store32(bytes + 4 + 8 * i, options->sacks[i].left);
        wire_packet_store32(bytes + 8 + 8 * i, options->sacks[i].right);
    }
    return 4 + (size_t)8 * options->sack_count;
}

size_t wire_packet_write_options(uint8_t *bytes, const struct wire_packet_options *options)
{
    size_t at = 0;

    if (options->has_mss) {
        memcpy(bytes, (const uint8_t[]){2, 4, (uint8_t)(options->mss >> 8), (uint8_t)options->mss}, 4);
        at += 4;
    }
    if (options->has_sack_permitted) {
        memcpy(bytes + at, (const uint8_t[]){1, 1, 4, 2}, 4);
        at += 4;
    }
    if (options->has_timestamps) {
        memcpy(bytes + at, (const uint8_t[]){1, 1, 8, 10}, 4);
        wire_packet_store32(bytes + at + 4, options->timestamp);
        wire_packet_store32(bytes + at + 8, options->timestamp_echo);
        at += 12;
    }
    if (options->has_scale) {
        memcpy(bytes + at, (const uint8_t[]){1, 3, 3, options->scale}, 4);
        at += 4;
    }
    return options->sack_count > 0 ? at + write_sacks(bytes + at, options) : at;
}

static void write_tcp(const struct wire_packet *packet, uint8_t *tcp, size_t header_bytes)
{
    wire_packet_store16(tcp, packet->source_port);
    wire_packet_store16(tcp + 2, packet->destination_port);
    wire_packet_store32(tcp + 4, packet->sequence);
    wire_packet_store32(tcp + 8, packet->acknowledgement);
    tcp[12] = (uint8_t)(header_bytes / 4 << 4);
    tcp[13] = packet->flags;
    wire_packet_store16(tcp + 14, packet->window);
    wire_packet_store32(tcp + 16, 0);
    if (packet->payload_bytes > 0)
        memcpy(tcp + header_bytes, packet->payload, packet->payload_bytes);
}

size_t wire_packet_pad(uint8_t *bytes, size_t length)
{
    if (length >= WIRE_SHORTEST_BYTES)
        return length;
    memset(bytes + length, 0, WIRE_SHORTEST_BYTES - length);
    return WIRE_SHORTEST_BYTES;
}

size_t wire_packet_write(const struct wire_packet *packet, uint8_t *bytes)
{
    uint8_t options[40];
    size_t option_bytes = wire_packet_write_options(options, &packet->options);
    size_t segment_bytes = 20 + option_bytes + packet->payload_bytes;
    size_t link_bytes = write_ethernet(packet, bytes);
    uint8_t *ip = bytes + link_bytes;
    uint8_t *tcp = ip + write_ip(ip, packet->is_v6, &packet->source, &packet->destination, WIRE_TCP, segment_bytes);

    write_tcp(packet, tcp, 20 + option_bytes);
    memcpy(tcp + 20, options, option_bytes);
    wire_packet_store16(tcp + 16, wire_packet_fold(wire_packet_sum(
                                      wire_packet_pseudo_sum(ip, packet->is_v6, WIRE_TCP, segment_bytes), tcp, segment_bytes)));
    return wire_packet_pad(bytes, (size_t)(tcp - bytes) + segment_bytes);
}

/* What is the beginning of an answer to a packet: its addresses the other way round. Returns the length of both headers. */
static size_t write_answer_headers(uint8_t *bytes, const uint8_t *packet, const struct wire_packet_layout *layout,
                                   uint8_t protocol, size_t segment_bytes)
{
    const uint8_t *ip = packet + layout->link_bytes;
    struct ip_address from = {0}, to = {0};

    memcpy(bytes, packet + 6, 6);
    memcpy(bytes + 6, packet, 6);
    memcpy(bytes + 12, packet + 12, layout->link_bytes - 12);
    if (layout->is_v6) {
        memcpy(to.bytes, ip + 8, 16);
        memcpy(from.bytes, ip + 24, 16);
    } else {
        memcpy(to.bytes + 12, ip + 12, 4);
        memcpy(from.bytes + 12, ip + 16, 4);
    }
    return layout->link_bytes + write_ip(bytes + layout->link_bytes, layout->is_v6, &from, &to, protocol, segment_bytes);
}

size_t wire_packet_write_icmp(uint8_t *bytes, const uint8_t *packet, size_t length, uint8_t type, uint8_t code, uint32_t rest)
{
    struct wire_packet_layout layout;
    uint8_t protocol;
    uint8_t *icmp;
    size_t quoted, headers;

    if (!wire_packet_lay_out(&layout, packet, length) || !layout.is_ip)
        return 0;
    quoted = layout.ip_bytes + layout.segment_bytes;
    quoted = quoted < 500 ? quoted : 500;
    protocol = layout.is_v6 ? WIRE_ICMPV6 : WIRE_ICMP;
    headers = write_answer_headers(bytes, packet, &layout, protocol, 8 + quoted);
    icmp = bytes + headers;
    icmp[0] = type;
    icmp[1] = code;
    wire_packet_store16(icmp + 2, 0);
    wire_packet_store32(icmp + 4, rest);
    memcpy(icmp + 8, packet + layout.link_bytes, quoted);
    wire_packet_store16(
        icmp + 2,
        wire_packet_fold(wire_packet_sum(
            layout.is_v6 ? wire_packet_pseudo_sum(bytes + layout.link_bytes, true, protocol, 8 + quoted) : 0, icmp, 8 + quoted)));
    return wire_packet_pad(bytes, headers + 8 + quoted);
}

size_t wire_packet_write_too_big(uint8_t *bytes, const uint8_t *packet, size_t length, uint16_t mtu)
{
    struct wire_packet_layout layout;

    if (!wire_packet_lay_out(&layout, packet, length))
        return 0;
    return layout.is_v6 ? wire_packet_write_icmp(bytes, packet, length, 2, 0, mtu)
                        : wire_packet_write_icmp(bytes, packet, length, 3, 4, mtu);
}

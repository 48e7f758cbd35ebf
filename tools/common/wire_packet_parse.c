#include "common/wire_packet.h"

#include <string.h>

/* Kinds of TCP options. */
enum { OPTION_END, OPTION_NOP, OPTION_MSS, OPTION_SCALE, OPTION_SACK_PERMITTED, OPTION_SACK, OPTION_TIMESTAMPS = 8 };

static bool lay_out_v4(struct wire_packet_layout *layout, const uint8_t *ip, size_t length)
{
    size_t total;

    if (length < 20 || ip[0] >> 4 != 4)
        return false;
    layout->ip_bytes = (size_t)(ip[0] & 15) * 4;
    total = wire_packet_load16(ip + 2);
    if (layout->ip_bytes < 20 || layout->ip_bytes > length || total < layout->ip_bytes || total > length)
        return false;
    layout->segment_bytes = total - layout->ip_bytes;
    layout->protocol = ip[9];
    return true;
}

static bool lay_out_v6(struct wire_packet_layout *layout, const uint8_t *ip, size_t length)
{
    if (length < 40 || ip[0] >> 4 != 6)
        return false;
    layout->ip_bytes = 40;
    layout->segment_bytes = wire_packet_load16(ip + 4);
    layout->protocol = ip[6];
    return 40 + layout->segment_bytes <= length;
}

bool wire_packet_lay_out(struct wire_packet_layout *layout, const uint8_t *bytes, size_t length)
{
    memset(layout, 0, sizeof *layout);
    if (length < WIRE_ETHERNET_BYTES)
        return false;
    layout->link_bytes = WIRE_ETHERNET_BYTES;
    layout->type = wire_packet_load16(bytes + 12);
    if (layout->type == WIRE_TYPE_VLAN) {
        if (length < WIRE_ETHERNET_BYTES + WIRE_VLAN_BYTES)
            return false;
        layout->link_bytes += WIRE_VLAN_BYTES;
        layout->vlan = wire_packet_load16(bytes + 14) & 0xfff;
        layout->type = wire_packet_load16(bytes + 16);
    }
    layout->is_v6 = layout->type == WIRE_TYPE_IPV6;
    layout->is_ip = layout->is_v6 || layout->type == WIRE_TYPE_IPV4;
    if (!layout->is_ip)
        return true;
    return layout->is_v6 ? lay_out_v6(layout, bytes + layout->link_bytes, length - layout->link_bytes)
                         : lay_out_v4(layout, bytes + layout->link_bytes, length - layout->link_bytes);
}

static const char *read_sacks(struct wire_packet_options *options, const uint8_t *bytes, size_t length)
{
    if (length < 10 || (length - 2) % 8 != 0)
        return "the SACK option has a wrong length";
    options->sack_count = (unsigned)(length - 2) / 8;
    if (options->sack_count > WIRE_SACK_BLOCKS)
        return "the SACK option has more than four blocks";
    for (unsigned i = 0; i < options->sack_count; i++)
        options->sacks[i] =
            (struct wire_packet_sack){wire_packet_load32(bytes + 2 + 8 * i), wire_packet_load32(bytes + 6 + 8 * i)};
    return NULL;
}

static const char *read_option(struct wire_packet_options *options, const uint8_t *bytes, size_t length)
{
    switch (bytes[0]) {
    case OPTION_MSS:
        options->has_mss = true;
        options->mss = length == 4 ? wire_packet_load16(bytes + 2) : 0;
        return length == 4 ? NULL : "the MSS option has a wrong length";
    case OPTION_SCALE:
        options->has_scale = true;
        options->scale = length == 3 ? bytes[2] : 0;
        return length == 3 ? NULL : "the window scale option has a wrong length";
    case OPTION_SACK_PERMITTED:
        options->has_sack_permitted = true;
        return length == 2 ? NULL : "the SACK-permitted option has a wrong length";
    case OPTION_SACK:
        return read_sacks(options, bytes, length);
    case OPTION_TIMESTAMPS:
        if (length != 10)
            return "the timestamps option has a wrong length";
        options->has_timestamps = true;
        options->timestamp = wire_packet_load32(bytes + 2);
        options->timestamp_echo = wire_packet_load32(bytes + 6);
        return NULL;
    default:
        return "there is an unknown TCP option";
    }
}

static const char *read_options(struct wire_packet_options *options, const uint8_t *bytes, size_t length)
{
    memset(options, 0, sizeof *options);
    for (size_t at = 0; at < length;) {
        const char *error;

        if (bytes[at] == OPTION_END) {
            for (; at < length; at++)
                if (bytes[at] != 0)
                    return "the padding of the TCP options is not zero";
            return NULL;
        }
        if (bytes[at] == OPTION_NOP) {
            at++;
            continue;
        }
        if (at + 2 > length || bytes[at + 1] < 2 || at + bytes[at + 1] > length)
            return "a TCP option is longer than the header";
        error = read_option(options, bytes + at, bytes[at + 1]);
        if (error)
            return error;
        at += bytes[at + 1];
    }
    return NULL;
}

static const char *check_ip(const struct wire_packet_layout *layout, const uint8_t *ip)
{
    if (layout->is_v6)
        return ip[7] == 0 ? "the hop limit is 0" : NULL;
    if (layout->ip_bytes != 20)
        return "the IPv4 header has options";
    if ((wire_packet_load16(ip + 6) & 0xbfff) != 0)
        return "the IPv4 packet is a fragment, or has its reserved bit set";
    if (!(wire_packet_load16(ip + 6) & 0x4000))
        return "DF is not set";
    return ip[8] == 0 ? "the TTL is 0" : NULL;
}

static const char *check_tcp(const uint8_t *tcp)
{
    if (tcp[12] & 15)
        return "reserved bits of the TCP header are set";
    if (tcp[13] & WIRE_ECN)
        return "ECN bits are set";
    if ((tcp[13] & WIRE_URG) || wire_packet_load16(tcp + 18) != 0)
        return "URG or an urgent pointer is set";
    return NULL;
}

/* A frame is as long as its IP packet, or as the shortest frame allowed, and then what follows the packet is zero. */
static const char *check_length(const struct wire_packet_layout *layout, const uint8_t *bytes, size_t length)
{
    size_t end = layout->link_bytes + layout->ip_bytes + layout->segment_bytes;

    if (length < WIRE_SHORTEST_BYTES)
        return "the frame is shorter than Ethernet allows";
    if (length > end && length > WIRE_SHORTEST_BYTES)
        return "the frame is longer than its packet";
    for (size_t i = end; i < length; i++)
        if (bytes[i] != 0)
            return "the padding of the frame is not zero";
    return NULL;
}

/* True if the length of an IPv4 header is plausible and its checksum is wrong: then its packet's length may be, too. */
static bool is_v4_header_corrupt(const struct wire_packet_layout *layout, const uint8_t *bytes, size_t length)
{
    return layout->type == WIRE_TYPE_IPV4 && layout->ip_bytes >= 20 && layout->link_bytes + layout->ip_bytes <= length &&
           !wire_packet_ip_sum_is_good(layout, bytes);
}

static void read_ip(struct wire_packet *packet, const struct wire_packet_layout *layout, const uint8_t *ip)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    packet->is_v6 = layout->is_v6;
    packet->vlan = layout->vlan;
    if (layout->is_v6) {
        memcpy(packet->source.bytes, ip + 8, 16);
        memcpy(packet->destination.bytes, ip + 24, 16);
        return;
    }
    memcpy(packet->source.bytes, mapped, 12);
    memcpy(packet->source.bytes + 12, ip + 12, 4);
    memcpy(packet->destination.bytes, mapped, 12);
    memcpy(packet->destination.bytes + 12, ip + 16, 4);
}

static void read_tcp(struct wire_packet *packet, const uint8_t *tcp, size_t header_bytes, size_t segment_bytes)
{
    packet->source_port = wire_packet_load16(tcp);
    packet->destination_port = wire_packet_load16(tcp + 2);
    packet->sequence = wire_packet_load32(tcp + 4);
    packet->acknowledgement = wire_packet_load32(tcp + 8);
    packet->flags = tcp[13];
    packet->window = wire_packet_load16(tcp + 14);
    packet->payload = tcp + header_bytes;
    packet->payload_bytes = segment_bytes - header_bytes;
}

enum wire_packet_verdict wire_packet_parse(struct wire_packet *packet, const uint8_t *bytes, size_t length, const char **error)
{
    struct wire_packet_layout layout;
    const uint8_t *ip, *tcp;
    const char *unused = NULL;
    size_t header_bytes;

    error = error ? error : &unused;
    *error = "the frame is too short for what its headers announce";
    memset(packet, 0, sizeof *packet);
    if (!wire_packet_lay_out(&layout, bytes, length))
        return is_v4_header_corrupt(&layout, bytes, length) ? WIRE_CORRUPT : WIRE_MALFORMED;
    *error = "the frame has no TCP";
    if (!layout.is_ip)
        return WIRE_OTHER;
    *error = "the checksum of the IPv4 header is wrong";
    if (!wire_packet_ip_sum_is_good(&layout, bytes))
        return WIRE_CORRUPT;
    *error = "the frame has no TCP";
    if (layout.protocol != WIRE_TCP)
        return WIRE_OTHER;
    *error = "the checksum of TCP is wrong";
    if (layout.segment_bytes < 20 || !wire_packet_segment_sum_is_good(&layout, bytes))
        return WIRE_CORRUPT;
    ip = bytes + layout.link_bytes;
    tcp = ip + layout.ip_bytes;
    header_bytes = (size_t)(tcp[12] >> 4) * 4;
    *error = "the TCP header has a wrong length";
    if (header_bytes < 20 || header_bytes > layout.segment_bytes)
        return WIRE_MALFORMED;
    memcpy(packet->destination_mac, bytes, 6);
    memcpy(packet->source_mac, bytes + 6, 6);
    read_ip(packet, &layout, ip);
    read_tcp(packet, tcp, header_bytes, layout.segment_bytes);
    *error = read_options(&packet->options, tcp + 20, header_bytes - 20);
    if (!*error)
        *error = check_ip(&layout, ip);
    if (!*error)
        *error = check_tcp(tcp);
    if (!*error)
        *error = check_length(&layout, bytes, length);
    return *error ? WIRE_MALFORMED : WIRE_GOOD;
}

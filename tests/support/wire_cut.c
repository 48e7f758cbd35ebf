#include "support/wire_cut.h"

#include "common/wire_packet.h"

#include <assert.h>
#include <string.h>

static void check_headers(const struct port_segment *segment)
{
    const uint8_t *ip = segment->header + segment->link_bytes;
    const uint8_t *tcp = ip + segment->ip_bytes;
    size_t headers = (size_t)segment->link_bytes + segment->ip_bytes + segment->tcp_bytes;

    assert(segment->header_bytes >= WIRE_ETHERNET_BYTES);
    assert(!segment->payload == (segment->payload_bytes == 0));
    if (segment->tcp_bytes == 0) {
        assert(!segment->payload && segment->mss == 0);
        return;
    }
    assert(headers <= segment->header_bytes);
    assert(segment->link_bytes == WIRE_ETHERNET_BYTES || segment->link_bytes == WIRE_ETHERNET_BYTES + WIRE_VLAN_BYTES);
    assert(wire_packet_load16(ip - 2) == (segment->is_v6 ? WIRE_TYPE_IPV6 : WIRE_TYPE_IPV4));
    assert(segment->ip_bytes == (segment->is_v6 ? 40 : (ip[0] & 15) * 4));
    assert(segment->tcp_bytes == (tcp[12] >> 4) * 4);
    /* A card repeats headers alone before each piece: payload behind them would be repeated too. */
    assert(segment->mss == 0 || headers == segment->header_bytes);
}

/* Gives a piece the length and checksums that a card computes. */
static void finish_piece(const struct port_segment *segment, uint8_t *packet, size_t payload_bytes)
{
    uint8_t *ip = packet + segment->link_bytes;
    uint8_t *tcp = ip + segment->ip_bytes;
    size_t tcp_length = segment->tcp_bytes + payload_bytes;

    if (segment->is_v6) {
        wire_packet_store16(ip + 4, (uint16_t)tcp_length);
    } else {
        wire_packet_store16(ip + 2, (uint16_t)(segment->ip_bytes + tcp_length));
        wire_packet_store16(ip + 10, 0);
        wire_packet_store16(ip + 10, wire_packet_fold(wire_packet_sum(0, ip, segment->ip_bytes)));
    }
    /* The sum of the pseudo-header without length is in the checksum's place, and is summed with the rest. */
    wire_packet_store16(tcp + 16, wire_packet_fold(wire_packet_sum((uint32_t)tcp_length, tcp, tcp_length)));
}

static void cut_pieces(const struct port_segment *segment, wire_cut_packet *on_packet, void *context)
{
    uint8_t packet[WIRE_LONGEST_BYTES];
    uint8_t *ip = packet + segment->link_bytes;
    uint8_t *tcp = ip + segment->ip_bytes;
    uint32_t sequence, done = 0;
    uint16_t id;
    uint8_t flags;

    memcpy(packet, segment->header, segment->header_bytes);
    assert((wire_packet_load16(tcp + 16) ^ wire_packet_fold(wire_packet_pseudo_sum(ip, segment->is_v6, WIRE_TCP, 0))) == 0xffff);
    sequence = wire_packet_load32(tcp + 4);
    id = segment->is_v6 ? 0 : wire_packet_load16(ip + 4);
    flags = tcp[13];
    for (unsigned piece = 0; done < segment->payload_bytes; piece++) {
        uint32_t left = segment->payload_bytes - done;
        uint32_t length = left < segment->mss ? left : segment->mss;

        memcpy(packet, segment->header, segment->header_bytes);
        memcpy(packet + segment->header_bytes, segment->payload + done, length);
        wire_packet_store32(tcp + 4, sequence + done);
        tcp[13] = length < left ? flags & (uint8_t) ~(WIRE_PSH | WIRE_FIN) : flags;
        if (!segment->is_v6)
            wire_packet_store16(ip + 4, (uint16_t)(id + piece));
        finish_piece(segment, packet, length);
        on_packet(context, packet, wire_packet_pad(packet, segment->header_bytes + length));
        done += length;
    }
}

void wire_cut(const struct port_segment *segment, wire_cut_packet *on_packet, void *context)
{
    uint8_t packet[WIRE_LONGEST_BYTES];

    check_headers(segment);
    if (segment->mss > 0) {
        cut_pieces(segment, on_packet, context);
        return;
    }
    assert(segment->header_bytes + segment->payload_bytes <= sizeof packet);
    memcpy(packet, segment->header, segment->header_bytes);
    if (segment->payload)
        memcpy(packet + segment->header_bytes, segment->payload, segment->payload_bytes);
    on_packet(context, packet, segment->header_bytes + segment->payload_bytes);
}

/*
 * Ethernet frames with TCP over IPv4 or IPv6, taken apart and put together. Tests judge the TCP engine by this, so it shares no code with the
 * engine. Any thread.
 */
#ifndef TOOLS_COMMON_WIRE_PACKET_H
#define TOOLS_COMMON_WIRE_PACKET_H

#include "flashrelay/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_ETHERNET_BYTES 14
#define WIRE_VLAN_BYTES     4
/* The shortest Ethernet frame, without its check sequence (IEEE 802.3, 4A.2.3.2.4). */
#define WIRE_SHORTEST_BYTES 60
/* All headers of a TCP segment at their longest. */
#define WIRE_HEADERS_BYTES (WIRE_ETHERNET_BYTES + WIRE_VLAN_BYTES + 60 + 60)
/* The longest frame that is handled anywhere: a jumbo frame. */
#define WIRE_LONGEST_BYTES 9216
#define WIRE_SACK_BLOCKS   4

#define WIRE_TYPE_IPV4 0x0800
#define WIRE_TYPE_ARP  0x0806
#define WIRE_TYPE_VLAN 0x8100
#define WIRE_TYPE_IPV6 0x86dd

enum wire_packet_protocol { WIRE_ICMP = 1, WIRE_TCP = 6, WIRE_ICMPV6 = 58 };

/* Bits of the flags' octet of TCP (RFC 9293, 3.1). */
enum wire_packet_flags { WIRE_FIN = 1, WIRE_SYN = 2, WIRE_RST = 4, WIRE_PSH = 8, WIRE_ACK = 16, WIRE_URG = 32, WIRE_ECN = 192 };

struct wire_packet_sack {
    uint32_t left, right;
};

/* The options of a TCP header (RFC 9293, 3.2; RFC 7323; RFC 2018). */
struct wire_packet_options {
    bool has_mss, has_scale, has_sack_permitted, has_timestamps;
    uint8_t scale;
    uint16_t mss;
    uint32_t timestamp, timestamp_echo;
    unsigned sack_count;
    struct wire_packet_sack sacks[WIRE_SACK_BLOCKS];
};

/* A TCP segment in its Ethernet frame. */
struct wire_packet {
    uint8_t destination_mac[6], source_mac[6];
    uint16_t vlan; /* 0: no tag */
    bool is_v6;
    struct ip_address source, destination;
    uint16_t source_port, destination_port;
    uint32_t sequence, acknowledgement;
    uint8_t flags; /* enum wire_packet_flags */
    uint16_t window;
    struct wire_packet_options options;
    const uint8_t *payload;
    size_t payload_bytes;
};

/* Where the parts of an IP packet lie in its frame. */
struct wire_packet_layout {
    bool is_ip, is_v6;
    uint16_t type; /* of the Ethernet frame */
    uint16_t vlan;
    uint8_t protocol;
    size_t link_bytes, ip_bytes, segment_bytes; /* Ethernet header, IP header, and what is behind the IP header */
};

enum wire_packet_verdict {
    WIRE_GOOD,
    WIRE_OTHER,    /* no TCP */
    WIRE_CORRUPT,  /* a checksum says that it was changed on its way */
    WIRE_MALFORMED /* its sender built it wrongly */
};

/* Big-endian numbers. */
uint16_t wire_packet_load16(const uint8_t *bytes);
uint32_t wire_packet_load32(const uint8_t *bytes);
void wire_packet_store16(uint8_t *bytes, uint16_t value);
void wire_packet_store32(uint8_t *bytes, uint32_t value);

/* Adds bytes to a checksum (RFC 1071), which wire_packet_fold ends. Only the last piece that is added may have an odd length. */
uint32_t wire_packet_sum(uint32_t sum, const uint8_t *bytes, size_t length);
uint16_t wire_packet_fold(uint32_t sum);
/* The sum of the pseudo-header of a segment of `segment_bytes` (RFC 9293, 3.1; RFC 8200, 8.1), from the IP header at `ip`. */
uint32_t wire_packet_pseudo_sum(const uint8_t *ip, bool is_v6, uint8_t protocol, size_t segment_bytes);

/* Finds the parts of a frame. False if the frame is too short for what its headers announce; is_ip tells IPv4 and IPv6 from the rest. */
bool wire_packet_lay_out(struct wire_packet_layout *layout, const uint8_t *bytes, size_t length);
/* True if the checksum of the IPv4 header, or of the TCP, ICMP or ICMPv6 behind it, is right. IPv6 headers have none. */
bool wire_packet_ip_sum_is_good(const struct wire_packet_layout *layout, const uint8_t *bytes);
bool wire_packet_segment_sum_is_good(const struct wire_packet_layout *layout, const uint8_t *bytes);

/*
 * Takes a frame apart; packet->payload points into it. Everything that a careful sender fills in is checked: checksums, lengths, DF, reserved
 * bits, form of the options, zeros in the padding of short frames. `*error` (may be NULL) says what is wrong unless the verdict is good.
 */
enum wire_packet_verdict wire_packet_parse(struct wire_packet *packet, const uint8_t *bytes, size_t length, const char **error);

/* Writes the options with their padding, at most 40 bytes. Returns the length. */
size_t wire_packet_write_options(uint8_t *bytes, const struct wire_packet_options *options);
/* Pads a frame that is shorter than WIRE_SHORTEST_BYTES with zeros. Returns its length. */
size_t wire_packet_pad(uint8_t *bytes, size_t length);

/* Builds the frame, padded, with its checksums. Returns the length: at most WIRE_HEADERS_BYTES and the payload. */
size_t wire_packet_write(const struct wire_packet *packet, uint8_t *bytes);

/*
 * Builds the message that a router, or the destination, returns to the sender of a packet: type and code (of ICMP or ICMPv6, as the packet
 * is), `rest` in the second word, and the beginning of the packet (RFC 792, RFC 4443, 3). Returns the length, at most WIRE_ICMP_BYTES;
 * 0 if the packet is no IP packet.
 */
#define WIRE_ICMP_BYTES 600
size_t wire_packet_write_icmp(uint8_t *bytes, const uint8_t *packet, size_t length, uint8_t type, uint8_t code, uint32_t rest);
/* The same that says "too big" for a path of `mtu` (RFC 1191, RFC 8201). */
size_t wire_packet_write_too_big(uint8_t *bytes, const uint8_t *packet, size_t length, uint16_t mtu);

#endif

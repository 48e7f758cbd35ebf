/*
 * Received packets: finding TCP, ARP and ICMP in an Ethernet frame, and checking them. Input may be anything; nothing beyond the frame is
 * read. Formats: RFC 791, 8200, 9293, 826, 792, 4443, 4861; IEEE 802.1Q.
 */
#ifndef DATAPLANE_ENGINE_TCP_PACKET_H
#define DATAPLANE_ENGINE_TCP_PACKET_H

#include "engine/tcp/port.h"
#include "flashrelay/address.h"

#define ETHERNET_BYTES     14
#define VLAN_TAG_BYTES     4
#define ETHERNET_MIN_BYTES 60 /* of a frame without its checksum; shorter ones are padded */
#define ETHERTYPE_IPV4     0x0800
#define ETHERTYPE_ARP      0x0806
#define ETHERTYPE_VLAN     0x8100
#define ETHERTYPE_IPV6     0x86dd
#define IPV4_BYTES         20
#define IPV6_BYTES         40
#define TCP_BYTES          20
#define PROTOCOL_ICMP      1
#define PROTOCOL_TCP       6
#define PROTOCOL_ICMPV6    58
#define PACKET_SACK_BLOCKS 4
#define IP_TIME_TO_LIVE    64 /* of what is sent */

enum tcp_flag { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10 };

enum packet_kind {
    PACKET_TCP,
    PACKET_ARP,
    PACKET_ICMP,     /* for either family */
    PACKET_FOREIGN,  /* for another address, another protocol, another VLAN */
    PACKET_FRAGMENT, /* a fragment, or a header with options or extensions */
    PACKET_MALFORMED,
    PACKET_BAD_CHECKSUM,
};

struct sack_block {
    uint32_t start, end;
};

struct packet {
    struct port_packet *source;
    uint8_t *ethernet, *ip, *tcp; /* tcp: what follows the IP header, in ICMP, too */
    uint8_t *payload;
    uint32_t payload_bytes;
    uint64_t hash;            /* of the remote address and port (tcp_hash_packet) */
    uint32_t slot;            /* of the connection that it probably belongs to; UINT32_MAX: not known */
    struct ip_address remote; /* source */
    uint16_t remote_port, local_port;
    uint8_t local; /* index of the destination among the host's addresses; of ARP: of the target */
    bool is_v6;
    uint8_t flags; /* enum tcp_flag */
    uint8_t sack_count;
    uint32_t sequence, acknowledgement;
    uint16_t window; /* not scaled */
    uint16_t mss;    /* of a SYN; 0 without that option */
    bool has_scale, sack_permitted;
    uint8_t scale;
    struct sack_block sacks[PACKET_SACK_BLOCKS];
};

struct host;

/* Fills `packet` with what `source` holds, as far as its kind has such fields. */
enum packet_kind packet_parse(struct packet *packet, struct port_packet *source, const struct host *host);

/* Reads and writes numbers in network byte order at any address. */
static inline uint16_t read_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline uint32_t read_u32(const uint8_t *bytes)
{
    return (uint32_t)read_u16(bytes) << 16 | read_u16(bytes + 2);
}

static inline void write_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void write_u32(uint8_t *bytes, uint32_t value)
{
    write_u16(bytes, (uint16_t)(value >> 16));
    write_u16(bytes + 2, (uint16_t)value);
}

/* The sum over TCP's or ICMPv6's pseudo header of a packet whose IP header is at `ip`, without the length (RFC 9293 3.1, RFC 8200 8.1). */
uint64_t packet_pseudo_sum(const uint8_t *ip, bool is_v6, uint8_t protocol);

/* The same with the length of what follows the IP header. */
static inline uint64_t packet_length_sum(uint32_t length)
{
    uint8_t bytes[4];
    uint16_t words[2];

    write_u32(bytes, length);
    __builtin_memcpy(words, bytes, sizeof words);
    return (uint64_t)words[0] + words[1];
}

#endif

/*
 * What the TCP engines of one port share: the port's own addresses, the neighbours to which packets go, and news for several of them. Every
 * engine may look up and add neighbours; the functions say which thread may call them.
 */
#ifndef DATAPLANE_ENGINE_TCP_HOST_H
#define DATAPLANE_ENGINE_TCP_HOST_H

#include "engine/tcp/port.h"
#include "flashrelay/address.h"

#include <stdatomic.h>

/* Most addresses of a port, and most gateways: one per family is usual. */
#define HOST_ADDRESSES 8
/* Most neighbours known at once. */
#define HOST_NEIGHBOURS 1024
/* News for one engine that it has not taken yet; more are dropped. */
#define HOST_NEWS 64

/* An address of the port, with the length of its network's prefix in bits (of the IPv4 address, where it is one). */
struct host_address {
    struct ip_address ip;
    uint8_t prefix_bits;
};

struct host_options {
    struct host_address addresses[HOST_ADDRESSES];
    unsigned address_count;
    struct ip_address gateways[HOST_ADDRESSES];
    unsigned gateway_count;
    uint16_t mtu;  /* bytes of an IP packet; at least 576, or 1280 with an IPv6 address */
    uint16_t vlan; /* tag of every packet, 1 to 4094; 0: none */
};

/* Where packets for some peers go. */
struct neighbour {
    _Atomic uint64_t mac_and_age; /* MAC address in the low 48 bits; above it when it was last confirmed, in seconds */
    _Atomic uint32_t users;       /* connections that use it */
    bool has_ip;                  /* it is asked for by its address; else it is only where packets came from */
    uint8_t local;                /* the own address from which it is asked for */
    struct ip_address ip;
};

/* "Packet too big" (RFC 1191, RFC 8201) for a connection that one of the engines may have. */
struct host_too_big {
    struct ip_address remote;
    uint16_t remote_port, local_port;
    uint8_t local;     /* number of the own address */
    uint32_t sequence; /* of the segment that was too big */
    uint16_t mtu;
};

/* News from engine 0 for one engine: a ring with one writer and one reader. */
struct host_news {
    _Alignas(64) _Atomic uint32_t written;
    _Alignas(64) _Atomic uint32_t read;
    struct host_too_big entries[HOST_NEWS];
};

struct host {
    struct host_options options;
    uint8_t mac[6];
    unsigned engines;
    struct host_news *news;   /* one per engine */
    atomic_flag changing;     /* held while the table of neighbours is changed */
    unsigned neighbour_count; /* the first so many entries are, or were, in use */
    struct neighbour neighbours[HOST_NEIGHBOURS];
};

/* Creates the host of `engines` engines, whose ports have the limits `limits`. 0 or -ENOMEM. host_destroy frees it (NULL is allowed). */
int host_create(struct host **out, const struct host_options *options, const struct port_limits *limits, unsigned engines);
void host_destroy(struct host *host);

/*
 * Proves, before any engine runs, that no other machine has one of the addresses (RFC 5227, RFC 4862 5.4), and that the gateways answer.
 * Waits for answers: 900 ms for all addresses together, at most 3 s for each gateway. 0; -EADDRINUSE or -EHOSTUNREACH, and `error` says
 * which address and which MAC address has it.
 */
int host_probe(struct host *host, struct port *port, char *error, size_t error_capacity);

/* --- own addresses; any thread --- */

/* Finds an own address by its bytes as in a packet. An IPv6 one is also found by its solicited-node multicast address (RFC 4291, 2.7.1). */
bool host_find_v4(const struct host *host, const uint8_t bytes[4], uint8_t *local);
bool host_find_v6(const struct host *host, const uint8_t bytes[16], uint8_t *local);

/* True for an address from which a connection may come: no own, unspecified, loopback, multicast or broadcast one (RFC 1122, 3.2.1.3). */
bool host_is_peer(const struct host *host, const struct ip_address *ip);

/* --- neighbours --- */

/*
 * Finds, or adds, the neighbour to which packets for `remote` go: the peer itself on a network of the port, else the gateway, else whoever
 * sent the packet with the source address `mac`. Counts one user more. -ENOBUFS if all neighbours are in use. Any engine's thread.
 */
int host_use_neighbour(struct host *host, const struct ip_address *remote, uint8_t local, const uint8_t mac[6], uint64_t now_ns);
void host_leave_neighbour(struct host *host, unsigned neighbour);

/* Writes the neighbour's MAC address. Any thread. */
static inline void host_neighbour_mac(const struct host *host, unsigned neighbour, uint8_t mac[6])
{
    uint64_t value = atomic_load_explicit(&host->neighbours[neighbour].mac_and_age, memory_order_relaxed);

    __builtin_memcpy(mac, &value, 6);
}

/* Notes that `ip` has the address `mac`, if it is the address of a known neighbour. The thread of engine 0. */
void host_learn(struct host *host, const struct ip_address *ip, const uint8_t mac[6], uint64_t now_ns);

/*
 * Finds the next neighbour, from *place on, that was not confirmed for a while and is to be asked for: copies its address, and which own
 * address asks; moves *place behind it. False if there is none. The thread of engine 0, once per second from place 0.
 */
bool host_next_stale(struct host *host, unsigned *place, uint64_t now_ns, struct ip_address *ip, uint8_t *local);

/* --- news --- */

/* Tells all engines. The thread of engine 0. */
void host_tell(struct host *host, const struct host_too_big *news);
/* Takes the oldest news for engine `index`; false if there is none. That engine's thread. */
bool host_take_news(struct host *host, unsigned index, struct host_too_big *news);

#endif

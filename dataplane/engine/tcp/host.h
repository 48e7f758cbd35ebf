/*
 * What the TCP engines of one port share: the port's own addresses, and the neighbours to which packets for others go. Every shard's engine
 * reads the table of neighbours; each may add to it.
 */
#ifndef DATAPLANE_ENGINE_TCP_HOST_H
#define DATAPLANE_ENGINE_TCP_HOST_H

#include "engine/tcp/port.h"
#include "flashrelay/address.h"

#include <stdatomic.h>

/* Most addresses of a port, and most gateways: one per family is usual. */
#define HOST_ADDRESSES 8

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

struct host;

/* Creates the host of `engines` engines, whose ports have the limits `limits`. 0 or -ENOMEM. host_destroy frees it (NULL is allowed). */
int host_create(struct host **out, const struct host_options *options, const struct port_limits *limits, unsigned engines);
void host_destroy(struct host *host);

/*
 * Proves, before any engine runs, that no other machine has one of the addresses (RFC 5227, RFC 4862 5.4), and that the gateways answer.
 * Waits for answers, at most 3 s. 0; -EADDRINUSE or -EHOSTUNREACH, and `error` says which address and which MAC address has it.
 */
int host_probe(struct host *host, struct port *port, char *error, size_t error_capacity);

#endif

/* The settings of the engine that drives a network port by DPDK, with a TCP of its own: the kind called "dpdk". */
#ifndef FLASHRELAY_ENGINE_DPDK_H
#define FLASHRELAY_ENGINE_DPDK_H

#include "flashrelay/address.h"

#include <stdbool.h>
#include <stdint.h>

/* Most addresses of a port, and most gateways. */
#define ENGINE_DPDK_ADDRESSES 8

/* An address of the port, with the length of its network's prefix in bits: of the IPv4 address, where it is one. */
struct engine_dpdk_address {
    struct ip_address ip;
    uint8_t prefix_bits;
};

/* What is pointed to belongs to the caller, and must outlive the kind's `close`. */
struct engine_dpdk_options {
    const char *port; /* a PCI address ("0000:3b:00.0"), or a device that DPDK makes ("net_tap0,iface=flash0") */
    const char *eal;  /* further arguments of EAL, quoted as for a shell; NULL: none */
    struct engine_dpdk_address addresses[ENGINE_DPDK_ADDRESSES];
    unsigned address_count;
    struct ip_address gateways[ENGINE_DPDK_ADDRESSES];
    unsigned gateway_count;
    uint16_t mtu;  /* bytes of an IP packet; at least 576, or 1280 with an IPv6 address */
    uint16_t vlan; /* tag of every packet, 1 to 4094; 0: none */
    bool offload;  /* let the card cut segments (TSO), where it can */
};

#endif

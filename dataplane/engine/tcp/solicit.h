/* Requests of ARP (RFC 826) and neighbour discovery (RFC 4861) as Ethernet frames. */
#ifndef DATAPLANE_ENGINE_TCP_SOLICIT_H
#define DATAPLANE_ENGINE_TCP_SOLICIT_H

#include "engine/tcp/host.h"

#define ARP_REQUEST         1
#define ARP_REPLY           2
#define ARP_BYTES           28
#define ICMP6_SOLICITATION  135
#define ICMP6_ADVERTISEMENT 136
#define ND_BYTES            24 /* of a solicitation or advertisement without options */
#define ND_OPTION_BYTES     8
#define ND_SOURCE_ADDRESS   1
#define ND_TARGET_ADDRESS   2
#define ND_HOP_LIMIT        255

/* Writes an ARP message from the own address number `local`. `target_ip` may lie in `arp`. */
void solicit_write_arp(const struct host *host, uint8_t *arp, uint16_t operation, const uint8_t target_mac[6],
                       const uint8_t *target_ip, unsigned local);

/*
 * Writes a request for the MAC address of `ip` into `frame`, of PORT_HEADER_BYTES. `is_probe`: it asks whether anybody has the address, and
 * names no sender (RFC 5227, 2.1.1; RFC 4862, 5.4.2). Returns its length in bytes.
 */
uint32_t solicit_write(const struct host *host, const struct ip_address *ip, unsigned local, bool is_probe, uint8_t *frame);

#endif

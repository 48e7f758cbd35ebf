/* What is proved about the network before any engine runs: the own addresses are free, the gateways answer. */
#include "engine/tcp/packet.h"
#include "engine/tcp/solicit.h"

#include "flashrelay/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A request is repeated so often, so far apart; an address is free if nobody has answered after that. */
#define TRIES       3
#define INTERVAL_NS (300 * NS_PER_MS)
/* How long a gateway is waited for: a switch may need that long to forward to a port that has just come up. */
#define GATEWAY_TRIES 10

/* What a received frame says about who has which address. */
struct claim {
    struct ip_address ip;
    uint8_t mac[6];
};

static bool read_arp(const uint8_t *arp, uint32_t length, struct claim *claim)
{
    if (length < ARP_BYTES || read_u16(arp) != 1 || read_u16(arp + 2) != ETHERTYPE_IPV4)
        return false;
    ip_address_from_v4(&claim->ip, arp + 14);
    memcpy(claim->mac, arp + 8, 6);
    return true;
}

static bool read_advertisement(const uint8_t *ip, const uint8_t *sender, uint32_t length, struct claim *claim)
{
    const uint8_t *icmp = ip + IPV6_BYTES;

    if (length < IPV6_BYTES + ND_BYTES || ip[6] != PROTOCOL_ICMPV6 || icmp[0] != ICMP6_ADVERTISEMENT || ip[7] != ND_HOP_LIMIT)
        return false;
    memcpy(claim->ip.bytes, icmp + 8, 16);
    memcpy(claim->mac, sender, 6);
    return true;
}

static bool read_claim(const struct port_packet *packet, struct claim *claim)
{
    uint32_t link = ETHERNET_BYTES;

    if (packet->length < ETHERNET_BYTES + VLAN_TAG_BYTES)
        return false;
    if (read_u16(packet->bytes + 12) == ETHERTYPE_VLAN)
        link += VLAN_TAG_BYTES;
    switch (read_u16(packet->bytes + link - 2)) {
    case ETHERTYPE_ARP:
        return read_arp(packet->bytes + link, packet->length - link, claim);
    case ETHERTYPE_IPV6:
        return read_advertisement(packet->bytes + link, packet->bytes + 6, packet->length - link, claim);
    default:
        return false;
    }
}

/* An address that is asked for, and the own address that asks. */
struct question {
    struct ip_address ip;
    unsigned local;
};

static bool is_asked_for(const struct question *questions, unsigned count, const struct ip_address *ip)
{
    for (unsigned i = 0; i < count; i++)
        if (ip_address_equal(&questions[i].ip, ip))
            return true;
    return false;
}

/* Receives what has arrived; true if one of the frames claims one of the addresses for another MAC address than ours. */
static bool is_claimed(struct port *port, const struct host *host, const struct question *questions, unsigned question_count,
                       struct claim *claim)
{
    struct port_packet packets[PORT_BURST];
    unsigned count = port->ops->receive(port, packets, PORT_BURST);
    bool found = false;

    for (unsigned i = 0; i < count && !found; i++)
        found = read_claim(&packets[i], claim) && is_asked_for(questions, question_count, &claim->ip) &&
                memcmp(claim->mac, host->mac, 6) != 0;
    if (count > 0)
        port->ops->release(port, packets, count);
    return found;
}

static void ask(struct port *port, const struct host *host, const struct question *question, bool is_probe)
{
    struct port_segment segment = {0};

    if (!port->ops->take_headers(port, &segment.header, 1))
        return;
    segment.header_bytes = (uint16_t)solicit_write(host, &question->ip, question->local, is_probe, segment.header);
    port->ops->send(port, &segment, 1);
    port->ops->flush(port);
}

/* Asks for the addresses, all at the same time and at most `tries` times. True if somebody has one of them. */
static bool resolve(struct port *port, const struct host *host, const struct question *questions, unsigned count, bool is_probe,
                    unsigned tries, struct claim *claim)
{
    for (; tries > 0; tries--) {
        uint64_t end_ns = port->ops->now(port) + INTERVAL_NS;

        for (unsigned i = 0; i < count; i++)
            ask(port, host, &questions[i], is_probe);
        do {
            if (is_claimed(port, host, questions, count, claim))
                return true;
            port->ops->wait(port, end_ns);
        } while (port->ops->now(port) < end_ns);
    }
    return false;
}

static int check_are_free(const struct host *host, struct port *port, char *error, size_t error_capacity)
{
    unsigned count = host->options.address_count;
    struct question questions[HOST_ADDRESSES];
    char text[ADDRESS_TEXT_BYTES];
    struct claim claim;

    for (unsigned i = 0; i < count; i++)
        questions[i] = (struct question){host->options.addresses[i].ip, i};
    if (!resolve(port, host, questions, count, true, TRIES, &claim))
        return 0;
    snprintf(error, error_capacity, "%s is in use by %02x:%02x:%02x:%02x:%02x:%02x: give the port an address of its own",
             ip_address_format(&claim.ip, text), claim.mac[0], claim.mac[1], claim.mac[2], claim.mac[3], claim.mac[4],
             claim.mac[5]);
    return -EADDRINUSE;
}

/* The first own address of the gateway's family. */
static unsigned local_for(const struct host *host, const struct ip_address *gateway)
{
    unsigned local = 0;

    while (local + 1 < host->options.address_count &&
           ip_address_is_v4(&host->options.addresses[local].ip) != ip_address_is_v4(gateway))
        local++;
    return local;
}

static int find_gateway(struct host *host, struct port *port, const struct ip_address *gateway, char *error,
                        size_t error_capacity)
{
    const struct question question = {*gateway, local_for(host, gateway)};
    char text[ADDRESS_TEXT_BYTES];
    struct claim claim;

    if (!resolve(port, host, &question, 1, false, GATEWAY_TRIES, &claim)) {
        snprintf(error, error_capacity, "gateway %s does not answer: is it on the port's network?",
                 ip_address_format(gateway, text));
        return -EHOSTUNREACH;
    }
    /* It is used for as long as the host lives. */
    host_use_neighbour(host, gateway, (uint8_t)question.local, claim.mac, port->ops->now(port));
    return 0;
}

int host_probe(struct host *host, struct port *port, char *error, size_t error_capacity)
{
    int result = check_are_free(host, port, error, error_capacity);

    for (unsigned i = 0; i < host->options.gateway_count && result == 0; i++)
        result = find_gateway(host, port, &host->options.gateways[i], error, error_capacity);
    return result;
}

#include "engine/tcp/solicit.h"

#include "engine/tcp/checksum.h"
#include "engine/tcp/packet.h"

#include <string.h>

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

void solicit_write_arp(const struct host *host, uint8_t *arp, uint16_t operation, const uint8_t target_mac[6],
                       const uint8_t *target_ip, unsigned local)
{
    static const uint8_t ethernet_and_ipv4[6] = {0, 1, 8, 0, 6, 4};

    memmove(arp + 24, target_ip, 4);
    memcpy(arp, ethernet_and_ipv4, sizeof ethernet_and_ipv4);
    write_u16(arp + 6, operation);
    memcpy(arp + 8, host->mac, 6);
    memcpy(arp + 14, host->options.addresses[local].ip.bytes + 12, 4);
    memcpy(arp + 18, target_mac, 6);
}

uint32_t solicit_write(const struct host *host, const struct ip_address *ip, unsigned local, bool is_probe, uint8_t *frame)
{
    bool is_v4 = ip_address_is_v4(ip);
    static const uint8_t zero_mac[6];
    uint8_t *at = frame + 12;

    memset(frame, 0, PORT_HEADER_BYTES);
    memcpy(frame + 6, host->mac, 6);
    if (host->options.vlan != 0) {
        write_u16(at, ETHERTYPE_VLAN);
        write_u16(at + 2, host->options.vlan);
        at += VLAN_TAG_BYTES;
    }
    write_u16(at, is_v4 ? ETHERTYPE_ARP : ETHERTYPE_IPV6);
    at += 2;
    if (is_v4) {
        memcpy(frame, broadcast, 6);
        solicit_write_arp(host, at, ARP_REQUEST, zero_mac, ip->bytes + 12, local);
        if (is_probe)
            memset(at + 14, 0, 4); /* RFC 5227, 2.1.1 */
        return ETHERNET_MIN_BYTES;
    }
    const uint8_t solicited_mac[6] = {0x33, 0x33, 0xff, ip->bytes[13], ip->bytes[14], ip->bytes[15]};
    uint8_t *icmp = at + IPV6_BYTES;
    uint32_t length = ND_BYTES + (is_probe ? 0 : ND_OPTION_BYTES);
    uint16_t sum;

    memcpy(frame, solicited_mac, 6);
    write_u32(at, 0x60000000);
    write_u16(at + 4, (uint16_t)length);
    at[6] = PROTOCOL_ICMPV6;
    at[7] = ND_HOP_LIMIT;
    if (!is_probe)
        memcpy(at + 8, host->options.addresses[local].ip.bytes, 16);
    at[24] = 0xff; /* the solicited-node multicast address */
    at[25] = 0x02;
    at[35] = 0x01;
    at[36] = 0xff;
    memcpy(at + 37, ip->bytes + 13, 3);
    icmp[0] = ICMP6_SOLICITATION;
    memcpy(icmp + 8, ip->bytes, 16);
    if (!is_probe) {
        icmp[ND_BYTES] = ND_SOURCE_ADDRESS;
        icmp[ND_BYTES + 1] = 1;
        memcpy(icmp + ND_BYTES + 2, host->mac, 6);
    }
    sum = checksum_end(packet_pseudo_sum(at, true, PROTOCOL_ICMPV6) + packet_length_sum(length) + checksum_add(icmp, length));
    memcpy(icmp + 2, &sum, sizeof sum);
    return (uint32_t)(icmp - frame) + length;
}

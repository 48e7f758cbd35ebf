/* A flood of SYNs: from addresses and ports that never answer. */
#include "population/internal.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#define FIRST_IP  UINT32_C(0xc6120000) /* 198.18.0.0/15: for measurements (RFC 2544) */
#define ADDRESSES (UINT32_C(1) << 17)
/* SYNs that a card's receive ring holds at most. */
#define RING_ENTRIES 4096

bool flood_has_address(uint32_t ip)
{
    return ip - FIRST_IP < ADDRESSES;
}

uint64_t flood_due(struct population *population, uint64_t now_ns)
{
    struct flood *flood = &population->flood;
    uint64_t due;

    if (population->options.syns_per_s == 0)
        return 0;
    if (flood->begun_ns == 0)
        flood->begun_ns = now_ns;
    due = (uint64_t)((double)(now_ns - flood->begun_ns) * 1e-9 * (double)population->options.syns_per_s);
    due = due > flood->number ? due - flood->number : 0;
    if (due <= RING_ENTRIES)
        return due;
    population->figures.syns_dropped += due - RING_ENTRIES;
    flood->number += due - RING_ENTRIES;
    return RING_ENTRIES;
}

void flood_write(struct population *population, struct rte_mbuf *packet)
{
    struct rte_ether_hdr *link = rte_pktmbuf_mtod(packet, struct rte_ether_hdr *);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(link + 1);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    uint64_t number = population->flood.number++;
    uint8_t *end = answer_write_syn_options(population, (uint8_t *)(tcp + 1));

    *tcp = (struct rte_tcp_hdr){
        .src_port = rte_cpu_to_be_16((uint16_t)(1024 + number / ADDRESSES % 64000)),
        .dst_port = rte_cpu_to_be_16(population->options.server_port),
        .sent_seq = rte_cpu_to_be_32((uint32_t)random_next(&population->random)),
        .data_off = (uint8_t)((end - (uint8_t *)tcp) / 4 << 4),
        .tcp_flags = RTE_TCP_SYN_FLAG,
        .rx_win = UINT16_MAX,
    };
    answer_write_headers(population, FIRST_IP + (uint32_t)(number % ADDRESSES), link, (uint16_t)(end - (uint8_t *)ip));
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    packet->data_len = (uint16_t)(end - (uint8_t *)link);
    packet->pkt_len = packet->data_len;
    packet->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    population->figures.syns++;
}

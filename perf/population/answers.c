/* Answers as packets: what a client of the population sends to the server. */
#include "population/internal.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include <string.h>

#define OPTION_END          0
#define OPTION_NOP          1
#define OPTION_MSS          2
#define OPTION_SCALE        3
#define OPTION_SACK_ALLOWED 4
#define OPTION_SACK         5

/* The clients' router, which is the only neighbour. */
static const uint8_t router_mac[6] = {0x02, 0, 0, 0, 0, 1};

const char population_request[] = "GET /ws HTTP/1.1\r\n"
                                  "Host: flashrelay\r\n"
                                  "Upgrade: websocket\r\n"
                                  "Connection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n\r\n";

bool population_is_accepted(const uint8_t *bytes, uint32_t length)
{
    static const char status[] = "HTTP/1.1 101 ", end[] = "\r\n\r\n";
    static const char accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* for the key of the request: RFC 6455, 1.3 */

    return length > sizeof status + sizeof end && memcmp(bytes, status, sizeof status - 1) == 0 &&
           memmem(bytes, length, accept, sizeof accept - 1) &&
           memcmp(bytes + length - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static uint8_t *write_u32(uint8_t *at, uint32_t value)
{
    value = rte_cpu_to_be_32(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

uint8_t *answer_write_syn_options(const struct population *population, uint8_t *at)
{
    const uint16_t mss = population->options.mss;
    const uint8_t options[12] = {OPTION_MSS,   4, (uint8_t)(mss >> 8), (uint8_t)mss, OPTION_SACK_ALLOWED, 2,
                                 OPTION_SCALE, 3, WINDOW_SCALE,        OPTION_END};

    memcpy(at, options, sizeof options);
    return at + sizeof options;
}

static uint8_t *write_sack_option(const struct sack_blocks *blocks, uint8_t *at)
{
    *at++ = OPTION_NOP;
    *at++ = OPTION_NOP;
    *at++ = OPTION_SACK;
    *at++ = (uint8_t)(2 + 8 * blocks->count);
    for (uint32_t i = 0; i < blocks->count; i++) {
        at = write_u32(at, blocks->starts[i]);
        at = write_u32(at, blocks->ends[i]);
    }
    return at;
}

/* The sequence number of the client's answer. */
static uint32_t own_sequence(const struct population *population, const struct answer *answer)
{
    uint32_t sequence = population_client_sequence(population, answer->client);

    if (answer->kind == ANSWER_SYN)
        return sequence - 1;
    return sequence + (answer->after_request ? population->request_bytes : 0) + answer->after_finish;
}

static uint16_t window_of(const struct population *population, const struct answer *answer)
{
    const struct client *client = &population->clients[answer->client];
    uint32_t window = population->options.window_bytes;

    if (answer->kind == ANSWER_SYN)
        return (uint16_t)RTE_MIN(window, (uint32_t)UINT16_MAX);
    if (client->has_record && population->records[client->offset].is_stalled)
        window = population->records[client->offset].window_edge - answer->acknowledged;
    return (uint16_t)(window >> WINDOW_SCALE);
}

static uint8_t tcp_flags(enum answer_kind kind)
{
    switch (kind) {
    case ANSWER_SYN:
        return RTE_TCP_SYN_FLAG;
    case ANSWER_REQUEST:
        return RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG;
    case ANSWER_FIN:
        return RTE_TCP_ACK_FLAG | RTE_TCP_FIN_FLAG;
    default:
        return RTE_TCP_ACK_FLAG;
    }
}

void answer_write_headers(const struct population *population, uint32_t client_ip, struct rte_ether_hdr *link, uint16_t ip_bytes)
{
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(link + 1);

    memcpy(link->dst_addr.addr_bytes, population->options.server_mac, sizeof link->dst_addr.addr_bytes);
    memcpy(link->src_addr.addr_bytes, router_mac, sizeof link->src_addr.addr_bytes);
    link->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
    *ip = (struct rte_ipv4_hdr){
        .version_ihl = RTE_IPV4_VHL_DEF,
        .total_length = rte_cpu_to_be_16(ip_bytes),
        .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
        .time_to_live = 64,
        .next_proto_id = IPPROTO_TCP,
        .src_addr = rte_cpu_to_be_32(client_ip),
        .dst_addr = rte_cpu_to_be_32(population->options.server_ip),
    };
    ip->hdr_checksum = rte_ipv4_cksum(ip);
}

void answer_write(struct population *population, const struct answer *answer, struct rte_mbuf *packet)
{
    struct rte_ether_hdr *link = rte_pktmbuf_mtod(packet, struct rte_ether_hdr *);
    struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(link + 1);
    struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
    uint8_t *at = (uint8_t *)(tcp + 1);

    if (answer->kind == ANSWER_SYN)
        at = answer_write_syn_options(population, at);
    if (answer->sack_blocks)
        at = write_sack_option(&population->sacks[answer->sack_blocks], at);
    *tcp = (struct rte_tcp_hdr){
        .src_port = rte_cpu_to_be_16(population_client_port(answer->client)),
        .dst_port = rte_cpu_to_be_16(population->options.server_port),
        .sent_seq = rte_cpu_to_be_32(own_sequence(population, answer)),
        .recv_ack = rte_cpu_to_be_32(answer->kind == ANSWER_SYN ? 0 : answer->acknowledged),
        .data_off = (uint8_t)((at - (uint8_t *)tcp) / 4 << 4),
        .tcp_flags = tcp_flags(answer->kind),
        .rx_win = rte_cpu_to_be_16(window_of(population, answer)),
    };
    if (answer->kind == ANSWER_REQUEST) {
        memcpy(at, population_request, population->request_bytes);
        at += population->request_bytes;
    }
    answer_write_headers(population, population_client_ip(answer->client), link, (uint16_t)(at - (uint8_t *)ip));
    tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
    packet->data_len = (uint16_t)(at - (uint8_t *)link);
    packet->pkt_len = packet->data_len;
    packet->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

#include "engine/tcp/reply.h"

#include "engine/tcp/checksum.h"

#include <string.h>

static void swap(uint8_t *a, uint8_t *b, size_t length)
{
    uint8_t copy[16];

    memcpy(copy, a, length);
    memcpy(a, b, length);
    memcpy(b, copy, length);
}

void reply_turn_round(struct tcp_engine *engine, struct packet *packet)
{
    uint8_t *ip = packet->ip;

    memcpy(packet->ethernet, packet->ethernet + 6, 6);
    memcpy(packet->ethernet + 6, engine->host->mac, 6);
    if (packet->is_v6) {
        write_u32(ip, 0x60000000);
        ip[7] = IP_TIME_TO_LIVE;
        memcpy(ip + 24, ip + 8, 16);
        memcpy(ip + 8, engine->host->options.addresses[packet->local].ip.bytes, 16); /* the packet may have come by multicast */
    } else {
        ip[1] = 0;
        write_u32(ip + 4, 0x4000); /* no identification; don't fragment */
        ip[8] = IP_TIME_TO_LIVE;
        swap(ip + 12, ip + 16, 4);
    }
}

void reply_reflect(struct tcp_engine *engine, struct packet *packet, uint32_t length)
{
    if (length < ETHERNET_MIN_BYTES) {
        memset(packet->ethernet + length, 0, ETHERNET_MIN_BYTES - length);
        length = ETHERNET_MIN_BYTES;
    }
    engine->port->ops->reflect(engine->port, packet->source, length);
    engine->handled = true;
}

void reply_send(struct tcp_engine *engine, struct packet *packet, uint32_t ip_bytes)
{
    uint8_t *ip = packet->ip;
    uint32_t length = (uint32_t)(ip - packet->ethernet) + ip_bytes;

    if (packet->is_v6) {
        write_u16(ip + 4, (uint16_t)(ip_bytes - IPV6_BYTES));
    } else {
        uint16_t sum;

        write_u16(ip + 2, (uint16_t)ip_bytes);
        memset(ip + 10, 0, 2);
        sum = checksum_end(checksum_add(ip, IPV4_BYTES));
        memcpy(ip + 10, &sum, sizeof sum);
    }
    reply_reflect(engine, packet, length);
}

void reply_tcp(struct tcp_engine *engine, struct packet *packet, const struct reply *reply)
{
    uint8_t *tcp = packet->tcp;
    uint32_t length = TCP_BYTES + reply->option_bytes;
    uint16_t sum;

    reply_turn_round(engine, packet);
    swap(tcp, tcp + 2, 2);
    write_u32(tcp + 4, reply->sequence);
    write_u32(tcp + 8, reply->acknowledgement);
    tcp[12] = (uint8_t)(length / 4 << 4);
    tcp[13] = reply->flags;
    write_u16(tcp + 14, reply->window);
    memset(tcp + 16, 0, 4);
    if (reply->option_bytes > 0)
        memcpy(tcp + TCP_BYTES, reply->options, reply->option_bytes);
    sum = checksum_end(packet_pseudo_sum(packet->ip, packet->is_v6, PROTOCOL_TCP) + packet_length_sum(length) +
                       checksum_add(tcp, length));
    memcpy(tcp + 16, &sum, sizeof sum);
    counter_add(&engine->counters.segments_sent, 1);
    reply_send(engine, packet, (packet->is_v6 ? IPV6_BYTES : IPV4_BYTES) + length);
}

void reply_reset(struct tcp_engine *engine, struct packet *packet)
{
    struct reply reset = {.flags = TCP_RST};

    if ((packet->flags & TCP_RST) != 0)
        return;
    if ((packet->flags & TCP_ACK) != 0) {
        reset.sequence = packet->acknowledgement;
    } else {
        reset.flags |= TCP_ACK;
        reset.acknowledgement =
            packet->sequence + packet->payload_bytes + ((packet->flags & TCP_SYN) != 0) + ((packet->flags & TCP_FIN) != 0);
    }
    counter_add(&engine->counters.resets_sent, 1);
    reply_tcp(engine, packet, &reset);
}

/*
 * Answers for which nothing is kept: the received packet itself is turned round and sent back. So a flood of packets that need answers takes
 * no buffers from subscribers.
 */
#ifndef DATAPLANE_ENGINE_TCP_REPLY_H
#define DATAPLANE_ENGINE_TCP_REPLY_H

#include "engine/tcp/internal.h"

/* A TCP segment without payload. */
struct reply {
    uint32_t sequence, acknowledgement;
    uint8_t flags;
    uint16_t window;
    const uint8_t *options;
    uint8_t option_bytes; /* a multiple of 4 */
};

/* Answers a TCP segment with another one. */
void reply_tcp(struct tcp_engine *engine, struct packet *packet, const struct reply *reply);

/* Answers a segment that belongs to no connection with a reset (RFC 9293, 3.10.7.1). A reset is never answered. */
void reply_reset(struct tcp_engine *engine, struct packet *packet);

/* Swaps sender and receiver of a packet of either family, in Ethernet's and in the IP header, which gets a fresh time to live. */
void reply_turn_round(struct tcp_engine *engine, struct packet *packet);

/* Sends the first `length` bytes of the packet back; short frames are padded. */
void reply_reflect(struct tcp_engine *engine, struct packet *packet, uint32_t length);

/* Sends `ip_bytes` of IP packet back, behind the Ethernet header; short frames are padded. */
void reply_send(struct tcp_engine *engine, struct packet *packet, uint32_t ip_bytes);

#endif

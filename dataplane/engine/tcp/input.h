/* Received segments: those of connections, and those that open one. */
#ifndef DATAPLANE_ENGINE_TCP_INPUT_H
#define DATAPLANE_ENGINE_TCP_INPUT_H

#include "engine/tcp/internal.h"

/* Receives one burst of packets and handles them. Returns how many there were. */
unsigned tcp_receive(struct tcp_engine *engine);

/* --- accept.c --- */

/* Handles a segment that belongs to no connection. */
void tcp_accept(struct tcp_engine *engine, struct packet *packet);

/* --- segment.c --- */

/* Handles a segment of a connection (RFC 9293, 3.10.7.4). */
void tcp_segment(struct tcp_engine *engine, struct tcp_connection *connection, struct packet *packet);

/* As engine_receive_resume. */
void tcp_receive_resume(struct engine *base, struct connection *connection);

/* --- neighbour_protocols.c --- */

void tcp_arp(struct tcp_engine *engine, struct packet *packet);
void tcp_icmp(struct tcp_engine *engine, struct packet *packet);

/* Takes news of packets that were too big, which engine 0 has received for all. */
void tcp_take_news(struct tcp_engine *engine);

/* Asks for neighbours that were not confirmed for a while; once per second, engine 0. */
void tcp_refresh_neighbours(struct tcp_engine *engine);

#endif

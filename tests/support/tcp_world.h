/*
 * The TCP engine on a test wire in virtual time, with a log, and clients (tcp_peer.h) at the other end. In place of a shard stands an owner
 * of connections that hands every frame to all of them, consumes what they send, and ends who has ended. Aborts if anything cannot be set up.
 * One thread.
 */
#ifndef TESTS_SUPPORT_TCP_WORLD_H
#define TESTS_SUPPORT_TCP_WORLD_H

#include "common/wire_packet.h"
#include "engine/tcp/internal.h"
#include "support/tcp_peer.h"
#include "support/wire_port.h"

#define TCP_WORLD_CONNECTIONS 64
#define TCP_WORLD_PEERS       8
#define TCP_WORLD_PORT        80

struct tcp_world_options {
    struct wire_port_options card; /* its wire, clock and direction are the world's */
    size_t arena_bytes;            /* of the log; 0: 1 MiB */
    uint32_t max_connections;      /* at most TCP_WORLD_CONNECTIONS; 0: as many */
    bool answers;                  /* whatever a client sends is answered with 9 control bytes */
};

struct tcp_world {
    uint64_t now_ns, turn_at_ns;
    bool answers, consumes_half;
    struct wire *wire;
    struct wire_port *card;
    struct host *host;
    struct engine *engine;
    struct channel *channel;
    struct channel_marks marks;
    struct holds holds;
    uint64_t head;                                         /* newest frame */
    struct connection *connections[TCP_WORLD_CONNECTIONS]; /* those that are open; NULL between them */
    unsigned accepts, closes;
    uint64_t consumed_bytes;                 /* of what clients have sent */
    struct tcp_peer *peers[TCP_WORLD_PEERS]; /* NULL: not added */
    uint64_t arrived_bytes;                  /* at all clients */
    struct wire_packet answer;               /* the last TCP segment that was for none of the clients; without payload */
    unsigned answers_for_others;
    uint8_t other[WIRE_ICMP_BYTES]; /* the last frame that was no TCP, and how many there were */
    unsigned others;
    uint64_t (*meter)(void); /* what grows during the engine's turns is added to `metered`; NULL: nothing */
    uint64_t metered;
};

struct tcp_world *tcp_world_open(const struct tcp_world_options *options);
void tcp_world_close(struct tcp_world *world);

/* The engine's structure behind its public one. */
static inline struct tcp_engine *tcp_world_engine(const struct tcp_world *world)
{
    return tcp_of(world->engine);
}

/* Adds client number `number` (below TCP_WORLD_PEERS), which begins to connect over IPv4. */
void tcp_world_connect(struct tcp_world *world, unsigned number);

/* Publishes a frame of `length` bytes of payload, hands it to all connections and wakes the engine. 0, or -ENOSPC: the log has no room. */
int tcp_world_publish(struct tcp_world *world, size_t length);

/* Lets a frame arrive at the engine. */
void tcp_world_inject(struct tcp_world *world, const uint8_t *bytes, size_t length);
/* Lets a segment arrive for the engine's address and port, if it names no source from 192.0.2.2 (or 2001:db8::2). */
void tcp_world_inject_segment(struct tcp_world *world, const struct wire_packet *segment);

/* Lets time pass. */
void tcp_world_run(struct tcp_world *world, uint64_t duration_ns);

/* Lets time pass for wire, card and clients, while the engine's thread is held up. */
void tcp_world_hold_up(struct tcp_world *world, uint64_t duration_ns);

/* Moves the mark up to the lowest frame held, and frees what lies before it, as shard and publisher do. */
void tcp_world_free(struct tcp_world *world);

#endif

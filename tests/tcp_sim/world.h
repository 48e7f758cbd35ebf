/*
 * The TCP engine, a log, and clients, on a wire in virtual time: what a seed makes of them. In place of a shard stands a simple owner of
 * connections, which notes what it hands over for sending, so that what arrives can be compared with it. One thread.
 */
#ifndef TESTS_TCP_SIM_WORLD_H
#define TESTS_TCP_SIM_WORLD_H

#include "engine/tcp/internal.h"
#include "tcp_sim/plan.h"

#define WORLD_FRAMES 256
#define WORLD_PIECES 1024
/* What clients send to ask for frames; every such message is answered by as many control bytes. */
#define REQUEST_BYTES 40

/* A part of a connection's stream: a frame, or control bytes. */
struct piece {
    const uint8_t *bytes;
    uint32_t length;
    uint64_t frame; /* 0: control bytes */
};

enum member_state { MEMBER_CONNECTING, MEMBER_OPEN, MEMBER_CLOSED };

/* A connection, from both sides. */
struct member {
    struct world *world;
    unsigned number;
    struct tcp_peer *peer;
    struct connection *connection; /* NULL: not accepted yet, or gone */
    struct address address;
    struct piece pieces[WORLD_PIECES];
    unsigned piece_count;
    unsigned received_piece; /* the piece that is arriving */
    uint32_t received_bytes; /* of it */
    uint64_t selection_parity;
    uint16_t selection;
    unsigned accepts, closes;
    uint32_t nxt, cwnd;        /* at the last look */
    bool was_repairing;        /* the same */
    uint64_t unanswered_bytes; /* of requests */
    uint64_t asked_bytes;
    bool has_acted;  /* the client has ended, or its side was cut off: not everything need arrive */
    bool is_stalled; /* its window is closed */
    bool is_paused;  /* the owner consumes nothing */
};

struct world {
    struct plan plan;
    struct random random;
    uint64_t now_ns;
    struct wire *wire;
    struct wire_port *card;
    struct host *host;
    struct engine *engine;
    struct channel *channel;
    struct channel_marks marks;
    struct holds holds;
    struct selection selections[2];
    struct member *members;
    unsigned member_count;
    uint8_t *frames[WORLD_FRAMES]; /* copies, by sequence number */
    uint32_t frame_lengths[WORLD_FRAMES];
    const uint8_t *addresses[WORLD_FRAMES]; /* in the log */
    uint64_t head, noted, poisoned;         /* newest frame, the same for selections, newest that was overwritten */
    bool is_calm;
    uint64_t turn_at_ns; /* when the engine wants its next turn */
    uint64_t steps;
};

/* Runs a seed; fails by a message and exit. */
void world_run(uint64_t seed);

/* Ends the program: says what is wrong, and how to repeat it. */
void world_fail(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* --- members.c --- */

/* Adds a client, which begins to connect. */
void member_add(struct world *world);
/* Frees what the member has. */
void member_dispose(struct member *member);
/* The handler of the engine. */
extern const struct engine_handler member_handler;
/* Hands over the frames from `sequence` on that are published. */
void member_offer(struct world *world, struct member *member, uint64_t sequence);
/* Does something at random: stalls, resumes, asks, ends, resets, vanishes. */
void member_act(struct world *world, struct member *member);
/* Ends stalls and pauses; the client asks no more. */
void member_calm(struct world *world, struct member *member);

/* --- check.c --- */

/* What must hold after every event. */
void check_always(struct world *world);
/* Everything that was handed over has arrived, but where a side has ended. */
void check_all_arrived(struct world *world);
/* All are gone: nothing is held. */
void check_nothing_left(struct world *world);

#endif

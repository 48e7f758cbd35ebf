/* Two simulated engines, a client's and a server's, whose handlers record all events: the fixture of the simulated engine's tests. */
#ifndef TESTS_SUPPORT_ENGINE_PAIR_H
#define TESTS_SUPPORT_ENGINE_PAIR_H

#include "flashrelay/channel.h"
#include "flashrelay/engine_sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAIR_PORT = 8545, PAIR_PEERS = 64, PAIR_RECORD_BYTES = 1 << 16 };

/* One side's record of one connection. */
struct pair_peer {
    struct connection *connection;
    int connects, closes, fins, progresses;
    int connect_error, close_error;
    struct address address;
    uint8_t bytes[PAIR_RECORD_BYTES];
    size_t length;
    size_t taken_bytes, acknowledged_bytes, taken_frames, frames_begun;
    size_t consume_limit; /* if `limited`: most bytes that the next receive consumes */
    bool limited;
    bool abort_on_receive, finish_on_fin;
};

/* One thread: an engine with a recording handler. */
struct pair_side {
    struct engine *engine;
    struct holds holds;
    struct pair_peer peers[PAIR_PEERS];
    unsigned count;
    int wakes;
    struct pair_peer *order[PAIR_PEERS]; /* the peers that made progress, in order */
    unsigned served;
};

struct engine_pair {
    struct sim_network *network;
    struct pair_side client, server;
};

/* A network without faults, with some delay and with windows and segments of medium size. */
extern const struct sim_network_options pair_plain_network;

/* Makes both engines. The server listens at pair_server_address. */
struct engine_pair *pair_open(const struct sim_network_options *options);

/* Destroys the engines, and asserts that they hold no frame any more. */
void pair_close(struct engine_pair *pair);

/* Makes another engine of the pair's network, with fewer slots or sends. */
void pair_open_side(struct engine_pair *pair, struct pair_side *side, const char *ip, uint32_t max_connections,
                    uint32_t sends_per_turn);

struct address pair_server_address(void);

/* --- running --- */

/* Runs turns of both engines as long as one of them is due. */
void pair_run_due(struct engine_pair *pair);

/* Advances time until no engine is due and the network has no event left. */
void pair_settle(struct engine_pair *pair);

/* --- connections --- */

/* Adds a record for a connection of that side; NULL: for a connection that will be made. */
struct pair_peer *pair_add_peer(struct pair_side *side, struct connection *connection);

/* Begins to connect the client to the server. Returns the client's record. */
struct pair_peer *pair_connect(struct engine_pair *pair);

/* Establishes a connection. Returns the client's record; `*accepted` is the server's. */
struct pair_peer *pair_establish(struct engine_pair *pair, struct pair_peer **accepted);

/* Sends a copy of `bytes`. */
void pair_say(struct pair_side *side, struct pair_peer *peer, const void *bytes, size_t length);

/* Fills `bytes` with a pattern that begins with `first` and in which neighbouring bytes differ. */
void pair_fill(uint8_t *bytes, size_t length, unsigned first);

/* --- frames --- */

/* Makes a channel that the server sends from, as its channel number 0. */
struct channel *pair_open_channel(struct engine_pair *pair);

/* Appends frames of `length` bytes of payload. */
void pair_append_frames(struct channel *channel, unsigned count, size_t length);

/* Hands the frames [from, to) over for sending. */
void pair_offer(struct pair_side *side, struct pair_peer *peer, uint64_t from, uint64_t to);

/* Asserts that the peer has received the frames [from, to), and nothing else. */
void pair_assert_received_frames(const struct pair_peer *peer, const struct channel *channel, uint64_t from, uint64_t to);

#endif

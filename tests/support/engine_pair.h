/* Two simulated engines that record what they are told, a client's and a server's: what the tests of that engine are written in. */
#ifndef TESTS_SUPPORT_ENGINE_PAIR_H
#define TESTS_SUPPORT_ENGINE_PAIR_H

#include "flashrelay/channel.h"
#include "flashrelay/engine_sim.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PAIR_PORT = 8545, PAIR_PEERS = 64, PAIR_RECORD_BYTES = 1 << 16 };

/* What one side of a test has seen of one connection. */
struct pair_peer {
    struct connection *connection;
    int connects, closes, fins, progresses;
    int connect_error, close_error;
    struct address address;
    uint8_t bytes[PAIR_RECORD_BYTES];
    size_t length;
    size_t taken_bytes, acknowledged_bytes, taken_frames, frames_begun;
    size_t consume_limit; /* takes no more than this of what is offered, once */
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
    struct pair_peer *order[PAIR_PEERS]; /* who was served, in order */
    unsigned served;
};

struct engine_pair {
    struct sim_network *network;
    struct pair_side client, server;
};

/* Some delay, and windows and segments of middling size; nothing goes wrong. */
extern const struct sim_network_options pair_plain_network;

/* The server listens at pair_server_address. */
struct engine_pair *pair_open(const struct sim_network_options *options);

/* Asserts that nothing is held any more. */
void pair_close(struct engine_pair *pair);

/* Makes another engine of the pair's network, with fewer slots or sends. */
void pair_open_side(struct engine_pair *pair, struct pair_side *side, const char *ip, uint32_t max_connections,
                    uint32_t sends_per_turn);

struct address pair_server_address(void);

/* --- running --- */

/* Turns for both, as long as one of them is due. */
void pair_run_due(struct engine_pair *pair);

/* Lets everything happen that happens by itself. */
void pair_settle(struct engine_pair *pair);

/* --- connections --- */

/* A record for a connection of that side, or for one to come. */
struct pair_peer *pair_add_peer(struct pair_side *side, struct connection *connection);

/* The client begins to connect. */
struct pair_peer *pair_connect(struct engine_pair *pair);

/* An established connection; `*accepted` is the server's end. */
struct pair_peer *pair_establish(struct engine_pair *pair, struct pair_peer **accepted);

/* Sends a copy of these bytes. */
void pair_say(struct pair_side *side, struct pair_peer *peer, const void *bytes, size_t length);

/* Bytes that differ from each other, and with `first`. */
void pair_fill(uint8_t *bytes, size_t length, unsigned first);

/* --- frames --- */

/* A channel that the server sends from, as its number 0. */
struct channel *pair_open_channel(struct engine_pair *pair);

/* Appends frames of `length` bytes of payload. */
void pair_append_frames(struct channel *channel, unsigned count, size_t length);

/* Hands the frames [from, to) over for sending. */
void pair_offer(struct pair_side *side, struct pair_peer *peer, uint64_t from, uint64_t to);

/* It has got the frames [from, to), and nothing else. */
void pair_assert_received_frames(const struct pair_peer *peer, const struct channel *channel, uint64_t from, uint64_t to);

#endif

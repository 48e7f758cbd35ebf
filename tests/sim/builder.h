/* Builders, and the connections that the relay has to them. */
#ifndef TESTS_SIM_BUILDER_H
#define TESTS_SIM_BUILDER_H

#include "flashrelay/random.h"
#include "flashrelay/ws.h"
#include "sim/line.h"
#include "sim/record.h"

#define BUILDER_PORT 1111

/* A message that a builder sent on one connection. */
struct sent {
    struct content *content;
    bool brotli;
    uint64_t end; /* the line's said_bytes after it */
};

/* One connection from the relay to a builder. */
struct feed {
    struct sim_line line;
    struct sim_builder *builder;
    struct feed *next;
    unsigned number;
    bool upgraded, close_sent, close_received, misbehaved, mute, stalled;
    bool pong_waited; /* the last pong waited behind messages for which the network had no room */
    bool flooded;     /* its pongs are queued behind thousands of messages, which the relay reads at its own pace */
    char request[8192];
    size_t request_length;
    struct ws_reader reader;
    uint64_t next_ping, next_pong; /* payloads of the last ping sent, and of the last pong received */
    struct sent *sent;
    size_t sent_count, sent_capacity;
    size_t next_sent; /* index: all messages before it have certainly been published or dropped */
};

/* A flashblock on its way to a builder. */
struct pending {
    struct content *content;
    uint64_t due_ns;
};

struct sim_builder {
    struct sim_world *world;
    unsigned index;
    struct engine *engine;
    struct random random;
    struct feed *feeds; /* all connections so far, the newest first */
    struct pending *pending;
    size_t pending_count, pending_capacity;
    uint64_t act_ns, unstall_ns;
    unsigned refusals; /* how many of the next upgrades are refused */
};

void sim_builder_create(struct sim_world *world, unsigned index);
void sim_builder_destroy(struct sim_builder *builder);
/* Gives the builder a flashblock to send at `due_ns`. */
void sim_builder_give(struct sim_builder *builder, struct content *content, uint64_t due_ns);
uint64_t sim_builder_deadline(const struct sim_builder *builder);
void sim_builder_act(struct sim_builder *builder);

void feed_accept(struct sim_builder *builder, struct connection *connection);
size_t feed_received(struct feed *feed, uint8_t *bytes, size_t length);
void feed_closed(struct feed *feed, int error);
/* Sends a message in a form that is drawn at random: text or binary, JSON or brotli, whole or in pieces. */
void feed_send(struct feed *feed, struct content *content);
/* Commits a fault that is drawn at random. */
void feed_misbehave(struct feed *feed);
void feed_close(struct feed *feed, uint16_t code);
bool feed_is_open(const struct feed *feed);
void feed_destroy(struct feed *feed);

#endif

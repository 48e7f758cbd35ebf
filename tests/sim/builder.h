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
    uint64_t end; /* said_bytes after it */
};

/* One connection from the relay to a builder. */
struct feed {
    struct sim_line line;
    struct sim_builder *builder;
    struct feed *next;
    unsigned number;
    bool upgraded, close_sent, close_received, misbehaved, mute, stalled;
    bool pong_waited; /* the last one, behind messages that the network had no room for */
    bool flooded;     /* its pongs come behind thousands of messages, which the relay reads at its own pace */
    char request[8192];
    size_t request_length;
    struct ws_reader reader;
    uint64_t next_ping, next_pong; /* payloads of our pings, and of the answers expected */
    struct sent *sent;
    size_t sent_count, sent_capacity;
    size_t next_sent; /* everything before it has surely been published or dropped */
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
    struct feed *feeds; /* all that ever were, the newest first */
    struct pending *pending;
    size_t pending_count, pending_capacity;
    uint64_t act_ns, unstall_ns;
    unsigned refusals; /* how many of the next upgrades are refused */
};

void sim_builder_create(struct sim_world *world, unsigned index);
void sim_builder_destroy(struct sim_builder *builder);
/* It got a flashblock to send at `due_ns`. */
void sim_builder_give(struct sim_builder *builder, struct content *content, uint64_t due_ns);
uint64_t sim_builder_deadline(const struct sim_builder *builder);
void sim_builder_act(struct sim_builder *builder);

void feed_accept(struct sim_builder *builder, struct connection *connection);
size_t feed_received(struct feed *feed, uint8_t *bytes, size_t length);
void feed_closed(struct feed *feed, int error);
/* Sends a message as the seed likes it: text or binary, whole or in pieces. */
void feed_send(struct feed *feed, struct content *content);
/* Does something bad. */
void feed_misbehave(struct feed *feed);
void feed_close(struct feed *feed, uint16_t code);
bool feed_is_open(const struct feed *feed);
void feed_destroy(struct feed *feed);

#endif

/* The frames that one connection is still to send: a channel of its own, which goes to the next connection when it ends. */
#ifndef TESTS_WS_ECHO_OUTLET_H
#define TESTS_WS_ECHO_OUTLET_H

#include "flashrelay/channel.h"
#include "flashrelay/engine.h"

#define ECHO_MAX_MESSAGE_BYTES (16u << 20)

struct outlet {
    struct outlet *next; /* while nobody uses it */
    struct channel_marks marks;
    struct channel *channel;
    uint16_t number;      /* the engine's of the channel */
    uint64_t handed_over; /* frames up to here are among the connection's extents */
};

/* Takes an unused outlet of `*unused`, or makes one; NULL if there is no memory. */
struct outlet *outlet_take(struct outlet **unused, struct engine *engine);

/* Gives it back, once the connection is closed. */
void outlet_give_back(struct outlet *outlet, struct outlet **unused);

void outlets_destroy(struct outlet *unused);

/* Hands over what could not be handed over before; true if nothing is left behind. */
bool outlet_flush(struct outlet *outlet, struct engine *engine, struct connection *connection);

/* Appends a message and hands it over, at the latest with outlet_flush. False if there is no room now: try again after progress. */
bool outlet_send(struct outlet *outlet, struct engine *engine, struct connection *connection, uint8_t opcode, const void *bytes,
                 size_t length);

/* Lets go of what the connection has sent. */
void outlet_progress(struct outlet *outlet, const struct connection *connection);

#endif

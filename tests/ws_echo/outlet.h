/* The frames that one connection has yet to send: a channel of its own, which another connection takes over when it has ended. */
#ifndef TESTS_WS_ECHO_OUTLET_H
#define TESTS_WS_ECHO_OUTLET_H

#include "flashrelay/channel.h"
#include "flashrelay/engine.h"

#define ECHO_MAX_MESSAGE_BYTES (16u << 20)

struct outlet {
    struct outlet *next; /* in the list of unused outlets */
    struct channel_marks marks;
    struct channel *channel;
    uint16_t number;      /* the engine's number of the channel */
    uint64_t handed_over; /* frames up to here are among the connection's extents */
};

/* Takes an unused outlet of `*unused`, or makes one; NULL if there is no memory. */
struct outlet *outlet_take(struct outlet **unused, struct engine *engine);

/* Gives an outlet back, once its connection is closed. */
void outlet_give_back(struct outlet *outlet, struct outlet **unused);

void outlets_destroy(struct outlet *unused);

/* Hands over frames that could not be handed over before; true if none are left. */
bool outlet_flush(struct outlet *outlet, struct engine *engine, struct connection *connection);

/* Appends a message and hands it over, at the latest with outlet_flush. False if there is no room now: try again after progress. */
bool outlet_send(struct outlet *outlet, struct engine *engine, struct connection *connection, uint8_t opcode, const void *bytes,
                 size_t length);

/* Moves the mark past the frames that the connection no longer holds. */
void outlet_progress(struct outlet *outlet, const struct connection *connection);

#endif

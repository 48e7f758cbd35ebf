/* A builder as relays see it: a WebSocket server that accepts every path and sends each published message to all connected relays. */
#ifndef TOOLS_COMMON_BUILDER_H
#define TOOLS_COMMON_BUILDER_H

#include "flashrelay/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct builder_options {
    struct address listen;
    size_t max_message_bytes; /* the log holds several such messages; a relay that lags behind by more is cut off */
    uint32_t max_relays;      /* connected at once */
};

struct builder;

/* Creates a builder that listens. 0, or a negative errno; where the errno does not tell the cause, that has been logged. */
int builder_create(struct builder **out, const struct builder_options *options);
void builder_destroy(struct builder *builder);

/* The port listened on. */
uint16_t builder_port(const struct builder *builder);

/*
 * Publishes a message with `opcode` (WS_TEXT, WS_BINARY): the next turns send it to every connected relay. If the log has no room for it,
 * relays that lag behind are cut off. 0, -EMSGSIZE if the message can never fit, -ENOSPC if no room could be made for it now.
 */
int builder_publish(struct builder *builder, uint8_t opcode, const void *bytes, size_t length);

/* Performs one turn of I/O; sleeps at most until `deadline_ns`. A builder belongs to one thread at a time; only builder_port may be called
 * from any thread. */
void builder_turn(struct builder *builder, uint64_t deadline_ns);

/* Relays connected now. */
uint32_t builder_relays(const struct builder *builder);

/* True when the sockets of all relays took everything that was published. */
bool builder_is_idle(const struct builder *builder);

/* Begins the orderly shutdown: closes all connections with 1001 and stops listening. It is finished once builder_is_drained. */
void builder_drain(struct builder *builder);
bool builder_is_drained(const struct builder *builder);

#endif

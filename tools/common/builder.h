/* A builder as relays see it: a WebSocket server, on every path, that sends whatever is published to whoever is connected. */
#ifndef TOOLS_COMMON_BUILDER_H
#define TOOLS_COMMON_BUILDER_H

#include "flashrelay/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct builder_options {
    struct address listen;
    size_t max_message_bytes; /* the log holds several of them: a relay that is slower than that is cut off */
    uint32_t max_relays;      /* connected at once */
};

struct builder;

/* Listens. 0 or a negative errno, which was logged with its cause where it is not plain. */
int builder_create(struct builder **out, const struct builder_options *options);
void builder_destroy(struct builder *builder);

/* The port listened on. */
uint16_t builder_port(const struct builder *builder);

/*
 * Publishes a message with `opcode` (WS_TEXT, WS_BINARY): the next turns send it to every relay that is connected. Relays that do not keep
 * up are cut off where room runs short. 0, -EMSGSIZE if it can never fit, -ENOSPC if it could not be made to fit just now.
 */
int builder_publish(struct builder *builder, uint8_t opcode, const void *bytes, size_t length);

/* One turn of I/O; sleeps at most until `deadline_ns`. All calls are the same thread's. */
void builder_turn(struct builder *builder, uint64_t deadline_ns);

/* Relays connected now. */
uint32_t builder_relays(const struct builder *builder);

/* True when the sockets of all relays took everything that was published. */
bool builder_is_idle(const struct builder *builder);

/* Begins the orderly end: closes with 1001 what is connected and leaves the port. Finished once builder_is_drained. */
void builder_drain(struct builder *builder);
bool builder_is_drained(const struct builder *builder);

#endif

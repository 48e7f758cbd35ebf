/* Plays the builder: a WebSocket server to which the proxy connects, that sends flashblocks when told to and never waits for the proxy. */
#ifndef PERF_FLASHBENCH_BUILDER_H
#define PERF_FLASHBENCH_BUILDER_H

#include "flashbench/messages.h"
#include "flashrelay/address.h"

struct builder_options {
    struct address listen; /* port 0: any */
    size_t message_bytes;
    uint64_t seed;
    struct messages *messages;
};

struct builder;

/* Listens. 0 or a negative errno. */
int builder_create(struct builder **out, const struct builder_options *options);
void builder_destroy(struct builder *builder);

uint16_t builder_port(const struct builder *builder);

/* How many proxies' connections have been upgraded and are open. */
unsigned builder_connections(const struct builder *builder);

/* Makes the next message ready, so that offering it costs only the sending. */
void builder_prepare(struct builder *builder, uint64_t now_ns);

/*
 * Offers the next message to every connection; it was due at `due_ns`, and is owed to `owed` subscribers. It counts as offered now, or
 * since it was due if the proxy has not yet taken the one before.
 */
void builder_offer(struct builder *builder, uint64_t due_ns, uint32_t owed, bool measured);

/* Sends what the proxy did not take before. True if something is left. */
bool builder_flush(struct builder *builder);

/* Accepts, answers upgrades and pings. */
void builder_serve(struct builder *builder);

#endif

/* Plays the builder: a WebSocket server to which the proxy connects, which sends flashblocks on time and never waits for the proxy. */
#ifndef PERF_FLASHBENCH_BUILDER_H
#define PERF_FLASHBENCH_BUILDER_H

#include "flashbench/messages.h"
#include "flashrelay/address.h"

struct bench_builder_options {
    struct address listen; /* port 0: any */
    size_t message_bytes;
    uint64_t seed;
    struct messages *messages;
};

struct bench_builder;

/* Creates a builder that listens. 0 or a negative errno. */
int bench_builder_create(struct bench_builder **out, const struct bench_builder_options *options);
void bench_builder_destroy(struct bench_builder *builder);

uint16_t bench_builder_port(const struct bench_builder *builder);

/* How many connections of the proxy are upgraded and open. */
unsigned bench_builder_connections(const struct bench_builder *builder);

/* Generates the next message, so that offering it only has to send it. */
void bench_builder_prepare(struct bench_builder *builder, uint64_t now_ns);

/*
 * Offers the next message to every connection; it was due at `due_ns`, and is owed to `owed` subscribers. It counts as offered now; if the
 * proxy has not yet taken the messages before it, as offered at `due_ns`.
 */
void bench_builder_offer(struct bench_builder *builder, uint64_t due_ns, uint32_t owed, bool measured);

/* Sends bytes that the proxy did not take before. True if bytes are left. */
bool bench_builder_flush(struct bench_builder *builder);

/* Accepts connections of the proxy, and answers upgrades and pings. */
void bench_builder_serve(struct bench_builder *builder);

#endif

#include "sim/witness.h"

#include "engine/sim/sim.h"
#include "sim/world.h"

#include <string.h>

struct client *witness_client_of(const struct connection *end)
{
    const struct sim_connection *connection = (const struct sim_connection *)(const void *)end;
    const struct sim_connection *other = connection->link->ends[sim_peer_of(connection)];
    struct sim_line *line = other ? other->common.owner : NULL;

    return line && line->kind == LINE_CLIENT ? LIST_ENTRY(line, struct client, line) : NULL;
}

void witness_expect_pong(struct client *client, uint64_t end)
{
    struct testimony *testimony = &client->testimony;

    if (testimony->pongs_sent - testimony->pongs_consumed == MOST_PONGS_UNDER_WAY)
        fail(client->line.world, "subscriber %u was pinged too often", client->index);
    testimony->pong_ends[testimony->pongs_sent++ % MOST_PONGS_UNDER_WAY] = end;
}

void witness_note_open(const struct connection *end)
{
    struct client *client = witness_client_of(end);

    if (client)
        client->testimony.opened_ns = sim_world_now(client->line.world);
}

void witness_note_finish(const struct connection *end)
{
    struct client *client = witness_client_of(end);

    if (client)
        client->testimony.finished_ns = sim_world_now(client->line.world);
}

static struct moment moment_now(const struct client *client)
{
    return (struct moment){.ns = sim_world_now(client->line.world), .head = record_head(record_of(client))};
}

/* --- the engine's events --- */

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    const struct witness *witness = context;
    struct client *client = witness_client_of(connection);

    if (client)
        client->testimony.accepted_ns = now_ns;
    sim_thread_point();
    witness->handler->accepted(witness->context, connection, peer, now_ns);
}

static void note_consumed(struct client *client, size_t consumed, uint64_t now_ns)
{
    struct testimony *testimony = &client->testimony;

    testimony->consumed_bytes += consumed;
    while (testimony->pongs_consumed < testimony->pongs_sent &&
           testimony->pong_ends[testimony->pongs_consumed % MOST_PONGS_UNDER_WAY] <= testimony->consumed_bytes) {
        testimony->pongs_consumed++;
        testimony->pong_ns = now_ns;
    }
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    const struct witness *witness = context;
    struct client *client = witness_client_of(connection);
    size_t consumed;

    sim_thread_point();
    consumed = witness->handler->received(witness->context, connection, bytes, length, now_ns);

    if (client)
        note_consumed(client, consumed, now_ns);
    return consumed;
}

/* Notes progress. True if the subscriber begins to refuse bytes, so that the shard has to watch it from now on. */
static bool note_progress(struct client *client, const struct connection *connection, const struct engine_progress *progress)
{
    struct testimony *testimony = &client->testimony;
    struct moment now = moment_now(client);
    bool begins = !testimony->behind && connection->blocked;

    testimony->reported_ns = now.ns;
    if (begins)
        testimony->refused_first = now;
    if (begins || progress->bytes + progress->acknowledged > 0)
        testimony->moved_ns = now.ns;
    testimony->behind = (testimony->behind || begins) && engine_has_unsent(connection);
    return begins;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    const struct witness *witness = context;
    struct client *client = witness_client_of(connection);
    bool begins = client && note_progress(client, connection, progress);

    sim_thread_point();
    witness->handler->progressed(witness->context, connection, progress, now_ns);
    if (begins)
        client->testimony.refused_latest = moment_now(client);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    const struct witness *witness = context;

    if (connection->held_sequence != HOLDS_NONE)
        fail(witness->world, "a connection has closed and holds frame %llu", (unsigned long long)connection->held_sequence);
    sim_thread_point();
    witness->handler->closed(witness->context, connection, error, now_ns);
}

static void on_woken(void *context, uint64_t now_ns)
{
    const struct witness *witness = context;

    witness->handler->woken(witness->context, now_ns);
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

void witness_place(struct witness *witness, struct sim_world *world, struct engine_options *options)
{
    *witness = (struct witness){.handler = options->handler, .context = options->context, .world = world};
    options->handler = &handler;
    options->context = witness;
}

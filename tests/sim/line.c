/* One connection of a simulated peer: queues the peer's bytes until its engine has room, and passes events on to the peer. */
#include "engine/sim/sim.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

void sim_line_dispose(struct sim_line *line)
{
    free(line->bytes);
    line->bytes = NULL;
    line->length = line->capacity = 0;
}

void sim_line_flush(struct sim_line *line)
{
    struct connection *connection = line->connection;

    if (!connection || connection->dead || connection->finishing)
        return;
    if (line->length > 0 && connection->extent_count == 0) {
        if (engine_append_bytes(line->engine, connection, line->bytes, line->length) != 0)
            abort();
        engine_serve(line->engine, connection);
        line->length = 0;
    }
    if (line->finish && line->length == 0)
        engine_finish(line->engine, connection);
}

void sim_line_say(struct sim_line *line, const void *bytes, size_t length)
{
    if (line->finish)
        return;
    if (line->length + length > line->capacity) {
        line->capacity = 2 * (line->length + length);
        line->bytes = realloc(line->bytes, line->capacity);
        if (!line->bytes)
            abort();
    }
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
    line->said_bytes += length;
    sim_line_flush(line);
}

void sim_line_finish(struct sim_line *line)
{
    line->finish = true;
    sim_line_flush(line);
}

struct connection *sim_line_other_end(const struct sim_line *line)
{
    const struct sim_connection *own = (const struct sim_connection *)(const void *)line->connection;

    if (!own || !own->link->ends[sim_peer_of(own)])
        return NULL;
    return &own->link->ends[sim_peer_of(own)]->common;
}

/* --- events --- */

static struct client *client_of(struct sim_line *line)
{
    return LIST_ENTRY(line, struct client, line);
}

static struct feed *feed_of(struct sim_line *line)
{
    return LIST_ENTRY(line, struct feed, line);
}

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    (void)peer;
    (void)now_ns;
    feed_accept(context, connection);
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct sim_line *line = connection->owner;

    (void)context;
    (void)now_ns;
    if (error != 0)
        line->connection = NULL;
    client_connected(client_of(line), error);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct sim_line *line = connection->owner;

    (void)context;
    (void)now_ns;
    return line->kind == LINE_CLIENT ? client_received(client_of(line), bytes, length)
                                     : feed_received(feed_of(line), bytes, length);
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct sim_line *line = connection->owner;

    (void)context;
    (void)now_ns;
    line->taken_bytes += progress->bytes;
    sim_line_flush(line);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct sim_line *line = connection->owner;

    (void)context;
    (void)now_ns;
    line->connection = NULL;
    if (line->kind == LINE_CLIENT)
        client_closed(client_of(line), error);
    else
        feed_closed(feed_of(line), error);
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
};

struct engine *sim_line_engine_create(struct sim_world *world, struct ip_address ip, void *context)
{
    struct engine_options options = {.handler = &handler,
                                     .context = context,
                                     .max_connections = 4096,
                                     .receive_buffers = 64,
                                     .receive_buffer_bytes = 65536,
                                     .sends_per_turn = 256};
    struct engine *engine;

    if (engine_sim_create(&engine, &options, world->network, &ip) != 0)
        abort();
    return engine;
}

/* One connection of a simulated peer: what it says waits here until its engine has room, and its events go to whom it belongs. */
#include "engine/sim/sim.h"
#include "sim/world.h"

#include <stdlib.h>
#include <string.h>

void line_dispose(struct line *line)
{
    free(line->bytes);
    line->bytes = NULL;
    line->length = line->capacity = 0;
}

void line_flush(struct line *line)
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

void line_say(struct line *line, const void *bytes, size_t length)
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
    line_flush(line);
}

void line_finish(struct line *line)
{
    line->finish = true;
    line_flush(line);
}

struct connection *line_other_end(const struct line *line)
{
    const struct sim_connection *own = (const struct sim_connection *)(const void *)line->connection;

    if (!own || !own->link->ends[sim_peer_of(own)])
        return NULL;
    return &own->link->ends[sim_peer_of(own)]->common;
}

/* --- events --- */

static struct client *client_of(struct line *line)
{
    return LIST_ENTRY(line, struct client, line);
}

static struct feed *feed_of(struct line *line)
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
    struct line *line = connection->owner;

    (void)context;
    (void)now_ns;
    if (error != 0)
        line->connection = NULL;
    client_connected(client_of(line), error);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct line *line = connection->owner;

    (void)context;
    (void)now_ns;
    return line->kind == LINE_CLIENT ? client_received(client_of(line), bytes, length)
                                     : feed_received(feed_of(line), bytes, length);
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct line *line = connection->owner;

    (void)context;
    (void)now_ns;
    line->taken_bytes += progress->bytes;
    line_flush(line);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct line *line = connection->owner;

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

struct engine *line_engine_create(struct world *world, struct ip_address ip, void *context)
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

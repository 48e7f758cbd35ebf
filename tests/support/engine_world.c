#include "support/engine_world.h"

#include "flashrelay/engine_uring.h"
#include "support/channels.h"
#include "support/io_uring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct engine_world *world = context;
    struct end *end = &world->ends[world->end_count++];

    (void)now_ns;
    assert_true(world->end_count <= ENGINE_WORLD_CONNECTIONS);
    end->connection = connection;
    end->peer = *peer;
    connection->owner = end;
    if (world->refuse)
        engine_abort(world->engine, connection);
    if (world->end_count == world->pause_after)
        engine_accept_pause(world->engine, true);
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct end *end = connection->owner;

    (void)context;
    (void)now_ns;
    end->connects++;
    end->error = error;
    end->connection = error == 0 ? connection : NULL;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct end *end = connection->owner;
    size_t consumed = end->consume_limit != 0 && end->consume_limit < length ? end->consume_limit : length;

    (void)context;
    (void)now_ns;
    if (length == 0)
        end->finishes++;
    assert_int_equal(end->finishes, length == 0);
    if (!end->is_loud) {
        assert_true(end->received_bytes + consumed <= ENGINE_WORLD_RECEIVED);
        memcpy(end->received + end->received_bytes, bytes, consumed);
    }
    end->received_bytes += consumed;
    return consumed;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct end *end = connection->owner;

    (void)context;
    (void)now_ns;
    end->progresses++;
    end->sent_bytes += progress->bytes;
    end->sent_frames += progress->frames;
    end->blocks += connection->blocked;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct end *end = connection->owner;

    (void)context;
    (void)now_ns;
    end->closes++;
    end->error = error;
    end->connection = NULL;
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)now_ns;
    ((struct engine_world *)context)->woken++;
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

void engine_world_close(struct engine_world *world)
{
    engine_destroy(world->engine);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    holds_dispose(&world->holds);
    channel_destroy(world->channel);
    free(world);
}

struct engine_world *engine_world_open_at(const struct engine_options *wanted, const char *listen_at)
{
    struct engine_world *world;
    struct engine_options options = *wanted;
    struct engine_listen_options listening = {.backlog = 128, .notsent_lowat_bytes = 65536};
    struct address address;

    need_io_uring();
    world = aligned_alloc(64, sizeof *world);
    assert_non_null(world);
    memset(world, 0, sizeof *world);
    world->channel = make_channel(&world->marks, 1, ENGINE_WORLD_ARENA, ENGINE_WORLD_ENTRIES);
    assert_int_equal(holds_init(&world->holds, ENGINE_WORLD_ENTRIES), 0);
    channel_reader_join(world->channel, 0);
    options.handler = &handler;
    options.context = world;
    options.max_connections = options.max_connections ? options.max_connections : ENGINE_WORLD_CONNECTIONS;
    options.receive_buffers = options.receive_buffers ? options.receive_buffers : 64;
    options.receive_buffer_bytes = 1024;
    options.sends_per_turn = options.sends_per_turn ? options.sends_per_turn : 32;
    assert_int_equal(engine_uring_create(&world->engine, &options), 0);
    assert_int_equal(engine_add_channel(world->engine, world->channel, &world->holds), 0);
    assert_int_equal(address_parse(&address, listen_at), 0);
    if (engine_listen(world->engine, &address, &listening) != 0) {
        engine_world_close(world);
        return NULL;
    }
    assert_int_not_equal(engine_listen_port(world->engine), 0);
    return world;
}

struct engine_world *engine_world_open(const struct engine_options *wanted)
{
    struct engine_world *world = engine_world_open_at(wanted, "127.0.0.1:0");

    if (!world) {
        fputs("127.0.0.1 can't be listened on\n", stderr);
        exit(1);
    }
    return world;
}

void engine_world_turn(struct engine_world *world)
{
    uint64_t lowest;

    engine_turn(world->engine, clock_monotonic_ns() + 2 * NS_PER_MS);
    lowest = holds_lowest(&world->holds);
    channel_mark_set(&world->marks, 0, lowest != HOLDS_NONE ? lowest : channel_head(world->channel) + 1);
}

void engine_world_settle(struct engine_world *world)
{
    for (unsigned i = 0; i < 20; i++)
        engine_world_turn(world);
}

void engine_world_append(struct engine_world *world, uint64_t sequence, size_t length)
{
    assert_int_equal(append_filled(world->channel, sequence, length, clock_monotonic_ns()), 0);
}

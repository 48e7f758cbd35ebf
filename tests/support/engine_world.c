#include "support/engine_world.h"

#include "support/skip.h"

#include "support/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_name;

int engine_world_run_kind(const char *name, const struct CMUnitTest *tests, size_t count)
{
    kind_name = name;
    return _cmocka_run_group_tests(name, tests, count, NULL, NULL);
}

int engine_world_run(const struct CMUnitTest *tests, size_t count)
{
    int failed = 0;

    for (unsigned i = 0; engine_kinds[i] && !engine_kinds[i]->only_by_name; i++)
        failed += engine_world_run_kind(engine_kinds[i]->name, tests, count);
    return failed;
}

const char *engine_world_kind(void)
{
    return kind_name;
}

bool engine_world_has_kind(const char *name)
{
    struct engine_choice engines;
    bool has = engine_choose(&engines, name, &(struct engine_kind_options){.engines = 1}) == 0;

    engine_choice_close(&engines);
    return has;
}

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
    if (world->during_handler)
        world->during_handler(world, end);
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
    struct engine_world *world = context;
    struct end *end = connection->owner;
    size_t consumed = end->consume_limit != 0 && end->consume_limit < length ? end->consume_limit : length;

    (void)now_ns;
    if (length == 0)
        end->finishes++;
    assert_int_equal(end->finishes, length == 0);
    if (!end->is_loud) {
        assert_true(end->received_bytes + consumed <= ENGINE_WORLD_RECEIVED);
        memcpy(end->received + end->received_bytes, bytes, consumed);
    }
    end->received_bytes += consumed;
    if (world->during_handler)
        world->during_handler(world, end);
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
    assert_true(connection->pinned_sequence == HOLDS_NONE);
    end->closes++;
    end->error = error;
    end->connection = NULL;
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)now_ns;
    ((struct engine_world *)context)->woken++;
}

/* Attaches the connection to `target`, as its newest end. */
static int attach(struct engine_world *target, const struct engine_handoff *handoff)
{
    struct end *end = &target->ends[target->end_count];
    int error = engine_attach(target->engine, handoff, end, &end->connection);

    assert_true(target->end_count < ENGINE_WORLD_CONNECTIONS);
    target->end_count += error == 0;
    return error;
}

static void on_detached(void *context, struct connection *connection, const struct engine_handoff *handoff, uint64_t now_ns)
{
    struct engine_world *world = context;
    struct end *end = connection->owner;

    (void)now_ns;
    end->detaches++;
    end->connection = NULL;
    world->detached_descriptor = handoff->descriptor;
    if (world->hand_over)
        world->hand_over(handoff);
    if (!world->move_to)
        return;
    world->attach_error = attach(world->move_to, handoff);
    if (world->attach_error != 0)
        assert_int_equal(attach(world, handoff), 0);
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .detached = on_detached,
    .woken = on_woken,
};

static void open_log(struct engine_world *world)
{
    world->channel = make_channel(&world->marks, 1, ENGINE_WORLD_ARENA, ENGINE_WORLD_ENTRIES);
    assert_int_equal(holds_init(&world->holds, ENGINE_WORLD_ENTRIES), 0);
    channel_reader_join(world->channel, 0);
}

static void close_log(struct engine_world *world)
{
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    holds_dispose(&world->holds);
    channel_destroy(world->channel);
}

void engine_world_close(struct engine_world *world)
{
    engine_destroy(world->engine);
    engine_choice_close(&world->engines);
    if (world->log_of == world)
        close_log(world);
    free(world);
}

/* A world with an engine and a log, its own if `log_of` is NULL. Skips the test where the system forbids engines of that kind. */
static struct engine_world *open_world(const char *kind, const struct engine_options *wanted, struct engine_world *log_of)
{
    struct engine_world *world;
    struct engine_options options = *wanted;
    struct engine_choice engines;

    world = aligned_alloc(64, sizeof *world);
    assert_non_null(world);
    if (engine_choose(&engines, kind, &(struct engine_kind_options){.engines = 1}) != 0) {
        free(world);
        skip_because(engines.reason);
    }
    *world = (struct engine_world){.engines = engines, .log_of = log_of ? log_of : world};
    if (log_of)
        world->channel = log_of->channel;
    else
        open_log(world);
    options.handler = &handler;
    options.context = world;
    options.max_connections = options.max_connections ? options.max_connections : ENGINE_WORLD_CONNECTIONS;
    options.receive_buffers = options.receive_buffers ? options.receive_buffers : 64;
    options.receive_buffer_bytes = 1024;
    options.sends_per_turn = options.sends_per_turn ? options.sends_per_turn : 32;
    assert_int_equal(engine_choice_create(&engines, &world->engine, &options, 0), 0);
    assert_int_equal(engine_add_channel(world->engine, world->channel, &world->log_of->holds), 0);
    return world;
}

/* False if this machine has no such address. */
static bool listen_at(struct engine_world *world, const char *text)
{
    struct engine_listen_options listening = {.backlog = 128, .notsent_lowat_bytes = 65536};
    struct address address;

    assert_int_equal(address_parse(&address, text), 0);
    return engine_listen(world->engine, &address, &listening) == 0 && engine_listen_port(world->engine) != 0;
}

struct engine_world *engine_world_open_at(const struct engine_options *wanted, const char *address)
{
    struct engine_world *world = open_world(kind_name, wanted, NULL);

    if (listen_at(world, address))
        return world;
    engine_world_close(world);
    return NULL;
}

static struct engine_world *open_listening(const char *kind, const struct engine_options *wanted, struct engine_world *log_of)
{
    struct engine_world *world = open_world(kind, wanted, log_of);

    if (!listen_at(world, "127.0.0.1:0")) {
        fputs("127.0.0.1 can't be listened on\n", stderr);
        exit(1);
    }
    return world;
}

struct engine_world *engine_world_open(const struct engine_options *wanted)
{
    return open_listening(kind_name, wanted, NULL);
}

struct engine_world *engine_world_open_kind(const char *kind, const struct engine_options *wanted)
{
    return open_listening(kind, wanted, NULL);
}

struct engine_world *engine_world_open_beside(struct engine_world *other, const char *kind, const struct engine_options *wanted)
{
    return open_listening(kind, wanted, other);
}

void engine_world_turn(struct engine_world *world)
{
    struct engine_world *log_of = world->log_of;
    uint64_t lowest;

    engine_turn(world->engine, clock_monotonic_ns() + 2 * NS_PER_MS);
    lowest = holds_lowest(&log_of->holds);
    channel_mark_set(&log_of->marks, 0, lowest != HOLDS_NONE ? lowest : channel_head(log_of->channel) + 1);
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

void engine_world_send_frames(struct engine_world *world, unsigned end, uint64_t from, uint64_t to)
{
    assert_int_equal(engine_append_frames(world->engine, world->ends[end].connection, 0, from, to), 0);
    engine_serve(world->engine, world->ends[end].connection);
}

void engine_world_send_text(struct engine_world *world, unsigned end, const char *text)
{
    assert_int_equal(engine_append_bytes(world->engine, world->ends[end].connection, text, strlen(text)), 0);
    engine_serve(world->engine, world->ends[end].connection);
}

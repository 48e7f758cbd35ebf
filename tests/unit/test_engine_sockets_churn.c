/*
 * A random run of three engines on kernel sockets: one connects, one listens, and connections move between the listening engine and the
 * third. Every stream arrives whole, and no connection, hold or descriptor is left at the end.
 */
#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine.h"
#include "flashrelay/random.h"
#include "flashrelay/ws.h"
#include "support/channels.h"
#include "support/engine_world.h"
#include "support/ignored_events.h"
#include "support/skip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOTS = 40, STEPS = 6000, PAYLOAD = 30000, FRAME = PAYLOAD + 4, ENTRIES = 64 };

/* A connection of one side. */
struct churn_slot {
    struct connection *connection; /* NULL: free */
    bool paused, finished;
    uint64_t next_sequence;  /* of a server: the next frame to append */
    uint64_t received_bytes; /* of the client */
    uint8_t first;           /* of the client: what its first frame is filled with */
};

struct churn_side {
    struct engine_choice engines;
    struct engine *engine;
    struct churn_slot slots[SLOTS];
    unsigned opened, closed, failed, moved;
    struct churn_side *other; /* of a server: the server to which its connections move; NULL for the client */
};

struct churn {
    struct churn_side servers[2], client;
    struct channel_marks marks;
    struct channel *channel;
    struct holds holds;
    struct random random;
};

/* The run in progress, of which there is one at a time; the handlers of all sides need it. */
static struct churn *churn;

static bool chance(unsigned percent)
{
    return random_below(&churn->random, 100) < percent;
}

static struct churn_slot *find_slot(struct churn_side *side, const struct connection *connection)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (side->slots[i].connection == connection)
            return &side->slots[i];
    }
    return NULL;
}

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct churn_side *side = context;
    struct churn_slot *slot = find_slot(side, NULL);

    (void)peer;
    (void)now_ns;
    side->opened++;
    connection->owner = slot;
    if (!slot || chance(5)) {
        connection->owner = NULL;
        engine_abort(side->engine, connection);
        return;
    }
    *slot = (struct churn_slot){.connection = connection, .next_sequence = channel_head(churn->channel) + 1};
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct churn_slot *slot = connection->owner;

    (void)now_ns;
    if (error == 0)
        return;
    ((struct churn_side *)context)->failed++;
    slot->connection = NULL;
}

static void check(struct churn_slot *slot, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++, slot->received_bytes++) {
        uint64_t offset = slot->received_bytes % FRAME;

        if (slot->received_bytes == 4)
            slot->first = bytes[i];
        if (offset == 0)
            assert_int_equal(bytes[i], 0x80 | WS_BINARY);
        if (offset >= 4)
            assert_int_equal(bytes[i], (uint8_t)(slot->first + slot->received_bytes / FRAME));
    }
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct churn_side *side = context;
    struct churn_slot *slot = connection->owner;
    size_t consumed = chance(80) ? length : (size_t)random_below(&churn->random, length + 1);

    (void)now_ns;
    assert_ptr_equal(slot->connection, connection);
    if (!side->other)
        check(slot, bytes, consumed);
    slot->paused = consumed < length;
    if (length == 0) {
        slot->finished = true;
        engine_finish(side->engine, connection);
    }
    if (chance(1))
        engine_abort(side->engine, connection);
    return consumed;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)progress;
    (void)now_ns;
    if (chance(1))
        engine_abort(((struct churn_side *)context)->engine, connection);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct churn_slot *slot = connection->owner;

    (void)error;
    (void)now_ns;
    ((struct churn_side *)context)->closed++;
    if (slot)
        slot->connection = NULL;
}

/* The connection goes on at the other server, or is closed if that has no room for it. */
static void on_detached(void *context, struct connection *connection, const struct engine_handoff *handoff, uint64_t now_ns)
{
    struct churn_side *side = context, *other = side->other;
    struct churn_slot *slot = connection->owner, *new_slot = find_slot(other, NULL);
    struct connection *attached;

    (void)now_ns;
    side->moved++;
    if (new_slot && engine_attach(other->engine, handoff, new_slot, &attached) == 0) {
        other->opened++;
        *new_slot = (struct churn_slot){.connection = attached, .finished = slot->finished, .next_sequence = slot->next_sequence};
    } else {
        close(handoff->descriptor);
    }
    slot->connection = NULL;
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .detached = on_detached,
    .woken = ignore_woken,
};

static void open_side(struct churn_side *side, const char *kind, struct churn_side *other)
{
    struct engine_options options = {
        .handler = &handler,
        .context = side,
        .max_connections = SLOTS,
        .receive_buffers = 16,
        .receive_buffer_bytes = 4096,
        .sends_per_turn = 8,
        .zerocopy = ENGINE_ZEROCOPY_ON,
    };

    side->other = other;
    assert_int_equal(engine_choose(&side->engines, kind, &(struct engine_kind_options){.engines = 1}), 0);
    assert_int_equal(engine_choice_create(&side->engines, &side->engine, &options, 0), 0);
    assert_int_equal(engine_add_channel(side->engine, churn->channel, other ? &churn->holds : NULL), 0);
}

static void connect_one(struct churn_side *client, const struct address *server)
{
    struct churn_slot *slot = find_slot(client, NULL);

    if (!slot)
        return;
    *slot = (struct churn_slot){.connection = engine_connect(client->engine, server, slot)};
    client->opened += slot->connection != NULL;
}

/* Drops the frames that have not begun and offers them again later, so that the client sees no gap. */
static void drop_and_resume(struct churn_side *server, struct churn_slot *slot)
{
    uint64_t resume_from;

    engine_drop_unbegun(server->engine, slot->connection, &resume_from);
    if (resume_from != HOLDS_NONE)
        slot->next_sequence = resume_from;
}

/* Does something random to one of a side's connections. */
static void disturb(struct churn_side *side)
{
    struct churn_slot *slot = &side->slots[random_below(&churn->random, SLOTS)];

    if (!slot->connection)
        return;
    if (slot->paused && chance(50))
        engine_receive_resume(side->engine, slot->connection);
    if (chance(3))
        engine_finish(side->engine, slot->connection);
    if (chance(2))
        engine_abort(side->engine, slot->connection);
    if (side->other && chance(5))
        drop_and_resume(side, slot);
    if (side->other && chance(20))
        engine_detach(side->engine, slot->connection);
}

static void publish(void)
{
    append_filled(churn->channel, channel_head(churn->channel) + 1, PAYLOAD, 0);
}

/* Offers new frames to all connections of a server; aborts a connection whose next frame is below the channel's floor. */
static void offer(struct churn_side *server)
{
    uint64_t end = channel_head(churn->channel) + 1;

    for (unsigned i = 0; i < SLOTS; i++) {
        struct churn_slot *slot = &server->slots[i];

        if (!slot->connection || slot->connection->finishing || slot->connection->dead)
            continue;
        if (slot->next_sequence < channel_floor(churn->channel)) {
            engine_abort(server->engine, slot->connection);
        } else if (engine_append_frames(server->engine, slot->connection, 0, slot->next_sequence, end) == 0) {
            slot->next_sequence = end;
            engine_serve(server->engine, slot->connection);
        }
    }
}

static void cut_off_below_floor(struct churn_side *server)
{
    uint64_t floor = channel_floor(churn->channel);

    for (unsigned i = 0; i < SLOTS; i++) {
        struct connection *connection = server->slots[i].connection;

        if (connection && (connection->held_sequence < floor || server->slots[i].next_sequence < floor))
            engine_abort(server->engine, connection);
    }
}

static void move_mark(void)
{
    uint64_t lowest = holds_lowest(&churn->holds);

    for (unsigned i = 0; i < 2 * SLOTS; i++) {
        const struct churn_slot *slot = &churn->servers[i / SLOTS].slots[i % SLOTS];

        if (slot->connection && !slot->connection->dead && slot->next_sequence < lowest)
            lowest = slot->next_sequence;
    }
    channel_mark_set(&churn->marks, 0, lowest != HOLDS_NONE ? lowest : channel_head(churn->channel) + 1);
}

static void turns(void)
{
    engine_turn(churn->servers[0].engine, 0);
    engine_turn(churn->servers[1].engine, 0);
    engine_turn(churn->client.engine, 0);
    cut_off_below_floor(&churn->servers[0]);
    cut_off_below_floor(&churn->servers[1]);
    move_mark();
}

static void abort_everything(struct churn_side *side)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        if (side->slots[i].connection)
            engine_abort(side->engine, side->slots[i].connection);
    }
}

static int lowest_free_descriptor(void)
{
    int descriptor = dup(STDERR_FILENO);

    close(descriptor);
    return descriptor;
}

static void open_churn(uint64_t seed, const char *first_kind, const char *second_kind)
{
    churn = aligned_alloc(64, sizeof *churn);
    assert_non_null(churn);
    memset(churn, 0, sizeof *churn);
    random_seed(&churn->random, seed);
    churn->channel = make_channel(&churn->marks, 1, 2 << 20, ENTRIES);
    assert_int_equal(holds_init(&churn->holds, ENTRIES), 0);
    channel_reader_join(churn->channel, 0);
    open_side(&churn->servers[0], first_kind, &churn->servers[1]);
    open_side(&churn->servers[1], second_kind, &churn->servers[0]);
    open_side(&churn->client, first_kind, NULL);
}

static void close_side(struct churn_side *side)
{
    engine_destroy(side->engine);
    engine_choice_close(&side->engines);
}

static void close_churn(void)
{
    close_side(&churn->client);
    close_side(&churn->servers[1]);
    close_side(&churn->servers[0]);
    holds_dispose(&churn->holds);
    channel_destroy(churn->channel);
    free(churn);
}

static bool has_settled(const struct churn_side *side)
{
    return side->opened == side->closed + side->failed + side->moved &&
           counter_read(&side->engine->counters.open_connections) == 0;
}

static void settle(void)
{
    uint64_t limit_ns = clock_monotonic_ns() + 20 * NS_PER_S;
    struct churn_side *servers = churn->servers, *client = &churn->client;

    while (!has_settled(client) || !has_settled(&servers[0]) || !has_settled(&servers[1]) ||
           holds_lowest(&churn->holds) != HOLDS_NONE) {
        abort_everything(client);
        abort_everything(&servers[0]);
        abort_everything(&servers[1]);
        turns();
        assert_true(clock_monotonic_ns() < limit_ns);
    }
}

static void run(uint64_t seed, const char *first_kind, const char *second_kind)
{
    struct engine_listen_options listening = {.backlog = 64, .notsent_lowat_bytes = 16384};
    struct churn_side *servers;
    struct address address;

    open_churn(seed, first_kind, second_kind);
    servers = churn->servers;
    assert_int_equal(address_parse(&address, "127.0.0.1:0"), 0);
    assert_int_equal(engine_listen(servers[0].engine, &address, &listening), 0);
    address.port = engine_listen_port(servers[0].engine);
    for (unsigned step = 0; step < STEPS; step++) {
        if (chance(20))
            connect_one(&churn->client, &address);
        disturb(&churn->client);
        disturb(&servers[0]);
        disturb(&servers[1]);
        if (chance(30))
            publish();
        offer(&servers[0]);
        offer(&servers[1]);
        if (chance(10))
            engine_accept_pause(servers[0].engine, chance(30));
        turns();
    }
    assert_true(churn->client.opened > 100);
    assert_true(counter_read(&servers[0].engine->counters.bytes_sent) > (uint64_t)100 * FRAME);
    assert_true(counter_read(&servers[1].engine->counters.bytes_sent) > (uint64_t)20 * FRAME);
    assert_true(servers[0].moved > 50 && servers[1].moved > 20);
    engine_accept_pause(servers[0].engine, false);
    settle();
    close_churn();
}

static void what_arrives_is_whole_and_nothing_stays(void **state)
{
    int before = lowest_free_descriptor();

    (void)state;
    if (!engine_world_has_kind(engine_world_kind()))
        skip_because("engines of this kind are forbidden here");
    for (unsigned i = 0; engine_kinds[i]; i++)
        for (uint64_t seed = 1; seed <= 2 && engine_world_has_kind(engine_kinds[i]->name); seed++)
            run(seed, engine_world_kind(), engine_kinds[i]->name);
    assert_int_equal(lowest_free_descriptor(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_arrives_is_whole_and_nothing_stays)};

    return engine_world_run(tests, sizeof tests / sizeof tests[0]);
}

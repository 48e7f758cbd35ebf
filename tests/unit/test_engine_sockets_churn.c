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

enum { PLACES = 40, STEPS = 6000, PAYLOAD = 30000, FRAME = PAYLOAD + 4, ENTRIES = 64 };

struct place {
    struct connection *connection; /* NULL: free */
    bool paused, finished;
    uint64_t position; /* client: bytes received; server: next frame to append */
    uint8_t first;     /* client: what its first frame is filled with */
};

struct churn_side {
    struct engine_choice engines;
    struct engine *engine;
    struct place places[PLACES];
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

static struct place *find_place(struct churn_side *side, const struct connection *connection)
{
    for (unsigned i = 0; i < PLACES; i++) {
        if (side->places[i].connection == connection)
            return &side->places[i];
    }
    return NULL;
}

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct churn_side *side = context;
    struct place *place = find_place(side, NULL);

    (void)peer;
    (void)now_ns;
    side->opened++;
    connection->owner = place;
    if (!place || chance(5)) {
        connection->owner = NULL;
        engine_abort(side->engine, connection);
        return;
    }
    *place = (struct place){.connection = connection, .position = channel_head(churn->channel) + 1};
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct place *place = connection->owner;

    (void)now_ns;
    if (error == 0)
        return;
    ((struct churn_side *)context)->failed++;
    place->connection = NULL;
}

static void check(struct place *place, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++, place->position++) {
        uint64_t offset = place->position % FRAME;

        if (place->position == 4)
            place->first = bytes[i];
        if (offset == 0)
            assert_int_equal(bytes[i], 0x80 | WS_BINARY);
        if (offset >= 4)
            assert_int_equal(bytes[i], (uint8_t)(place->first + place->position / FRAME));
    }
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct churn_side *side = context;
    struct place *place = connection->owner;
    size_t consumed = chance(80) ? length : (size_t)random_below(&churn->random, length + 1);

    (void)now_ns;
    assert_ptr_equal(place->connection, connection);
    if (!side->other)
        check(place, bytes, consumed);
    place->paused = consumed < length;
    if (length == 0) {
        place->finished = true;
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
    struct place *place = connection->owner;

    (void)error;
    (void)now_ns;
    ((struct churn_side *)context)->closed++;
    if (place)
        place->connection = NULL;
}

/* The connection goes on at the other server, or is closed if that has no room for it. */
static void on_detached(void *context, struct connection *connection, const struct engine_handoff *handoff, uint64_t now_ns)
{
    struct churn_side *side = context, *other = side->other;
    struct place *place = connection->owner, *new_place = find_place(other, NULL);
    struct connection *attached;

    (void)now_ns;
    side->moved++;
    if (new_place && engine_attach(other->engine, handoff, new_place, &attached) == 0) {
        other->opened++;
        *new_place = (struct place){.connection = attached, .finished = place->finished, .position = place->position};
    } else {
        close(handoff->descriptor);
    }
    place->connection = NULL;
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
        .max_connections = PLACES,
        .receive_buffers = 16,
        .receive_buffer_bytes = 4096,
        .sends_per_turn = 8,
        .zerocopy = ENGINE_ZEROCOPY_ON,
    };

    side->other = other;
    assert_int_equal(engine_choose(&side->engines, kind, 1), 0);
    assert_int_equal(engine_choice_create(&side->engines, &side->engine, &options, 0), 0);
    assert_int_equal(engine_add_channel(side->engine, churn->channel, other ? &churn->holds : NULL), 0);
}

static void connect_one(struct churn_side *client, const struct address *server)
{
    struct place *place = find_place(client, NULL);

    if (!place)
        return;
    *place = (struct place){.connection = engine_connect(client->engine, server, place)};
    client->opened += place->connection != NULL;
}

/* Drops the frames that have not begun and offers them again later, so that the client sees no gap. */
static void drop_and_resume(struct churn_side *server, struct place *place)
{
    uint64_t resume_from;

    engine_drop_unbegun(server->engine, place->connection, &resume_from);
    if (resume_from != HOLDS_NONE)
        place->position = resume_from;
}

/* Does something random to one of a side's connections. */
static void disturb(struct churn_side *side)
{
    struct place *place = &side->places[random_below(&churn->random, PLACES)];

    if (!place->connection)
        return;
    if (place->paused && chance(50))
        engine_receive_resume(side->engine, place->connection);
    if (chance(3))
        engine_finish(side->engine, place->connection);
    if (chance(2))
        engine_abort(side->engine, place->connection);
    if (side->other && chance(5))
        drop_and_resume(side, place);
    if (side->other && chance(20))
        engine_detach(side->engine, place->connection);
}

static void publish(void)
{
    append_filled(churn->channel, channel_head(churn->channel) + 1, PAYLOAD, 0);
}

/* Offers new frames to all connections of a server; aborts a connection whose next frame is below the channel's floor. */
static void offer(struct churn_side *server)
{
    uint64_t end = channel_head(churn->channel) + 1;

    for (unsigned i = 0; i < PLACES; i++) {
        struct place *place = &server->places[i];

        if (!place->connection || place->connection->finishing || place->connection->dead)
            continue;
        if (place->position < channel_floor(churn->channel)) {
            engine_abort(server->engine, place->connection);
        } else if (engine_append_frames(server->engine, place->connection, 0, place->position, end) == 0) {
            place->position = end;
            engine_serve(server->engine, place->connection);
        }
    }
}

static void cut_off_below_floor(struct churn_side *server)
{
    uint64_t floor = channel_floor(churn->channel);

    for (unsigned i = 0; i < PLACES; i++) {
        struct connection *connection = server->places[i].connection;

        if (connection && (connection->held_sequence < floor || server->places[i].position < floor))
            engine_abort(server->engine, connection);
    }
}

static void move_mark(void)
{
    uint64_t lowest = holds_lowest(&churn->holds);

    for (unsigned i = 0; i < 2 * PLACES; i++) {
        const struct place *place = &churn->servers[i / PLACES].places[i % PLACES];

        if (place->connection && !place->connection->dead && place->position < lowest)
            lowest = place->position;
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
    for (unsigned i = 0; i < PLACES; i++) {
        if (side->places[i].connection)
            engine_abort(side->engine, side->places[i].connection);
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

/* In which order a fan-out serves its subscribers, observed in the engine's handler, where the order of service is still known. */
#include "flashrelay/clock.h"
#include "flashrelay/engine_sim.h"
#include "shard/fanout.h"
#include "shard/subscriber.h"
#include "support/channels.h"
#include "support/ignored_events.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 8545, SUBSCRIBERS = 8, ROUNDS = 800, ENTRIES = 1024 };

/* A fan-out and its subscribers' connections, on the simulated network. */
struct fanout_world {
    struct sim_network *network;
    struct engine *engine, *outside;
    struct channel_marks *marks;
    struct channel *channel;
    struct fanout_mark mark;
    struct slab subscribers;
    struct shard_counters *counters;
    struct fanout fanout;
    struct random random;
    uint64_t sequence;
    uint32_t served[SUBSCRIBERS]; /* the subscribers' numbers, in the order in which this round served them */
    unsigned served_count;
};

/* --- the engines' handlers --- */

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct fanout_world *world = context;
    struct subscriber *subscriber = slab_take(&world->subscribers);

    (void)peer;
    (void)now_ns;
    *subscriber = (struct subscriber){.connection = connection};
    connection->owner = subscriber;
    fanout_join(&world->fanout, subscriber);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)bytes;
    (void)now_ns;
    return length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct fanout_world *world = context;

    assert_in_range(world->served_count, 0, SUBSCRIBERS - 1);
    world->served[world->served_count++] = slab_number(&world->subscribers, connection->owner);
    fanout_progressed(&world->fanout, connection->owner, progress, now_ns);
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)now_ns;
    assert_int_equal(error, 0);
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)now_ns;
    fail_msg("a connection ended: %d", error);
}

static const struct engine_handler relay_handler = {
    .accepted = on_accepted, .received = on_received, .progressed = on_progressed, .closed = on_closed, .woken = ignore_woken};
static const struct engine_handler outside_handler = {.connected = on_connected,
                                                      .received = on_received,
                                                      .progressed = ignore_progressed,
                                                      .closed = on_closed,
                                                      .woken = ignore_woken};

/* --- life --- */

static void turn(struct fanout_world *world)
{
    engine_turn(world->engine, 0);
    engine_turn(world->outside, 0);
    sim_network_advance(world->network, sim_network_now(world->network) + NS_PER_MS);
}

static void create_engines(struct fanout_world *world, uint32_t sends_per_turn)
{
    const struct sim_network_options network = {.seed = 5, .segment_max_bytes = 1000, .window_bytes = 1 << 20};
    struct engine_options options = {.handler = &relay_handler,
                                     .context = world,
                                     .max_connections = SUBSCRIBERS,
                                     .receive_buffers = 4,
                                     .receive_buffer_bytes = 1024,
                                     .sends_per_turn = sends_per_turn};
    struct ip_address ip = ip_of("10.0.0.1"), outside_ip = ip_of("10.0.0.2");
    struct address address = {.ip = ip, .port = PORT};

    assert_int_equal(sim_network_create(&world->network, &network), 0);
    assert_int_equal(engine_sim_create(&world->engine, &options, world->network, &ip), 0);
    options.handler = &outside_handler;
    assert_int_equal(engine_sim_create(&world->outside, &options, world->network, &outside_ip), 0);
    assert_int_equal(engine_listen(world->engine, &address, &(struct engine_listen_options){.backlog = SUBSCRIBERS}), 0);
}

static struct fanout_world *world_open(uint32_t sends_per_turn)
{
    struct fanout_world *world = calloc(1, sizeof *world);
    struct address address = {.ip = ip_of("10.0.0.1"), .port = PORT};

    create_engines(world, sends_per_turn);
    random_seed(&world->random, 11);
    world->marks = aligned_alloc(_Alignof(struct channel_marks), sizeof *world->marks);
    world->channel = make_channel(world->marks, 1, 1 << 20, ENTRIES);
    world->mark = (struct fanout_mark){.marks = world->marks, .sequence = CHANNEL_MARK_NONE};
    world->counters = calloc(1, sizeof *world->counters);
    assert_int_equal(slab_init(&world->subscribers, sizeof(struct subscriber), SUBSCRIBERS, UINT32_MAX), 0);
    assert_int_equal(fanout_init(&world->fanout, world->channel, &world->mark, &world->subscribers, SUBSCRIBERS, world->counters),
                     0);
    assert_int_equal(fanout_attach(&world->fanout, world->engine), 0);
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        assert_non_null(engine_connect(world->outside, &address, NULL));
    while (slab_used(&world->subscribers) < SUBSCRIBERS)
        turn(world);
    return world;
}

static void world_close(struct fanout_world *world)
{
    engine_destroy(world->engine);
    engine_destroy(world->outside);
    sim_network_destroy(world->network);
    fanout_dispose(&world->fanout);
    slab_dispose(&world->subscribers);
    channel_destroy(world->channel);
    free(world->counters);
    free(world->marks);
    free(world);
}

/* Publishes a message and serves it to all subscribers; a turn takes a millisecond. */
static void run_round(struct fanout_world *world)
{
    uint64_t now_ns = sim_network_now(world->network);

    world->served_count = 0;
    assert_int_equal(append_filled(world->channel, ++world->sequence, 10, now_ns), 0);
    while (world->served_count < SUBSCRIBERS) {
        fanout_turn(&world->fanout, &world->random, sim_network_now(world->network));
        turn(world);
    }
    while (fanout_is_due(&world->fanout)) /* ends the round, which has no subscriber left to serve */
        fanout_turn(&world->fanout, &world->random, sim_network_now(world->network));
}

/* --- fairness --- */

static void no_round_begins_where_the_last_one_did(void **state)
{
    struct fanout_world *world = world_open(256);
    uint32_t last = UINT32_MAX;

    (void)state;
    for (unsigned i = 0; i < ROUNDS; i++) {
        run_round(world);
        assert_int_not_equal(world->served[0], last);
        last = world->served[0];
    }
    world_close(world);
}

static void assert_everybody_has_every_place_as_often(uint32_t sends_per_turn)
{
    struct fanout_world *world = world_open(sends_per_turn);
    unsigned places[SUBSCRIBERS][SUBSCRIBERS] = {{0}};

    for (unsigned i = 0; i < ROUNDS; i++) {
        run_round(world);
        for (unsigned place = 0; place < SUBSCRIBERS; place++)
            places[world->served[place]][place]++;
    }
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        for (unsigned place = 0; place < SUBSCRIBERS; place++)
            assert_in_range(places[i][place], ROUNDS / SUBSCRIBERS / 2, 2 * ROUNDS / SUBSCRIBERS);
    world_close(world);
}

static void everybody_is_first_and_last_as_often(void **state)
{
    (void)state;
    assert_everybody_has_every_place_as_often(256);
}

static void everybody_is_first_and_last_as_often_where_a_round_takes_turns(void **state)
{
    (void)state;
    assert_everybody_has_every_place_as_often(3);
}

/* --- the spread --- */

static void the_spread_is_from_the_first_to_the_last_who_is_served(void **state)
{
    struct fanout_world *world = world_open(1);
    const struct histogram *spread = &world->counters->spread_ns;

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        run_round(world);
    assert_int_equal(histogram_count(spread), 10);
    assert_int_equal(counter_read(&spread->sum), 10 * (SUBSCRIBERS - 1) * NS_PER_MS);
    world_close(world);
}

static void subscribers_that_are_served_at_once_have_no_spread(void **state)
{
    struct fanout_world *world = world_open(256);
    const struct histogram *spread = &world->counters->spread_ns;

    (void)state;
    run_round(world);
    assert_int_equal(histogram_count(spread), 1);
    assert_int_equal(counter_read(&spread->sum), 0);
    world_close(world);
}

/* --- joining --- */

/*
 * Another channel with the same marks, such as the one that the encoder reads, is ahead of this one, and the shard's mark with it: frames
 * below the mark may be freed before the subscriber would be sent them.
 */
static void a_subscriber_that_joins_begins_at_the_mark_that_another_channel_has_moved(void **state)
{
    enum { AHEAD = 5 };
    struct fanout_world *world = world_open(256);
    struct subscriber *subscriber = slab_element(&world->subscribers, 0);

    (void)state;
    run_round(world);
    fanout_leave(&world->fanout, subscriber, sim_network_now(world->network));
    world->mark.sequence = world->sequence + AHEAD;
    fanout_join(&world->fanout, subscriber);
    assert_int_equal(subscriber->cursor, world->sequence + AHEAD);
    assert_int_equal(subscriber->next_untaken, subscriber->cursor);
    world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_round_begins_where_the_last_one_did),
        cmocka_unit_test(everybody_is_first_and_last_as_often),
        cmocka_unit_test(everybody_is_first_and_last_as_often_where_a_round_takes_turns),
        cmocka_unit_test(the_spread_is_from_the_first_to_the_last_who_is_served),
        cmocka_unit_test(subscribers_that_are_served_at_once_have_no_spread),
        cmocka_unit_test(a_subscriber_that_joins_begins_at_the_mark_that_another_channel_has_moved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

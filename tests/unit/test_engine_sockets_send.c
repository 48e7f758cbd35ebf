/* What engines on kernel sockets send: order, wholeness, back-pressure, budget. */
#include "flashrelay/random.h"
#include "flashrelay/ws.h"
#include "support/engine_world.h"
#include "support/peer.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct engine_options defaults = {.zerocopy = ENGINE_ZEROCOPY_OFF};

static void extents_of_all_kinds_go_out_in_order(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    uint8_t bytes[16];

    (void)state;
    for (uint64_t sequence = 1; sequence <= 6; sequence++)
        engine_world_append(world, sequence, 100 * sequence);
    assert_int_equal(channel_append_gap(world->channel, 7), 0);
    engine_world_send_text(world, 0, "first");
    engine_world_send_frames(world, 0, 1, 3);
    engine_world_send_text(world, 0, "then");
    engine_world_send_frames(world, 0, 5, 8);
    peer_read(world, peer, bytes, 5);
    assert_memory_equal(bytes, "first", 5);
    peer_read_frame(world, peer, 1, 100);
    peer_read_frame(world, peer, 2, 200);
    peer_read(world, peer, bytes, 4);
    assert_memory_equal(bytes, "then", 4);
    peer_read_frame(world, peer, 5, 500);
    peer_read_frame(world, peer, 6, 600);
    ENGINE_WORLD_UNTIL(world, world->ends[0].connection->extent_count == 0);
    assert_int_equal(world->ends[0].sent_frames, 4);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    close(peer);
    engine_world_close(world);
}

static void an_extent_of_gaps_is_done_at_once(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);

    (void)state;
    assert_int_equal(channel_append_gap(world->channel, 1), 0);
    engine_world_send_frames(world, 0, 1, 2);
    ENGINE_WORLD_UNTIL(world, world->ends[0].progresses == 1);
    assert_int_equal(world->ends[0].connection->extent_count, 0);
    assert_int_equal(world->ends[0].sent_bytes, 0);
    close(peer);
    engine_world_close(world);
}

static void many_readers_get_every_byte_while_the_log_wraps(void **state)
{
    enum { READERS = 8, FRAMES = 400 };
    struct engine_world *world = engine_world_open(&defaults);
    struct channel_figures figures;
    struct random random;
    int peers[READERS];

    (void)state;
    random_seed(&random, 3);
    for (unsigned i = 0; i < READERS; i++)
        peers[i] = peer_open(world, 0);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++) {
        size_t payload_bytes = 1 + random_below(&random, 100000);

        engine_world_append(world, sequence, payload_bytes);
        for (unsigned i = 0; i < READERS; i++)
            engine_world_send_frames(world, i, sequence, sequence + 1);
        for (unsigned i = 0; i < READERS; i++)
            peer_read_frame(world, peers[i], sequence, payload_bytes);
    }
    engine_world_settle(world);
    channel_figures_get(world->channel, &figures);
    assert_true(figures.wraps >= 3);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(world->ends[i].sent_frames, FRAMES);
        close(peers[i]);
    }
    engine_world_close(world);
}

static void frames_pending_together_go_out_in_one_send(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);

    (void)state;
    for (uint64_t sequence = 1; sequence <= 20; sequence++)
        engine_world_append(world, sequence, 500);
    engine_world_send_frames(world, 0, 1, 21);
    ENGINE_WORLD_UNTIL(world, world->ends[0].sent_frames == 20);
    assert_int_equal(counter_read(&world->engine->counters.sends), 1);
    assert_int_equal(world->ends[0].progresses, 1);
    close(peer);
    engine_world_close(world);
}

static void a_peer_that_reads_slowly_blocks_the_connection_and_drains_it(void **state)
{
    enum { FRAMES = 40, PAYLOAD = 50000 };
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 4096);
    const struct connection *connection = world->ends[0].connection;

    (void)state;
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        engine_world_append(world, sequence, PAYLOAD);
    engine_world_send_frames(world, 0, 1, FRAMES + 1);
    ENGINE_WORLD_UNTIL(world, connection->blocked);
    engine_world_settle(world);
    assert_true(connection->blocked);
    assert_true(world->ends[0].blocks > 0);
    assert_true(world->ends[0].sent_bytes < FRAMES * (uint64_t)PAYLOAD / 2);
    assert_int_equal(holds_lowest(&world->holds), connection->held_sequence);
    assert_true(connection->held_sequence < FRAMES / 2);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        peer_read_frame(world, peer, sequence, PAYLOAD);
    ENGINE_WORLD_UNTIL(world, connection->extent_count == 0 && !connection->blocked);
    assert_int_equal(world->ends[0].sent_frames, FRAMES);
    assert_true(counter_read(&world->engine->counters.short_sends) > 0);
    close(peer);
    engine_world_close(world);
}

static void a_blocked_one_may_skip_what_has_not_begun(void **state)
{
    enum { FRAMES = 30, PAYLOAD = 60000 };
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 4096);
    struct connection *connection = world->ends[0].connection;
    uint64_t resume_from;

    (void)state;
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        engine_world_append(world, sequence, PAYLOAD);
    engine_world_send_frames(world, 0, 1, FRAMES + 1);
    ENGINE_WORLD_UNTIL(world, connection->blocked);
    engine_drop_unbegun(world->engine, connection, &resume_from);
    assert_true(resume_from > 1 && resume_from < FRAMES);
    engine_world_send_frames(world, 0, FRAMES, FRAMES + 1);
    for (uint64_t sequence = 1; sequence < resume_from; sequence++)
        peer_read_frame(world, peer, sequence, PAYLOAD);
    peer_read_frame(world, peer, FRAMES, PAYLOAD);
    ENGINE_WORLD_UNTIL(world, connection->extent_count == 0);
    close(peer);
    engine_world_close(world);
}

static void the_budget_of_a_turn_keeps_the_order_of_service(void **state)
{
    enum { PEERS = 10 };
    struct engine_options options = {.sends_per_turn = 4, .zerocopy = ENGINE_ZEROCOPY_OFF};
    struct engine_world *world = engine_world_open(&options);
    int peers[PEERS];

    (void)state;
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_open(world, 0);
    engine_world_append(world, 1, 100);
    for (unsigned i = PEERS; i-- > 0;)
        engine_world_send_frames(world, i, 1, 2);
    engine_world_turn(world);
    for (unsigned i = 0; i < PEERS; i++)
        assert_int_equal(world->ends[i].sent_frames, i >= PEERS - 4);
    engine_world_turn(world);
    for (unsigned i = 0; i < PEERS; i++)
        assert_int_equal(world->ends[i].sent_frames, i >= PEERS - 8);
    for (unsigned i = 0; i < PEERS; i++) {
        peer_read_frame(world, peers[i], 1, 100);
        close(peers[i]);
    }
    engine_world_close(world);
}

/* A new connection takes the slot of one that was aborted while it waited for service; the connection that waits behind it is served. */
static void a_connection_that_ends_while_it_waits_keeps_no_other_from_service(void **state)
{
    struct engine_options options = {.sends_per_turn = 1, .max_connections = 3, .zerocopy = ENGINE_ZEROCOPY_OFF};
    struct engine_world *world = engine_world_open(&options);
    int peers[4];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        peers[i] = peer_open(world, 0);
    peers[3] = peer_connect(world, 0);
    engine_world_append(world, 1, 1000);
    for (unsigned i = 0; i < 3; i++)
        engine_world_send_frames(world, i, 1, 2);
    engine_abort(world->engine, world->ends[1].connection);
    ENGINE_WORLD_UNTIL(world, world->end_count == 4);
    peer_read_frame(world, peers[0], 1, 1000);
    peer_read_frame(world, peers[2], 1, 1000);
    engine_world_send_text(world, 3, "hello");
    ENGINE_WORLD_UNTIL(world, world->ends[3].sent_bytes == 5);
    for (unsigned i = 0; i < 4; i++)
        close(peers[i]);
    engine_world_close(world);
}

static void sending_to_who_has_gone_closes(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 4096);

    (void)state;
    for (uint64_t sequence = 1; sequence <= 10; sequence++)
        engine_world_append(world, sequence, 100000);
    engine_world_send_frames(world, 0, 1, 11);
    ENGINE_WORLD_UNTIL(world, world->ends[0].connection->blocked);
    close(peer);
    ENGINE_WORLD_UNTIL(world, world->ends[0].closes == 1);
    assert_true(world->ends[0].error == -ECONNRESET || world->ends[0].error == -EPIPE);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    engine_world_close(world);
}

static void long_control_runs_are_finished_before_the_end(void **state)
{
    enum { LENGTH = 300000 };
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 4096);
    uint8_t *sent = malloc(LENGTH), *got = malloc(LENGTH);

    (void)state;
    for (size_t i = 0; i < LENGTH; i++)
        sent[i] = (uint8_t)(i * 31 >> 3);
    assert_int_equal(engine_append_bytes(world->engine, world->ends[0].connection, sent, LENGTH), 0);
    engine_serve(world->engine, world->ends[0].connection);
    engine_finish(world->engine, world->ends[0].connection);
    peer_read(world, peer, got, LENGTH);
    assert_memory_equal(got, sent, LENGTH);
    engine_world_settle(world);
    assert_int_equal(peer_end(peer), 0);
    close(peer);
    ENGINE_WORLD_UNTIL(world, world->ends[0].closes == 1);
    assert_int_equal(world->ends[0].error, 0);
    free(sent);
    free(got);
    engine_world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extents_of_all_kinds_go_out_in_order),
        cmocka_unit_test(an_extent_of_gaps_is_done_at_once),
        cmocka_unit_test(many_readers_get_every_byte_while_the_log_wraps),
        cmocka_unit_test(frames_pending_together_go_out_in_one_send),
        cmocka_unit_test(a_peer_that_reads_slowly_blocks_the_connection_and_drains_it),
        cmocka_unit_test(a_blocked_one_may_skip_what_has_not_begun),
        cmocka_unit_test(the_budget_of_a_turn_keeps_the_order_of_service),
        cmocka_unit_test(a_connection_that_ends_while_it_waits_keeps_no_other_from_service),
        cmocka_unit_test(sending_to_who_has_gone_closes),
        cmocka_unit_test(long_control_runs_are_finished_before_the_end),
    };

    return engine_world_run(tests, sizeof tests / sizeof tests[0]);
}

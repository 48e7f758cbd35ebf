#include "flashrelay/clock.h"
#include "support/engine_pair.h"
#include "support/ip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- connecting --- */

static void both_ends_learn_of_a_connection(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct ip_address client_ip = ip_of("10.0.0.2");
    struct pair_peer *accepted;

    (void)state;
    pair_establish(pair, &accepted);
    assert_int_equal(pair->server.count, 1);
    assert_true(ip_address_equal(&accepted->address.ip, &client_ip));
    assert_int_equal(engine_listen_port(pair->server.engine), PAIR_PORT);
    pair_close(pair);
}

static void a_port_without_listener_refuses(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct address address = pair_server_address();
    struct pair_peer *peer = pair_add_peer(&pair->client, NULL);

    (void)state;
    address.port++;
    peer->connection = engine_connect(pair->client.engine, &address, peer);
    pair_settle(pair);
    assert_int_equal(peer->connects, 1);
    assert_int_equal(peer->connect_error, -ECONNREFUSED);
    assert_int_equal(peer->closes, 0);
    pair_close(pair);
}

static void aborting_while_connecting_ends_in_closed(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *peer = pair_connect(pair);

    (void)state;
    engine_abort(pair->client.engine, peer->connection);
    pair_settle(pair);
    assert_int_equal(peer->connects, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, 0);
    assert_int_equal(pair->server.count, 0);
    pair_close(pair);
}

static void paused_accepts_wait_in_the_backlog(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);

    (void)state;
    engine_accept_pause(pair->server.engine, true);
    for (int i = 0; i < 3; i++)
        pair_connect(pair);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 0);
    engine_accept_pause(pair->server.engine, false);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 3);
    pair_close(pair);
}

static void stopping_to_listen_accepts_what_is_queued(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *late;

    (void)state;
    engine_accept_pause(pair->server.engine, true);
    pair_connect(pair);
    pair_connect(pair);
    pair_settle(pair);
    engine_listen_stop(pair->server.engine);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 2);
    assert_int_equal(engine_listen_port(pair->server.engine), 0);
    late = pair_connect(pair);
    pair_settle(pair);
    assert_int_equal(late->connect_error, -ECONNREFUSED);
    pair_close(pair);
}

static void slots_bound_both_directions(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct address address = pair_server_address();

    (void)state;
    pair->server.engine->options.max_connections = 1;
    pair->client.engine->options.max_connections = 2;
    struct pair_peer *first = pair_connect(pair);
    pair_connect(pair);
    assert_null(engine_connect(pair->client.engine, &address, first));
    pair_settle(pair);
    assert_int_equal(pair->server.count, 1);
    engine_abort(pair->server.engine, pair->server.peers[0].connection);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 2);
    pair_close(pair);
}

/* --- receiving --- */

static void bytes_arrive_in_order_and_split(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);
    uint8_t bytes[30000];

    (void)state;
    pair_fill(bytes, sizeof bytes, 3);
    pair_say(&pair->client, peer, bytes, sizeof bytes);
    pair_say(&pair->server, accepted, bytes, sizeof bytes);
    pair_settle(pair);
    assert_int_equal(accepted->length, sizeof bytes);
    assert_memory_equal(accepted->bytes, bytes, sizeof bytes);
    assert_int_equal(peer->length, sizeof bytes);
    assert_memory_equal(peer->bytes, bytes, sizeof bytes);
    assert_int_equal(peer->taken_bytes, sizeof bytes);
    assert_true(counter_read(&pair->server.engine->counters.receives) >= 30);
    pair_close(pair);
}

static void what_is_not_consumed_is_offered_again_on_request(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);
    uint8_t bytes[5000];

    (void)state;
    pair_fill(bytes, sizeof bytes, 9);
    accepted->limited = true;
    accepted->consume_limit = 0;
    pair_say(&pair->client, peer, bytes, sizeof bytes);
    engine_finish(pair->client.engine, peer->connection);
    pair_settle(pair);
    assert_int_equal(accepted->length, 0);
    assert_int_equal(accepted->fins, 0);
    engine_receive_resume(pair->server.engine, accepted->connection);
    pair_settle(pair);
    assert_int_equal(accepted->length, sizeof bytes);
    assert_memory_equal(accepted->bytes, bytes, sizeof bytes);
    assert_int_equal(accepted->fins, 1);
    pair_close(pair);
}

/* --- sending frames --- */

static void frames_are_pulled_from_the_log(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);
    struct channel *channel = pair_open_channel(pair);

    (void)state;
    pair_append_frames(channel, 8, 5000);
    pair_offer(&pair->server, accepted, 1, 9);
    assert_int_equal(accepted->connection->held_sequence, 1);
    pair_settle(pair);
    pair_assert_received_frames(peer, channel, 1, 9);
    assert_int_equal(accepted->taken_frames, 8);
    assert_int_equal(accepted->connection->extent_count, 0);
    assert_true(accepted->connection->held_sequence == HOLDS_NONE);
    pair_close(pair);
    channel_destroy(channel);
}

static void a_peer_that_reads_nothing_blocks_and_holds(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);
    struct channel *channel = pair_open_channel(pair);
    uint64_t resume_from;

    (void)state;
    pair_append_frames(channel, 8, 5000);
    sim_connection_stall(peer->connection, true);
    pair_offer(&pair->server, accepted, 1, 9);
    pair_settle(pair);
    assert_true(accepted->connection->blocked);
    assert_int_equal(accepted->taken_bytes, pair_plain_network.window_bytes);
    assert_int_equal(accepted->connection->held_sequence, 2);
    assert_int_equal(holds_lowest(&pair->server.holds), 2);
    engine_drop_unbegun(pair->server.engine, accepted->connection, &resume_from);
    assert_int_equal(resume_from, 3);
    sim_connection_stall(peer->connection, false);
    pair_settle(pair);
    assert_false(accepted->connection->blocked);
    pair_assert_received_frames(peer, channel, 1, 3);
    pair_close(pair);
    channel_destroy(channel);
}

static void a_late_send_keeps_what_it_offered(void **state)
{
    struct sim_network_options options = pair_plain_network;
    struct pair_peer *accepted, *peer;
    uint64_t resume_from;

    (void)state;
    options.late_send_permille = 1000;
    options.window_bytes = 65536;
    struct engine_pair *pair = pair_open(&options);
    struct channel *channel = pair_open_channel(pair);
    peer = pair_establish(pair, &accepted);
    pair_append_frames(channel, 3, 1000);
    pair_offer(&pair->server, accepted, 1, 3);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->progresses, 0);
    assert_true(accepted->connection->offered_bytes > 0);
    pair_offer(&pair->server, accepted, 3, 4);
    engine_drop_unbegun(pair->server.engine, accepted->connection, &resume_from);
    assert_int_equal(resume_from, 3);
    assert_int_equal(accepted->connection->held_sequence, 1);
    pair_settle(pair);
    pair_assert_received_frames(peer, channel, 1, 3);
    pair_close(pair);
    channel_destroy(channel);
}

static void a_send_by_reference_pins_until_it_has_arrived(void **state)
{
    struct sim_network_options options = pair_plain_network;
    struct pair_peer *accepted, *peer;

    (void)state;
    options.zerocopy_permille = 1000;
    struct engine_pair *pair = pair_open(&options);
    struct channel *channel = pair_open_channel(pair);
    peer = pair_establish(pair, &accepted);
    pair_append_frames(channel, 2, 1000);
    pair_offer(&pair->server, accepted, 1, 3);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->connection->extent_count, 0);
    assert_int_equal(accepted->connection->held_sequence, 1);
    pair_settle(pair);
    assert_true(accepted->connection->held_sequence == HOLDS_NONE);
    pair_assert_received_frames(peer, channel, 1, 3);

    pair_append_frames(channel, 1, 1000);
    pair_offer(&pair->server, accepted, 3, 4);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->connection->held_sequence, 3);
    engine_abort(pair->server.engine, accepted->connection);
    engine_turn(pair->server.engine, 0);
    engine_turn(pair->server.engine, 0);
    assert_non_null(accepted->connection); /* not closed while the frame is pinned */
    assert_int_equal(accepted->connection->held_sequence, 3);
    pair_settle(pair);
    assert_null(accepted->connection);
    assert_true(holds_lowest(&pair->server.holds) == HOLDS_NONE);
    pair_close(pair);
    channel_destroy(channel);
}

static void service_keeps_its_order_and_its_budget(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct channel *channel = pair_open_channel(pair);
    struct pair_peer *accepted[6];

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        pair_establish(pair, &accepted[i]);
    pair->server.engine->options.sends_per_turn = 4;
    pair_append_frames(channel, 1, 100);
    for (unsigned i = 0; i < 6; i++) {
        pair_offer(&pair->server, accepted[5 - i], 1, 2);
        engine_serve(pair->server.engine, accepted[5 - i]->connection);
    }
    engine_turn(pair->server.engine, 0);
    assert_int_equal(pair->server.served, 4);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(pair->server.served, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_ptr_equal(pair->server.order[i], accepted[5 - i]);
    pair_close(pair);
    channel_destroy(channel);
}

/* --- ending --- */

static void finishing_sends_the_rest_and_waits_for_the_peer(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);
    uint8_t bytes[20000];

    (void)state;
    pair_fill(bytes, sizeof bytes, 1);
    pair_say(&pair->server, accepted, bytes, sizeof bytes);
    engine_finish(pair->server.engine, accepted->connection);
    pair_settle(pair);
    assert_int_equal(peer->length, sizeof bytes);
    assert_int_equal(peer->fins, 1);
    assert_int_equal(accepted->closes, 0);
    pair_say(&pair->client, peer, "late", 4);
    pair_settle(pair);
    assert_int_equal(accepted->length, 4);
    engine_finish(pair->client.engine, peer->connection);
    pair_settle(pair);
    assert_int_equal(accepted->fins, 1);
    assert_int_equal(accepted->closes, 1);
    assert_int_equal(accepted->close_error, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, 0);
    pair_close(pair);
}

static void aborting_tells_both_in_later_turns(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);

    (void)state;
    accepted->abort_on_receive = true;
    pair_say(&pair->client, peer, "x", 1);
    while (accepted->length == 0) {
        engine_turn(pair->client.engine, 0);
        sim_network_advance(pair->network, sim_network_now(pair->network) + NS_PER_MS);
        engine_turn(pair->server.engine, 0);
    }
    assert_true(accepted->connection->dead);
    assert_int_equal(accepted->closes, 0);
    engine_abort(pair->server.engine, accepted->connection);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->closes, 1);
    assert_int_equal(accepted->close_error, 0);
    pair_settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    pair_close(pair);
}

static void a_reset_fails_both(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);

    (void)state;
    sim_connection_reset(peer->connection);
    pair_settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    assert_int_equal(accepted->closes, 1);
    assert_int_equal(accepted->close_error, -ECONNRESET);
    pair_close(pair);
}

/* The simulated engine's connections have no descriptors. */
static void a_simulated_connection_does_not_move(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);
    const struct engine_handoff handoff = {.descriptor = -1};
    struct connection *attached;

    (void)state;
    assert_int_equal(engine_detach(pair->server.engine, accepted->connection), -ENOTSUP);
    assert_int_equal(engine_attach(pair->server.engine, &handoff, NULL, &attached), -ENOTSUP);
    pair_say(&pair->client, peer, "x", 1);
    pair_settle(pair);
    assert_int_equal(accepted->length, 1);
    pair_close(pair);
}

static void destroying_an_engine_resets_its_peers_silently(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted, *peer = pair_establish(pair, &accepted);

    (void)state;
    pair_say(&pair->server, accepted, "bye", 3);
    engine_destroy(pair->server.engine);
    assert_int_equal(accepted->closes, 0);
    holds_dispose(&pair->server.holds);
    pair_open_side(pair, &pair->server, "10.0.0.3", PAIR_PEERS, 256);
    pair_settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    pair_close(pair);
}

/* --- waking --- */

static void a_wake_reaches_who_sleeps_and_only_that(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct engine *engine = pair->server.engine;

    (void)state;
    waker_wake(engine_waker(engine), NULL);
    assert_false(engine_sim_is_due(engine));
    engine_prepare_sleep(engine);
    engine_turn(engine, CLOCK_NEVER);
    assert_true(waker_is_sleeping(engine_waker(engine)));
    waker_wake(engine_waker(engine), engine_waker(pair->client.engine));
    waker_wake(engine_waker(engine), engine_waker(pair->client.engine));
    assert_true(engine_sim_is_due(engine));
    engine_turn(engine, 0);
    assert_int_equal(pair->server.wakes, 1);
    assert_false(waker_is_sleeping(engine_waker(engine)));
    pair_close(pair);
}

static void a_turn_that_did_something_does_not_sleep(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *accepted;

    (void)state;
    pair_establish(pair, &accepted);
    pair_say(&pair->server, accepted, "x", 1);
    engine_prepare_sleep(pair->server.engine);
    engine_turn(pair->server.engine, CLOCK_NEVER);
    assert_false(waker_is_sleeping(engine_waker(pair->server.engine)));
    pair_close(pair);
}

/* --- a random run with faults --- */

enum { CONNECTIONS = 20, ROUNDS = 60 };

/* Sends frames over a network with delays, short and late sends and resets. Returns a hash of what the clients received and of the time. */
static uint64_t run_with_random_faults(uint64_t seed)
{
    struct sim_network_options options = {.seed = seed,
                                          .delay_min_ns = NS_PER_MS / 10,
                                          .delay_max_ns = 5 * NS_PER_MS,
                                          .segment_max_bytes = 3000,
                                          .window_bytes = 6000,
                                          .short_send_permille = 200,
                                          .late_send_permille = 300,
                                          .zerocopy_permille = 300,
                                          .reset_permille_per_s = 50};
    struct engine_pair *pair = pair_open(&options);
    struct channel *channel = pair_open_channel(pair);
    struct pair_peer *peers[CONNECTIONS];
    uint64_t hash = 0;

    for (unsigned i = 0; i < CONNECTIONS; i++)
        peers[i] = pair_connect(pair);
    sim_network_advance(pair->network, sim_network_now(pair->network) + 100 * NS_PER_MS);
    pair_run_due(pair);
    for (unsigned round = 0; round < ROUNDS; round++) {
        pair_append_frames(channel, 1, 20 * round);
        for (unsigned i = 0; i < pair->server.count; i++)
            if (pair->server.peers[i].connection)
                pair_offer(&pair->server, &pair->server.peers[i], round + 1, round + 2);
        sim_network_advance(pair->network, sim_network_now(pair->network) + 10 * NS_PER_MS);
        pair_run_due(pair);
    }
    for (unsigned i = 0; i < pair->server.count; i++)
        if (pair->server.peers[i].connection)
            engine_finish(pair->server.engine, pair->server.peers[i].connection);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        peers[i]->finish_on_fin = true;
    pair_settle(pair);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        bool complete = peers[i]->connect_error == 0 && peers[i]->close_error == 0;
        assert_int_equal(peers[i]->closes + (peers[i]->connect_error != 0), 1);
        if (complete)
            pair_assert_received_frames(peers[i], channel, 1, ROUNDS + 1);
        for (size_t b = 0; b < peers[i]->length; b++)
            hash = hash * 31 + peers[i]->bytes[b] + (uint64_t)complete;
    }
    hash = hash * 31 + sim_network_now(pair->network);
    pair_close(pair);
    channel_destroy(channel);
    return hash;
}

static void random_faults_lose_nothing_and_repeat_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        assert_true(run_with_random_faults(seed) == run_with_random_faults(seed));
    assert_true(run_with_random_faults(1) != run_with_random_faults(2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ends_learn_of_a_connection),
        cmocka_unit_test(a_port_without_listener_refuses),
        cmocka_unit_test(aborting_while_connecting_ends_in_closed),
        cmocka_unit_test(paused_accepts_wait_in_the_backlog),
        cmocka_unit_test(stopping_to_listen_accepts_what_is_queued),
        cmocka_unit_test(slots_bound_both_directions),
        cmocka_unit_test(bytes_arrive_in_order_and_split),
        cmocka_unit_test(what_is_not_consumed_is_offered_again_on_request),
        cmocka_unit_test(frames_are_pulled_from_the_log),
        cmocka_unit_test(a_peer_that_reads_nothing_blocks_and_holds),
        cmocka_unit_test(a_late_send_keeps_what_it_offered),
        cmocka_unit_test(a_send_by_reference_pins_until_it_has_arrived),
        cmocka_unit_test(service_keeps_its_order_and_its_budget),
        cmocka_unit_test(finishing_sends_the_rest_and_waits_for_the_peer),
        cmocka_unit_test(aborting_tells_both_in_later_turns),
        cmocka_unit_test(a_reset_fails_both),
        cmocka_unit_test(a_simulated_connection_does_not_move),
        cmocka_unit_test(destroying_an_engine_resets_its_peers_silently),
        cmocka_unit_test(a_wake_reaches_who_sleeps_and_only_that),
        cmocka_unit_test(a_turn_that_did_something_does_not_sleep),
        cmocka_unit_test(random_faults_lose_nothing_and_repeat_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

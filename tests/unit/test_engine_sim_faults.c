/* Faults and modes of the simulated engine: late notifications, its own TCP, lack of buffers and descriptors, vanished peers. */
#include "flashrelay/clock.h"
#include "support/engine_pair.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Takes turns and lets time pass until `condition` holds or `limit_ns` have passed. */
#define RUN_UNTIL(pair, condition, limit_ns)                                                        \
    do {                                                                                            \
        uint64_t end_ns_ = sim_network_now((pair)->network) + (limit_ns);                           \
        pair_run_due(pair);                                                                         \
        while (!(condition) && sim_network_now((pair)->network) < end_ns_) {                        \
            sim_network_advance((pair)->network, sim_network_now((pair)->network) + NS_PER_MS / 4); \
            pair_run_due(pair);                                                                     \
        }                                                                                           \
    } while (0)

/* A connection on which the server sends frames of a channel. */
struct sending {
    struct engine_pair *pair;
    struct channel *channel;
    struct pair_peer *peer, *accepted; /* the client's end, and the server's */
};

static struct sending open_sending(const struct sim_network_options *options)
{
    struct sending sending = {.pair = pair_open(options)};

    sending.channel = pair_open_channel(sending.pair);
    sending.peer = pair_establish(sending.pair, &sending.accepted);
    return sending;
}

/* The same on a network whose engines do TCP themselves. */
static struct sending open_sending_by_own_tcp(void)
{
    struct sim_network_options options = pair_plain_network;

    options.own_tcp = true;
    return open_sending(&options);
}

static void send_frames(const struct sending *sending, unsigned count, size_t length)
{
    pair_append_frames(sending->channel, count, length);
    pair_offer(&sending->pair->server, sending->accepted, 1, count + 1);
}

static void close_sending(const struct sending *sending)
{
    pair_close(sending->pair);
    channel_destroy(sending->channel);
}

static void notifications_may_take_seconds(void **state)
{
    struct sim_network_options options = pair_plain_network;
    uint64_t sent_ns;

    (void)state;
    options.zerocopy_permille = options.late_notification_permille = 1000;
    struct sending sending = open_sending(&options);
    struct engine_pair *pair = sending.pair;
    struct pair_peer *peer = sending.peer, *accepted = sending.accepted;
    send_frames(&sending, 1, 1000);
    sent_ns = sim_network_now(pair->network);
    RUN_UNTIL(pair, peer->length > 0, NS_PER_S);
    pair_assert_received_frames(peer, sending.channel, 1, 2);
    assert_int_equal(accepted->connection->pinned_sequence, 1);
    RUN_UNTIL(pair, accepted->connection->pinned_sequence == HOLDS_NONE, 10 * NS_PER_S);
    assert_true(accepted->connection->pinned_sequence == HOLDS_NONE);
    assert_in_range(sim_network_now(pair->network) - sent_ns, 100 * NS_PER_MS, 5 * NS_PER_S);
    close_sending(&sending);
}

static void a_tcp_of_its_own_pins_until_acknowledged(void **state)
{
    struct sending sending = open_sending_by_own_tcp();
    struct engine_pair *pair = sending.pair;
    struct pair_peer *peer = sending.peer, *accepted = sending.accepted;

    (void)state;
    send_frames(&sending, 2, 1000);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->taken_frames, 2); /* a frame is taken once it was sent for the first time */
    RUN_UNTIL(pair, peer->length > 0, NS_PER_S);
    assert_int_equal(accepted->connection->pinned_sequence, 1); /* the acknowledgement is on its way */
    pair_settle(pair);
    assert_true(accepted->connection->pinned_sequence == HOLDS_NONE);
    /* Acknowledgements alone are not reported while the connection is neither blocked nor finishing. */
    assert_int_equal(accepted->acknowledged_bytes, 0);
    pair_say(&pair->server, accepted, "x", 1);
    pair_settle(pair);
    assert_int_equal(accepted->acknowledged_bytes, peer->length - 1);
    engine_finish(pair->server.engine, accepted->connection);
    pair_settle(pair);
    assert_int_equal(accepted->acknowledged_bytes, peer->length);
    close_sending(&sending);
}

static void acknowledgements_are_told_to_who_is_blocked(void **state)
{
    struct sending sending = open_sending_by_own_tcp();
    struct engine_pair *pair = sending.pair;
    struct pair_peer *peer = sending.peer, *accepted = sending.accepted;

    (void)state;
    sim_connection_stall(peer->connection, true);
    send_frames(&sending, 2, 8000);
    pair_settle(pair);
    assert_true(accepted->connection->blocked);
    assert_int_equal(accepted->acknowledged_bytes, accepted->taken_bytes);
    assert_int_equal(accepted->taken_bytes, pair_plain_network.window_bytes);
    engine_abort(pair->server.engine, accepted->connection); /* releases at once what was not acknowledged */
    pair_settle(pair);
    assert_null(accepted->connection);
    close_sending(&sending);
}

static void a_peer_that_vanishes_leaves_the_other_end_as_it_was(void **state)
{
    struct sim_network_options options = pair_plain_network;

    (void)state;
    options.zerocopy_permille = 1000;
    struct sending sending = open_sending(&options);
    struct engine_pair *pair = sending.pair;
    struct pair_peer *peer = sending.peer, *accepted = sending.accepted;
    pair_say(&pair->client, peer, "lost", 4);
    engine_turn(pair->client.engine, 0);
    sim_connection_vanish(peer->connection);
    send_frames(&sending, 2, 8000);
    pair_settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    assert_int_equal(accepted->closes, 0);
    assert_int_equal(accepted->length, 0);
    assert_true(accepted->connection->blocked);
    assert_int_equal(accepted->connection->pinned_sequence, 1);
    engine_abort(pair->server.engine, accepted->connection);
    pair_settle(pair);
    assert_int_equal(accepted->closes, 1);
    close_sending(&sending);
}

static void without_descriptors_nobody_is_accepted_or_connected(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct pair_peer *failing, *waiting;
    struct address address = pair_server_address();

    (void)state;
    engine_sim_take_descriptors(pair->client.engine, true);
    failing = pair_connect(pair);
    pair_settle(pair);
    assert_int_equal(failing->connects, 1);
    assert_int_equal(failing->connect_error, -EMFILE);
    engine_sim_take_descriptors(pair->client.engine, false);
    engine_sim_take_descriptors(pair->server.engine, true);
    waiting = pair_add_peer(&pair->client, NULL);
    waiting->connection = engine_connect(pair->client.engine, &address, waiting);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 0);
    assert_int_equal(counter_read(&pair->server.engine->counters.accept_pauses), 1);
    engine_sim_take_descriptors(pair->server.engine, false);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 1);
    pair_close(pair);
}

static void a_budget_of_descriptors_is_kept(void **state)
{
    struct engine_pair *pair = pair_open(&pair_plain_network);
    struct descriptor_budget budget = {.left = 1};

    (void)state;
    pair->server.engine->options.descriptors = &budget;
    for (unsigned i = 0; i < 3; i++)
        pair_connect(pair);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 1);
    assert_int_equal(atomic_load(&budget.left), 0);
    engine_abort(pair->server.engine, pair->server.peers[0].connection);
    pair_settle(pair);
    assert_int_equal(pair->server.count, 2);
    pair_close(pair);
    assert_int_equal(atomic_load(&budget.left), 1);
}

/*
 * Bytes that were not reported for lack of receive buffers are reported in a later turn; until then engine_turn returns an older time, by
 * which everything that had arrived is reported.
 */
static void a_starved_turn_has_not_told_everything(void **state)
{
    struct sim_network_options options = pair_plain_network;
    struct pair_peer *accepted, *peer;
    uint64_t told_ns, arrived_ns;

    (void)state;
    options.no_receive_buffer_permille = 500;
    struct engine_pair *pair = pair_open(&options);
    peer = pair_establish(pair, &accepted);
    told_ns = engine_turn(pair->server.engine, 0);
    for (unsigned i = 0; i < 20; i++) {
        pair_say(&pair->client, peer, "0123456789", 10);
        engine_turn(pair->client.engine, 0);
        sim_network_advance(pair->network, sim_network_now(pair->network) + 5 * NS_PER_MS);
        arrived_ns = sim_network_now(pair->network);
        while (accepted->length < 10 * (i + 1)) {
            uint64_t next_ns = engine_turn(pair->server.engine, 0);
            assert_int_equal(next_ns, accepted->length < 10 * (i + 1) ? told_ns : arrived_ns);
        }
        told_ns = engine_turn(pair->server.engine, 0);
        assert_int_equal(told_ns, arrived_ns);
    }
    assert_true(counter_read(&pair->server.engine->counters.receive_starved) > 0);
    pair_settle(pair);
    pair_close(pair);
}

static void an_abort_may_wait_for_what_was_begun_before(void **state)
{
    struct sim_network_options options = pair_plain_network;
    struct pair_peer *accepted;

    (void)state;
    options.late_close_permille = 1000;
    struct engine_pair *pair = pair_open(&options);
    pair_establish(pair, &accepted);
    engine_abort(pair->server.engine, accepted->connection);
    for (unsigned i = 0; i < 10; i++)
        engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->closes, 0);
    pair_settle(pair);
    assert_int_equal(accepted->closes, 1);
    pair_close(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notifications_may_take_seconds),
        cmocka_unit_test(a_tcp_of_its_own_pins_until_acknowledged),
        cmocka_unit_test(acknowledgements_are_told_to_who_is_blocked),
        cmocka_unit_test(a_peer_that_vanishes_leaves_the_other_end_as_it_was),
        cmocka_unit_test(without_descriptors_nobody_is_accepted_or_connected),
        cmocka_unit_test(a_budget_of_descriptors_is_kept),
        cmocka_unit_test(a_starved_turn_has_not_told_everything),
        cmocka_unit_test(an_abort_may_wait_for_what_was_begun_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

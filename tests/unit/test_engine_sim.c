#include "flashrelay/clock.h"
#include "flashrelay/engine_sim.h"
#include "support/channels.h"
#include "support/ip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PORT = 8545, PEERS = 64, RECORD_BYTES = 1 << 16 };

/* What one side of a test has seen of one connection. */
struct peer {
    struct connection *connection;
    int connects, closes, fins, progresses;
    int connect_error, close_error;
    struct address address;
    uint8_t bytes[RECORD_BYTES];
    size_t length;
    size_t taken_bytes, taken_frames, frames_begun;
    size_t consume_limit; /* takes no more than this of what is offered, once */
    bool limited;
    bool abort_on_receive, finish_on_fin;
};

/* One thread: an engine with a recording handler. */
struct side {
    struct engine *engine;
    struct holds holds;
    struct peer peers[PEERS];
    unsigned count;
    int wakes;
    struct peer *order[PEERS]; /* who was served, in order */
    unsigned served;
};

struct engine_pair {
    struct sim_network *network;
    struct side client, server;
};

static struct peer *add_peer(struct side *side, struct connection *connection)
{
    struct peer *peer = &side->peers[side->count++];

    assert_true(side->count <= PEERS);
    peer->connection = connection;
    if (connection)
        connection->owner = peer;
    return peer;
}

static void on_accepted(void *context, struct connection *connection, const struct address *address, uint64_t now_ns)
{
    (void)now_ns;
    add_peer(context, connection)->address = *address;
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct peer *peer = connection->owner;

    (void)context;
    (void)now_ns;
    peer->connects++;
    peer->connect_error = error;
    if (error != 0)
        peer->connection = NULL;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct side *side = context;
    struct peer *peer = connection->owner;

    (void)now_ns;
    assert_int_equal(peer->closes, 0);
    assert_int_equal(peer->fins, 0);
    if (length == 0) {
        peer->fins++;
        if (peer->finish_on_fin)
            engine_finish(side->engine, connection);
        return 0;
    }
    if (peer->limited && length > peer->consume_limit)
        length = peer->consume_limit;
    peer->limited = false;
    assert_true(peer->length + length <= RECORD_BYTES);
    memcpy(peer->bytes + peer->length, bytes, length);
    peer->length += length;
    memset(bytes, 0, length); /* what was consumed may be changed */
    if (peer->abort_on_receive)
        engine_abort(side->engine, connection);
    return length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct side *side = context;
    struct peer *peer = connection->owner;

    (void)now_ns;
    assert_int_equal(peer->closes, 0);
    peer->progresses++;
    peer->taken_bytes += progress->bytes;
    peer->taken_frames += progress->frames;
    peer->frames_begun += progress->began_frame;
    if (side->served < PEERS)
        side->order[side->served++] = peer;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct peer *peer = connection->owner;

    (void)context;
    (void)now_ns;
    assert_true(connection->held_sequence == HOLDS_NONE);
    peer->closes++;
    peer->close_error = error;
    peer->connection = NULL;
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)now_ns;
    ((struct side *)context)->wakes++;
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

static const struct sim_network_options plain_network = {
    .seed = 1, .delay_min_ns = NS_PER_MS, .delay_max_ns = 2 * NS_PER_MS, .segment_max_bytes = 1000, .window_bytes = 8192};

static struct address server_address(void)
{
    return (struct address){.ip = ip_of("10.0.0.1"), .port = PORT};
}

static void open_side(struct engine_pair *pair, struct side *side, const char *ip, uint32_t max_connections,
                      uint32_t sends_per_turn)
{
    struct ip_address address = ip_of(ip);
    struct engine_options options = {.handler = &handler,
                                     .context = side,
                                     .max_connections = max_connections,
                                     .receive_buffers = 16,
                                     .receive_buffer_bytes = 4096,
                                     .sends_per_turn = sends_per_turn};

    assert_int_equal(holds_init(&side->holds, 64), 0);
    assert_int_equal(engine_sim_create(&side->engine, &options, pair->network, &address), 0);
}

static struct engine_pair *open_pair(const struct sim_network_options *options)
{
    static const struct engine_listen_options listen = {.backlog = 16};
    struct engine_pair *pair = calloc(1, sizeof *pair);
    struct address address = {.ip = ip_of("0.0.0.0"), .port = PORT};

    assert_int_equal(sim_network_create(&pair->network, options), 0);
    open_side(pair, &pair->client, "10.0.0.2", PEERS, 256);
    open_side(pair, &pair->server, "10.0.0.1", PEERS, 256);
    assert_int_equal(engine_listen(pair->server.engine, &address, &listen), 0);
    return pair;
}

static void close_pair(struct engine_pair *pair)
{
    struct side *sides[] = {&pair->client, &pair->server};

    for (unsigned i = 0; i < 2; i++) {
        engine_destroy(sides[i]->engine);
        assert_true(holds_lowest(&sides[i]->holds) == HOLDS_NONE);
        holds_dispose(&sides[i]->holds);
    }
    sim_network_destroy(pair->network);
    free(pair);
}

static void run_due(struct engine_pair *pair)
{
    while (engine_sim_is_due(pair->client.engine) || engine_sim_is_due(pair->server.engine)) {
        engine_turn(pair->client.engine, 0);
        engine_turn(pair->server.engine, 0);
    }
}

/* Lets everything happen that happens by itself. */
static void settle(struct engine_pair *pair)
{
    run_due(pair);
    while (sim_network_next_event(pair->network) != CLOCK_NEVER) {
        sim_network_advance(pair->network, sim_network_next_event(pair->network));
        run_due(pair);
    }
}

static struct peer *start_connecting(struct engine_pair *pair)
{
    struct address address = server_address();
    struct peer *peer = add_peer(&pair->client, NULL);

    peer->connection = engine_connect(pair->client.engine, &address, peer);
    assert_non_null(peer->connection);
    return peer;
}

/* An established connection; `*accepted` is the server's end. */
static struct peer *establish(struct engine_pair *pair, struct peer **accepted)
{
    struct peer *peer = start_connecting(pair);

    settle(pair);
    assert_int_equal(peer->connects, 1);
    assert_int_equal(peer->connect_error, 0);
    *accepted = &pair->server.peers[pair->server.count - 1];
    return peer;
}

static void say(struct side *side, struct peer *peer, const void *bytes, size_t length)
{
    assert_int_equal(engine_append_bytes(side->engine, peer->connection, bytes, length), 0);
    engine_serve(side->engine, peer->connection);
}

static void fill(uint8_t *bytes, size_t length, unsigned first)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(first + i * 7);
}

/* --- connecting --- */

static void both_ends_learn_of_a_connection(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct ip_address client_ip = ip_of("10.0.0.2");
    struct peer *accepted;

    (void)state;
    establish(pair, &accepted);
    assert_int_equal(pair->server.count, 1);
    assert_true(ip_address_equal(&accepted->address.ip, &client_ip));
    assert_int_equal(engine_listen_port(pair->server.engine), PORT);
    close_pair(pair);
}

static void a_port_without_listener_refuses(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct address address = server_address();
    struct peer *peer = add_peer(&pair->client, NULL);

    (void)state;
    address.port++;
    peer->connection = engine_connect(pair->client.engine, &address, peer);
    settle(pair);
    assert_int_equal(peer->connects, 1);
    assert_int_equal(peer->connect_error, -ECONNREFUSED);
    assert_int_equal(peer->closes, 0);
    close_pair(pair);
}

static void aborting_while_connecting_ends_in_closed(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *peer = start_connecting(pair);

    (void)state;
    engine_abort(pair->client.engine, peer->connection);
    settle(pair);
    assert_int_equal(peer->connects, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, 0);
    assert_int_equal(pair->server.count, 0);
    close_pair(pair);
}

static void paused_accepts_wait_in_the_backlog(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);

    (void)state;
    engine_accept_pause(pair->server.engine, true);
    for (int i = 0; i < 3; i++)
        start_connecting(pair);
    settle(pair);
    assert_int_equal(pair->server.count, 0);
    engine_accept_pause(pair->server.engine, false);
    settle(pair);
    assert_int_equal(pair->server.count, 3);
    close_pair(pair);
}

static void stopping_to_listen_accepts_what_is_queued(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *late;

    (void)state;
    engine_accept_pause(pair->server.engine, true);
    start_connecting(pair);
    start_connecting(pair);
    settle(pair);
    engine_listen_stop(pair->server.engine);
    settle(pair);
    assert_int_equal(pair->server.count, 2);
    assert_int_equal(engine_listen_port(pair->server.engine), 0);
    late = start_connecting(pair);
    settle(pair);
    assert_int_equal(late->connect_error, -ECONNREFUSED);
    close_pair(pair);
}

static void slots_bound_both_directions(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct address address = server_address();

    (void)state;
    pair->server.engine->options.max_connections = 1;
    pair->client.engine->options.max_connections = 2;
    struct peer *first = start_connecting(pair);
    start_connecting(pair);
    assert_null(engine_connect(pair->client.engine, &address, first));
    settle(pair);
    assert_int_equal(pair->server.count, 1);
    engine_abort(pair->server.engine, pair->server.peers[0].connection);
    settle(pair);
    assert_int_equal(pair->server.count, 2);
    close_pair(pair);
}

/* --- receiving --- */

static void bytes_arrive_in_order_and_split(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);
    uint8_t bytes[30000];

    (void)state;
    fill(bytes, sizeof bytes, 3);
    say(&pair->client, peer, bytes, sizeof bytes);
    say(&pair->server, accepted, bytes, sizeof bytes);
    settle(pair);
    assert_int_equal(accepted->length, sizeof bytes);
    assert_memory_equal(accepted->bytes, bytes, sizeof bytes);
    assert_int_equal(peer->length, sizeof bytes);
    assert_memory_equal(peer->bytes, bytes, sizeof bytes);
    assert_int_equal(peer->taken_bytes, sizeof bytes);
    assert_true(counter_read(&pair->server.engine->counters.receives) >= 30);
    close_pair(pair);
}

static void what_is_not_consumed_is_offered_again_on_request(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);
    uint8_t bytes[5000];

    (void)state;
    fill(bytes, sizeof bytes, 9);
    accepted->limited = true;
    accepted->consume_limit = 0;
    say(&pair->client, peer, bytes, sizeof bytes);
    engine_finish(pair->client.engine, peer->connection);
    settle(pair);
    assert_int_equal(accepted->length, 0);
    assert_int_equal(accepted->fins, 0);
    engine_receive_resume(pair->server.engine, accepted->connection);
    settle(pair);
    assert_int_equal(accepted->length, sizeof bytes);
    assert_memory_equal(accepted->bytes, bytes, sizeof bytes);
    assert_int_equal(accepted->fins, 1);
    close_pair(pair);
}

/* --- sending frames --- */

static struct channel_marks marks;

static struct channel *open_channel(struct engine_pair *pair)
{
    struct channel *channel = make_channel(&marks, 1, 65536, 64);

    assert_int_equal(channel_reader_join(channel, 0), 1);
    assert_int_equal(engine_add_channel(pair->server.engine, channel, &pair->server.holds), 0);
    return channel;
}

static void append_frames(struct channel *channel, unsigned count, size_t length)
{
    uint8_t payload[8192];

    for (; count > 0; count--) {
        uint64_t sequence = channel_head(channel) + 1;
        fill(payload, length, (unsigned)sequence);
        assert_int_equal(channel_append(channel, sequence, 2, payload, length, 0), 0);
    }
}

static void offer(struct side *side, struct peer *peer, uint64_t from, uint64_t to)
{
    assert_int_equal(engine_append_frames(side->engine, peer->connection, 0, from, to), 0);
    engine_serve(side->engine, peer->connection);
}

static void assert_received_frames(const struct peer *peer, const struct channel *channel, uint64_t from, uint64_t to)
{
    size_t at = 0;

    for (uint64_t sequence = from; sequence < to; sequence++) {
        struct channel_frame frame;
        channel_frame_get(channel, sequence, &frame);
        assert_true(at + frame.length <= peer->length);
        assert_memory_equal(peer->bytes + at, frame.bytes, frame.length);
        at += frame.length;
    }
    assert_int_equal(peer->length, at);
}

static void frames_are_pulled_from_the_log(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);
    struct channel *channel = open_channel(pair);

    (void)state;
    append_frames(channel, 8, 5000);
    offer(&pair->server, accepted, 1, 9);
    assert_int_equal(accepted->connection->held_sequence, 1);
    settle(pair);
    assert_received_frames(peer, channel, 1, 9);
    assert_int_equal(accepted->taken_frames, 8);
    assert_int_equal(accepted->connection->extent_count, 0);
    assert_true(accepted->connection->held_sequence == HOLDS_NONE);
    close_pair(pair);
    channel_destroy(channel);
}

static void a_peer_that_reads_nothing_blocks_and_holds(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);
    struct channel *channel = open_channel(pair);
    uint64_t resume_from;

    (void)state;
    append_frames(channel, 8, 5000);
    sim_connection_stall(peer->connection, true);
    offer(&pair->server, accepted, 1, 9);
    settle(pair);
    assert_true(accepted->connection->blocked);
    assert_int_equal(accepted->taken_bytes, plain_network.window_bytes);
    assert_int_equal(accepted->connection->held_sequence, 2);
    assert_int_equal(holds_lowest(&pair->server.holds), 2);
    engine_drop_unbegun(pair->server.engine, accepted->connection, &resume_from);
    assert_int_equal(resume_from, 3);
    sim_connection_stall(peer->connection, false);
    settle(pair);
    assert_false(accepted->connection->blocked);
    assert_received_frames(peer, channel, 1, 3);
    close_pair(pair);
    channel_destroy(channel);
}

static void a_late_send_keeps_what_it_offered(void **state)
{
    struct sim_network_options options = plain_network;
    struct peer *accepted, *peer;
    uint64_t resume_from;

    (void)state;
    options.late_send_permille = 1000;
    options.window_bytes = 65536;
    struct engine_pair *pair = open_pair(&options);
    struct channel *channel = open_channel(pair);
    peer = establish(pair, &accepted);
    append_frames(channel, 3, 1000);
    offer(&pair->server, accepted, 1, 3);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->progresses, 0);
    assert_true(accepted->connection->offered_bytes > 0);
    offer(&pair->server, accepted, 3, 4);
    engine_drop_unbegun(pair->server.engine, accepted->connection, &resume_from);
    assert_int_equal(resume_from, 3);
    assert_int_equal(accepted->connection->held_sequence, 1);
    settle(pair);
    assert_received_frames(peer, channel, 1, 3);
    close_pair(pair);
    channel_destroy(channel);
}

static void a_send_by_reference_pins_until_it_has_arrived(void **state)
{
    struct sim_network_options options = plain_network;
    struct peer *accepted, *peer;

    (void)state;
    options.zerocopy_permille = 1000;
    struct engine_pair *pair = open_pair(&options);
    struct channel *channel = open_channel(pair);
    peer = establish(pair, &accepted);
    append_frames(channel, 2, 1000);
    offer(&pair->server, accepted, 1, 3);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->connection->extent_count, 0);
    assert_int_equal(accepted->connection->held_sequence, 1);
    settle(pair);
    assert_true(accepted->connection->held_sequence == HOLDS_NONE);
    assert_received_frames(peer, channel, 1, 3);

    append_frames(channel, 1, 1000);
    offer(&pair->server, accepted, 3, 4);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(accepted->connection->held_sequence, 3);
    engine_abort(pair->server.engine, accepted->connection);
    engine_turn(pair->server.engine, 0);
    engine_turn(pair->server.engine, 0);
    assert_non_null(accepted->connection); /* not closed while the frame is pinned */
    assert_int_equal(accepted->connection->held_sequence, 3);
    settle(pair);
    assert_null(accepted->connection);
    assert_true(holds_lowest(&pair->server.holds) == HOLDS_NONE);
    close_pair(pair);
    channel_destroy(channel);
}

static void service_keeps_its_order_and_its_budget(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct channel *channel = open_channel(pair);
    struct peer *accepted[6];

    (void)state;
    for (unsigned i = 0; i < 6; i++)
        establish(pair, &accepted[i]);
    pair->server.engine->options.sends_per_turn = 4;
    append_frames(channel, 1, 100);
    for (unsigned i = 0; i < 6; i++) {
        offer(&pair->server, accepted[5 - i], 1, 2);
        engine_serve(pair->server.engine, accepted[5 - i]->connection);
    }
    engine_turn(pair->server.engine, 0);
    assert_int_equal(pair->server.served, 4);
    engine_turn(pair->server.engine, 0);
    assert_int_equal(pair->server.served, 6);
    for (unsigned i = 0; i < 6; i++)
        assert_ptr_equal(pair->server.order[i], accepted[5 - i]);
    close_pair(pair);
    channel_destroy(channel);
}

/* --- ending --- */

static void finishing_sends_the_rest_and_waits_for_the_peer(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);
    uint8_t bytes[20000];

    (void)state;
    fill(bytes, sizeof bytes, 1);
    say(&pair->server, accepted, bytes, sizeof bytes);
    engine_finish(pair->server.engine, accepted->connection);
    settle(pair);
    assert_int_equal(peer->length, sizeof bytes);
    assert_int_equal(peer->fins, 1);
    assert_int_equal(accepted->closes, 0);
    say(&pair->client, peer, "late", 4);
    settle(pair);
    assert_int_equal(accepted->length, 4);
    engine_finish(pair->client.engine, peer->connection);
    settle(pair);
    assert_int_equal(accepted->fins, 1);
    assert_int_equal(accepted->closes, 1);
    assert_int_equal(accepted->close_error, 0);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, 0);
    close_pair(pair);
}

static void aborting_tells_both_in_later_turns(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);

    (void)state;
    accepted->abort_on_receive = true;
    say(&pair->client, peer, "x", 1);
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
    settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    close_pair(pair);
}

static void a_reset_fails_both(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);

    (void)state;
    sim_connection_reset(peer->connection);
    settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    assert_int_equal(accepted->closes, 1);
    assert_int_equal(accepted->close_error, -ECONNRESET);
    close_pair(pair);
}

/* Its connections have no descriptors. */
static void a_simulated_connection_does_not_move(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);
    const struct engine_handoff handoff = {.descriptor = -1};
    struct connection *attached;

    (void)state;
    assert_int_equal(engine_detach(pair->server.engine, accepted->connection), -ENOTSUP);
    assert_int_equal(engine_attach(pair->server.engine, &handoff, NULL, &attached), -ENOTSUP);
    say(&pair->client, peer, "x", 1);
    settle(pair);
    assert_int_equal(accepted->length, 1);
    close_pair(pair);
}

static void destroying_an_engine_resets_its_peers_silently(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted, *peer = establish(pair, &accepted);

    (void)state;
    say(&pair->server, accepted, "bye", 3);
    engine_destroy(pair->server.engine);
    assert_int_equal(accepted->closes, 0);
    holds_dispose(&pair->server.holds);
    open_side(pair, &pair->server, "10.0.0.3", PEERS, 256);
    settle(pair);
    assert_int_equal(peer->closes, 1);
    assert_int_equal(peer->close_error, -ECONNRESET);
    close_pair(pair);
}

/* --- waking --- */

static void a_wake_reaches_who_sleeps_and_only_that(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
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
    close_pair(pair);
}

static void a_turn_that_did_something_does_not_sleep(void **state)
{
    struct engine_pair *pair = open_pair(&plain_network);
    struct peer *accepted;

    (void)state;
    establish(pair, &accepted);
    say(&pair->server, accepted, "x", 1);
    engine_prepare_sleep(pair->server.engine);
    engine_turn(pair->server.engine, CLOCK_NEVER);
    assert_false(waker_is_sleeping(engine_waker(pair->server.engine)));
    close_pair(pair);
}

/* --- everything at once --- */

enum { CONNECTIONS = 20, ROUNDS = 60 };

/* A hash of all that the two sides saw. */
static uint64_t run_rough_weather(uint64_t seed)
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
    struct engine_pair *pair = open_pair(&options);
    struct channel *channel = open_channel(pair);
    struct peer *peers[CONNECTIONS];
    uint64_t hash = 0;

    for (unsigned i = 0; i < CONNECTIONS; i++)
        peers[i] = start_connecting(pair);
    sim_network_advance(pair->network, sim_network_now(pair->network) + 100 * NS_PER_MS);
    run_due(pair);
    for (unsigned round = 0; round < ROUNDS; round++) {
        append_frames(channel, 1, 20 * round);
        for (unsigned i = 0; i < pair->server.count; i++)
            if (pair->server.peers[i].connection)
                offer(&pair->server, &pair->server.peers[i], round + 1, round + 2);
        sim_network_advance(pair->network, sim_network_now(pair->network) + 10 * NS_PER_MS);
        run_due(pair);
    }
    for (unsigned i = 0; i < pair->server.count; i++)
        if (pair->server.peers[i].connection)
            engine_finish(pair->server.engine, pair->server.peers[i].connection);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        peers[i]->finish_on_fin = true;
    settle(pair);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        bool complete = peers[i]->connect_error == 0 && peers[i]->close_error == 0;
        assert_int_equal(peers[i]->closes + (peers[i]->connect_error != 0), 1);
        if (complete)
            assert_received_frames(peers[i], channel, 1, ROUNDS + 1);
        for (size_t b = 0; b < peers[i]->length; b++)
            hash = hash * 31 + peers[i]->bytes[b] + (uint64_t)complete;
    }
    hash = hash * 31 + sim_network_now(pair->network);
    close_pair(pair);
    channel_destroy(channel);
    return hash;
}

static void rough_weather_loses_nothing_and_repeats_exactly(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++)
        assert_true(run_rough_weather(seed) == run_rough_weather(seed));
    assert_true(run_rough_weather(1) != run_rough_weather(2));
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
        cmocka_unit_test(rough_weather_loses_nothing_and_repeats_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

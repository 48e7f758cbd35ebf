#include "support/engine_pair.h"

#include "flashrelay/clock.h"
#include "support/channels.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct pair_peer *pair_add_peer(struct pair_side *side, struct connection *connection)
{
    struct pair_peer *peer = &side->peers[side->count++];

    assert_true(side->count <= PAIR_PEERS);
    peer->connection = connection;
    if (connection)
        connection->owner = peer;
    return peer;
}

static void on_accepted(void *context, struct connection *connection, const struct address *address, uint64_t now_ns)
{
    (void)now_ns;
    pair_add_peer(context, connection)->address = *address;
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct pair_peer *peer = connection->owner;

    (void)context;
    (void)now_ns;
    peer->connects++;
    peer->connect_error = error;
    if (error != 0)
        peer->connection = NULL;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct pair_side *side = context;
    struct pair_peer *peer = connection->owner;

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
    assert_true(peer->length + length <= PAIR_RECORD_BYTES);
    memcpy(peer->bytes + peer->length, bytes, length);
    peer->length += length;
    memset(bytes, 0, length); /* a handler may change the bytes that it consumes */
    if (peer->abort_on_receive)
        engine_abort(side->engine, connection);
    return length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct pair_side *side = context;
    struct pair_peer *peer = connection->owner;

    (void)now_ns;
    assert_int_equal(peer->closes, 0);
    peer->progresses++;
    peer->taken_bytes += progress->bytes;
    peer->acknowledged_bytes += progress->acknowledged;
    peer->taken_frames += progress->frames;
    peer->frames_begun += progress->began_frame;
    if (side->served < PAIR_PEERS)
        side->order[side->served++] = peer;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct pair_peer *peer = connection->owner;

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
    ((struct pair_side *)context)->wakes++;
}

static const struct engine_handler handler = {
    .accepted = on_accepted,
    .connected = on_connected,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = on_woken,
};

const struct sim_network_options pair_plain_network = {
    .seed = 1, .delay_min_ns = NS_PER_MS, .delay_max_ns = 2 * NS_PER_MS, .segment_max_bytes = 1000, .window_bytes = 8192};

struct address pair_server_address(void)
{
    return (struct address){.ip = ip_of("10.0.0.1"), .port = PAIR_PORT};
}

void pair_open_side(struct engine_pair *pair, struct pair_side *side, const char *ip, uint32_t max_connections,
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

struct engine_pair *pair_open(const struct sim_network_options *options)
{
    static const struct engine_listen_options listen = {.backlog = 16};
    struct engine_pair *pair = calloc(1, sizeof *pair);
    struct address address = {.ip = ip_of("0.0.0.0"), .port = PAIR_PORT};

    assert_int_equal(sim_network_create(&pair->network, options), 0);
    pair_open_side(pair, &pair->client, "10.0.0.2", PAIR_PEERS, 256);
    pair_open_side(pair, &pair->server, "10.0.0.1", PAIR_PEERS, 256);
    assert_int_equal(engine_listen(pair->server.engine, &address, &listen), 0);
    return pair;
}

void pair_close(struct engine_pair *pair)
{
    struct pair_side *sides[] = {&pair->client, &pair->server};

    for (unsigned i = 0; i < 2; i++) {
        engine_destroy(sides[i]->engine);
        assert_true(holds_lowest(&sides[i]->holds) == HOLDS_NONE);
        holds_dispose(&sides[i]->holds);
    }
    sim_network_destroy(pair->network);
    free(pair);
}

void pair_run_due(struct engine_pair *pair)
{
    while (engine_sim_is_due(pair->client.engine) || engine_sim_is_due(pair->server.engine)) {
        engine_turn(pair->client.engine, 0);
        engine_turn(pair->server.engine, 0);
    }
}

void pair_settle(struct engine_pair *pair)
{
    pair_run_due(pair);
    while (sim_network_next_event(pair->network) != CLOCK_NEVER) {
        sim_network_advance(pair->network, sim_network_next_event(pair->network));
        pair_run_due(pair);
    }
}

struct pair_peer *pair_connect(struct engine_pair *pair)
{
    struct address address = pair_server_address();
    struct pair_peer *peer = pair_add_peer(&pair->client, NULL);

    peer->connection = engine_connect(pair->client.engine, &address, peer);
    assert_non_null(peer->connection);
    return peer;
}

struct pair_peer *pair_establish(struct engine_pair *pair, struct pair_peer **accepted)
{
    struct pair_peer *peer = pair_connect(pair);

    pair_settle(pair);
    assert_int_equal(peer->connects, 1);
    assert_int_equal(peer->connect_error, 0);
    *accepted = &pair->server.peers[pair->server.count - 1];
    return peer;
}

void pair_say(struct pair_side *side, struct pair_peer *peer, const void *bytes, size_t length)
{
    assert_int_equal(engine_append_bytes(side->engine, peer->connection, bytes, length), 0);
    engine_serve(side->engine, peer->connection);
}

void pair_fill(uint8_t *bytes, size_t length, unsigned first)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(first + i * 7);
}

static struct channel_marks marks;

struct channel *pair_open_channel(struct engine_pair *pair)
{
    struct channel *channel = make_channel(&marks, 1, 65536, 64);

    assert_int_equal(channel_reader_join(channel, 0), 1);
    assert_int_equal(engine_add_channel(pair->server.engine, channel, &pair->server.holds), 0);
    return channel;
}

void pair_append_frames(struct channel *channel, unsigned count, size_t length)
{
    uint8_t payload[8192];

    for (; count > 0; count--) {
        uint64_t sequence = channel_head(channel) + 1;
        pair_fill(payload, length, (unsigned)sequence);
        assert_int_equal(channel_append(channel, sequence, 2, payload, length, 0), 0);
    }
}

void pair_offer(struct pair_side *side, struct pair_peer *peer, uint64_t from, uint64_t to)
{
    assert_int_equal(engine_append_frames(side->engine, peer->connection, 0, from, to), 0);
    engine_serve(side->engine, peer->connection);
}

void pair_assert_received_frames(const struct pair_peer *peer, const struct channel *channel, uint64_t from, uint64_t to)
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

/*
 * The TCP engine with a connection that is fed anything: the input is a script of segments, made from the connection's own sequence numbers
 * so that they get past checksums and windows, of frames and control bytes to be sent, and of time that passes. Whatever comes, the engine's
 * invariants hold, and in the end nothing is left.
 */
#include "engine/tcp/congestion.h"
#include "engine/tcp/recovery.h"
#include "support/fuzz_script.h"
#include "support/must.h"
#include "support/tcp_world.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

#define PEER_PORT   50000
#define MOST_STEPS  200
#define END_SECONDS 100

enum action { SEND, ACKNOWLEDGE, SACK, PUBLISH, CONTROL, WAIT, FINISH, ABORT, RAW, PAUSE, TOO_BIG, ACTIONS };

static struct tcp_connection *connection_of(const struct tcp_world *world)
{
    return world->connections[0] ? tcp_connection_of(world->connections[0]) : NULL;
}

/* A number near `base`: small steps are as likely as large ones. */
static uint32_t near(struct fuzz_script *script, uint32_t base)
{
    uint8_t shift = fuzz_script_next(script);
    uint32_t distance = (uint32_t)(fuzz_script_next(script) + 1) << (shift & 0x1f) >> 8;

    return (shift & 0x40) != 0 ? base - distance : (shift & 0x80) != 0 ? base + distance : base;
}

static void connect_peer(struct tcp_world *world, struct fuzz_script *script)
{
    uint8_t flags = fuzz_script_next(script);
    struct wire_packet segment = {.source_port = PEER_PORT, .sequence = UINT32_MAX - 3000, .flags = WIRE_SYN, .window = 0xffff};

    segment.is_v6 = (flags & 1) != 0;
    segment.options.has_sack_permitted = (flags & 2) == 0;
    segment.options.has_scale = (flags & 4) == 0;
    segment.options.scale = flags >> 4;
    segment.options.has_mss = (flags & 8) == 0;
    segment.options.mss = 1460;
    tcp_world_inject_segment(world, &segment);
    tcp_world_run(world, 5 * NS_PER_MS);
    segment = (struct wire_packet){.is_v6 = segment.is_v6,
                                   .source_port = PEER_PORT,
                                   .sequence = segment.sequence + 1,
                                   .acknowledgement = world->answer.sequence + 1,
                                   .flags = WIRE_ACK,
                                   .window = 0xffff};
    tcp_world_inject_segment(world, &segment);
    tcp_world_run(world, 5 * NS_PER_MS);
    must(world->accepts == 1);
}

/* A segment with which nothing is wrong; after the connection's end it is a late one. */
static struct wire_packet usual_segment(const struct tcp_world *world, bool is_v6)
{
    const struct tcp_connection *connection = connection_of(world);
    struct wire_packet segment = {.is_v6 = is_v6, .source_port = PEER_PORT, .flags = WIRE_ACK, .window = 0xffff};

    segment.sequence = connection ? connection->receive_next : world->answer.acknowledgement;
    segment.acknowledgement = connection ? connection->una : world->answer.sequence;
    return segment;
}

static void add_sacks(const struct tcp_world *world, struct fuzz_script *script, struct wire_packet *segment)
{
    uint8_t count = fuzz_script_next(script) % 4;
    uint32_t at = segment->acknowledgement;

    (void)world;
    segment->options.sack_count = count;
    for (unsigned i = 0; i < count; i++) {
        segment->options.sacks[i].left = near(script, at);
        segment->options.sacks[i].right = near(script, segment->options.sacks[i].left);
        at = segment->options.sacks[i].right;
    }
}

static void send_segment(struct tcp_world *world, struct fuzz_script *script, enum action action, bool is_v6)
{
    static uint8_t payload[1400];
    struct wire_packet segment = usual_segment(world, is_v6);
    const struct tcp_connection *connection = connection_of(world);

    if (action != SEND && connection)
        segment.acknowledgement += (uint32_t)((uint64_t)tcp_unacknowledged(connection) * fuzz_script_next(script) / 255);
    if (action == SACK)
        add_sacks(world, script, &segment);
    if (action == SEND) {
        segment.flags = fuzz_script_next(script) & (WIRE_FIN | WIRE_SYN | WIRE_RST | WIRE_PSH | WIRE_ACK);
        segment.sequence = near(script, segment.sequence);
        segment.acknowledgement = near(script, segment.acknowledgement);
        segment.payload = payload;
        segment.payload_bytes = (size_t)fuzz_script_next(script) * 5;
    }
    segment.window = (uint16_t)(fuzz_script_next(script) << 8 | fuzz_script_next(script));
    tcp_world_inject_segment(world, &segment);
}

static void send_raw(struct tcp_world *world, struct fuzz_script *script)
{
    size_t length;
    const uint8_t *bytes = fuzz_script_take(script, fuzz_script_next(script), &length);

    if (length > 0)
        tcp_world_inject(world, bytes, length);
}

/* What a router says of a segment that may be in flight. */
static void send_too_big(struct tcp_world *world, struct fuzz_script *script, bool is_v6)
{
    struct host_too_big news = {.remote_port = PEER_PORT, .local_port = TCP_WORLD_PORT, .local = is_v6};
    const struct tcp_connection *connection = connection_of(world);

    if (!connection)
        return;
    news.remote = connection->remote;
    news.sequence = near(script, connection->una);
    news.mtu = (uint16_t)(fuzz_script_next(script) << 8);
    host_tell(world->host, &news);
}

static void send_control(struct tcp_world *world, struct fuzz_script *script)
{
    static const uint8_t bytes[512];
    struct connection *connection = world->connections[0];

    if (!connection || connection->finishing || connection->dead)
        return;
    if (engine_append_bytes(world->engine, connection, bytes, 1 + 2 * (size_t)fuzz_script_next(script)) == 0)
        engine_serve(world->engine, connection);
}

static void act(struct tcp_world *world, struct fuzz_script *script, bool is_v6)
{
    enum action action = fuzz_script_next(script) % ACTIONS;
    struct connection *connection = world->connections[0];

    switch (action) {
    case SEND:
    case ACKNOWLEDGE:
    case SACK:
        send_segment(world, script, action, is_v6);
        break;
    case PUBLISH:
        tcp_world_publish(world, 1 + (size_t)fuzz_script_next(script) * 250);
        break;
    case CONTROL:
        send_control(world, script);
        break;
    case WAIT:
        tcp_world_run(world, NS_PER_MS << fuzz_script_next(script) % 15);
        break;
    case FINISH:
        if (connection && !connection->finishing && !connection->dead)
            engine_finish(world->engine, connection);
        break;
    case ABORT:
        if (connection && !connection->dead)
            engine_abort(world->engine, connection);
        break;
    case RAW:
        send_raw(world, script);
        break;
    case PAUSE:
        world->consumes_half = !world->consumes_half;
        if (connection && !world->consumes_half && !connection->dead)
            engine_receive_resume(world->engine, connection);
        break;
    case TOO_BIG:
        send_too_big(world, script, is_v6);
        break;
    case ACTIONS:
        break;
    }
}

static void check(const struct tcp_world *world)
{
    const struct tcp_connection *connection = connection_of(world);

    must(world->closes <= world->accepts);
    if (!connection || connection->base.dead || connection->is_failed)
        return;
    must(tcp_unacknowledged(connection) <= (UINT64_C(1) << connection->largest_window_bits) + 1);
    must(connection->una == connection->nxt || connection->timer != TIMER_NONE);
    must(!connection->base.blocked || connection->timer != TIMER_NONE);
    must(connection->timer == TIMER_NONE || connection->near_count + connection->far_count > 0);
    must(recovery_in_flight(tcp_world_engine(world), connection) <= 1u << 30);
    must(connection->cwnd >= tcp_mss(connection));
}

static void check_nothing_left(const struct tcp_world *world)
{
    const struct tcp_engine *engine = tcp_world_engine(world);

    must(world->closes == world->accepts && world->holds.total == 0);
    must(slab_used(&engine->slots) == 0 && slab_used(&engine->runs) == 0 && slab_used(&engine->recoveries) == 0);
    must(!epochs_hold_any(&engine->epochs));
    must(counter_read(&engine->counters.unacknowledged_bytes) == 0);
    must(counter_read(&engine->base.counters.open_connections) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct fuzz_script script = {input, length};
    struct tcp_world_options options = {.arena_bytes = 1 << 18};
    uint8_t flags = fuzz_script_next(&script);
    struct tcp_world *world;
    bool is_v6;

    options.card.tso_bytes = (flags & 1) != 0 ? 65000 : 0;
    options.card.frees_late = (flags & 2) != 0;
    options.card.header_shortage = (flags & 4) != 0 ? 0.1 : 0;
    world = tcp_world_open(&options);
    is_v6 = script.length > 0 && (script.bytes[0] & 1) != 0;
    connect_peer(world, &script);
    for (unsigned step = 0; step < MOST_STEPS && script.length > 0; step++) {
        act(world, &script, is_v6);
        tcp_world_run(world, 10 * NS_PER_US);
        check(world);
    }
    tcp_world_run(world, 3 * NS_PER_MS);
    for (unsigned i = 0; i < TCP_WORLD_CONNECTIONS; i++)
        if (world->connections[i] && !world->connections[i]->dead)
            engine_abort(world->engine, world->connections[i]);
    tcp_world_run(world, END_SECONDS * NS_PER_S);
    check_nothing_left(world);
    tcp_world_close(world);
    return 0;
}

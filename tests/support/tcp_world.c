#include "support/tcp_world.h"

#include "flashrelay/channel.h"
#include "support/ignored_events.h"
#include "support/ip.h"
#include "support/must.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 4096

static const uint8_t engine_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peers_mac[6] = {2, 0, 0, 0, 0, 2};

/* --- the owner of connections --- */

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct tcp_world *world = context;
    unsigned place = 0;

    (void)peer;
    (void)now_ns;
    while (world->connections[place])
        must(++place < TCP_WORLD_CONNECTIONS);
    world->connections[place] = connection;
    connection->owner = &world->connections[place];
    world->accepts++;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct tcp_world *world = context;
    bool is_end = length == 0;

    (void)bytes;
    (void)now_ns;
    if (world->consumes_half)
        length /= 2;
    world->consumed_bytes += length;
    if (is_end && !connection->finishing)
        engine_finish(world->engine, connection);
    if (length > 0 && world->answers && !connection->finishing &&
        engine_append_bytes(world->engine, connection, "an answer", 9) == 0)
        engine_serve(world->engine, connection);
    return length;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct tcp_world *world = context;
    struct connection **place = connection->owner;

    (void)error;
    (void)now_ns;
    must(*place == connection);
    must(connection->pinned_sequence == HOLDS_NONE && connection->held_sequence == HOLDS_NONE);
    *place = NULL;
    world->closes++;
}

static const struct engine_handler handler = {.accepted = on_accepted,
                                              .received = on_received,
                                              .progressed = ignore_progressed,
                                              .closed = on_closed,
                                              .woken = ignore_woken};

/* --- life --- */

static void open_channel(struct tcp_world *world, size_t arena_bytes)
{
    const struct channel_options options = {
        .name = "frames", .arena_bytes = arena_bytes > 0 ? arena_bytes : 1 << 20, .entries = ENTRIES, .marks = &world->marks};

    channel_marks_init(&world->marks, 1);
    must(channel_create(&world->channel, &options) == 0);
    must(holds_init(&world->holds, ENTRIES) == 0);
    channel_reader_join(world->channel, 0);
}

static void open_engine(struct tcp_world *world, const struct tcp_world_options *options)
{
    const struct engine_options engine = {.handler = &handler,
                                          .context = world,
                                          .max_connections =
                                              options->max_connections > 0 ? options->max_connections : TCP_WORLD_CONNECTIONS,
                                          .sends_per_turn = 64};
    struct host_options host = {.address_count = 2, .mtu = 1500};
    struct wire_port_options card = options->card;
    struct address address = {.ip = ip_of("192.0.2.1"), .port = TCP_WORLD_PORT};
    struct tcp_options tcp = {.seed = 1};

    host.addresses[0] = (struct host_address){ip_of("192.0.2.1"), 24};
    host.addresses[1] = (struct host_address){ip_of("2001:db8::1"), 64};
    must(wire_create(&world->wire, &(struct wire_options){.directions = {{.delay_ns = NS_PER_MS}, {.delay_ns = NS_PER_MS}}}) ==
         0);
    card.wire = world->wire;
    card.sends = WIRE_FORTH;
    card.clock_ns = &world->now_ns;
    memcpy(card.mac, engine_mac, 6);
    must(wire_port_create(&world->card, &card) == 0);
    tcp.port = wire_port_of(world->card);
    must(host_create(&world->host, &host, &tcp.port->limits, 1) == 0);
    tcp.host = world->host;
    must(tcp_engine_create(&world->engine, &engine, &tcp) == 0);
    must(engine_add_channel(world->engine, world->channel, &world->holds) == 0);
    must(engine_listen(world->engine, &address, &(struct engine_listen_options){0}) == 0);
}

struct tcp_world *tcp_world_open(const struct tcp_world_options *options)
{
    struct tcp_world *world = calloc(1, sizeof *world);

    if (!world)
        abort();
    must(options->max_connections <= TCP_WORLD_CONNECTIONS);
    world->now_ns = NS_PER_S;
    world->answers = options->answers;
    open_channel(world, options->arena_bytes);
    open_engine(world, options);
    return world;
}

void tcp_world_close(struct tcp_world *world)
{
    engine_destroy(world->engine);
    wire_port_destroy(world->card);
    host_destroy(world->host);
    wire_destroy(world->wire);
    must(world->holds.total == 0);
    holds_dispose(&world->holds);
    channel_destroy(world->channel);
    for (unsigned i = 0; i < TCP_WORLD_PEERS; i++)
        tcp_peer_destroy(world->peers[i]);
    free(world);
}

/* --- clients --- */

static void send_frame(void *context, const uint8_t *bytes, size_t length)
{
    tcp_world_inject(context, bytes, length);
}

static void on_bytes(void *context, const uint8_t *bytes, size_t length)
{
    struct tcp_world *world = context;

    (void)bytes;
    world->arrived_bytes += length;
}

void tcp_world_connect(struct tcp_world *world, unsigned number)
{
    struct tcp_peer_options options = {.local = {.ip = ip_of("192.0.2.2"), .port = (uint16_t)(40000 + number)},
                                       .remote = {.ip = ip_of("192.0.2.1"), .port = TCP_WORLD_PORT},
                                       .mss = 1460,
                                       .scale = 7,
                                       .permits_sack = true,
                                       .sends_dsack = true,
                                       .buffer_bytes = 1 << 20,
                                       .ack_every = 2,
                                       .ack_delay_ns = 40 * NS_PER_MS,
                                       .initial_sequence = 1000,
                                       .send = send_frame,
                                       .on_bytes = on_bytes,
                                       .context = world};

    memcpy(options.local_mac, peers_mac, 6);
    memcpy(options.remote_mac, engine_mac, 6);
    must(!world->peers[number] && tcp_peer_create(&world->peers[number], &options) == 0);
    tcp_peer_connect(world->peers[number], world->now_ns);
}

/* --- the log --- */

void tcp_world_free(struct tcp_world *world)
{
    uint64_t lowest = holds_lowest(&world->holds);

    if (lowest > world->head + 1)
        lowest = world->head + 1;
    if (lowest > atomic_load(&world->marks.marks[0].sequence))
        channel_mark_set(&world->marks, 0, lowest);
    channel_reclaim(world->channel);
}

int tcp_world_publish(struct tcp_world *world, size_t length)
{
    static uint8_t payload[1 << 16];
    int error;

    must(length <= sizeof payload);
    tcp_world_free(world);
    world->turn_at_ns = world->now_ns; /* the publisher wakes the engine's thread */
    memset(payload, (int)(world->head & 0xff), length);
    error = channel_append(world->channel, world->head + 1, 2, payload, length, world->now_ns);
    if (error != 0)
        return error;
    world->head++;
    for (unsigned i = 0; i < TCP_WORLD_CONNECTIONS; i++) {
        struct connection *connection = world->connections[i];

        if (connection && !connection->dead && !connection->finishing &&
            engine_append_frames(world->engine, connection, 0, world->head, world->head + 1) == 0)
            engine_serve(world->engine, connection);
    }
    return 0;
}

/* --- time --- */

void tcp_world_inject(struct tcp_world *world, const uint8_t *bytes, size_t length)
{
    wire_push(world->wire, WIRE_BACK, bytes, length, world->now_ns);
}

void tcp_world_inject_segment(struct tcp_world *world, const struct wire_packet *segment)
{
    static const struct ip_address unspecified;
    struct wire_packet packet = *segment;
    static uint8_t bytes[WIRE_LONGEST_BYTES];

    memcpy(packet.destination_mac, engine_mac, 6);
    memcpy(packet.source_mac, peers_mac, 6);
    if (ip_address_equal(&packet.source, &unspecified))
        packet.source = ip_of(packet.is_v6 ? "2001:db8::2" : "192.0.2.2");
    packet.destination = ip_of(packet.is_v6 ? "2001:db8::1" : "192.0.2.1");
    packet.destination_port = TCP_WORLD_PORT;
    tcp_world_inject(world, bytes, wire_packet_write(&packet, bytes));
}

static void note_answer(struct tcp_world *world, const uint8_t *bytes, size_t length)
{
    struct wire_packet packet = {0};
    const char *error;
    enum wire_packet_verdict verdict = wire_packet_parse(&packet, bytes, length, &error);

    must(verdict == WIRE_GOOD || verdict == WIRE_OTHER);
    if (verdict == WIRE_OTHER) {
        struct wire_packet_layout layout;

        must(wire_packet_lay_out(&layout, bytes, length));
        must(!layout.is_ip || (wire_packet_ip_sum_is_good(&layout, bytes) && wire_packet_segment_sum_is_good(&layout, bytes)));
        must(length <= sizeof world->other);
        memcpy(world->other, bytes, length);
        world->others++;
        return;
    }
    packet.payload = NULL;
    world->answer = packet;
    world->answers_for_others++;
}

static void deliver(struct tcp_world *world)
{
    static uint8_t bytes[WIRE_LONGEST_BYTES];
    size_t length;

    while ((length = wire_take(world->wire, WIRE_FORTH, world->now_ns, bytes)) > 0) {
        unsigned i = 0;

        while (i < TCP_WORLD_PEERS && (!world->peers[i] || !tcp_peer_input(world->peers[i], bytes, length, world->now_ns)))
            i++;
        if (i == TCP_WORLD_PEERS)
            note_answer(world, bytes, length);
    }
}

static void tick_peers(struct tcp_world *world)
{
    for (unsigned i = 0; i < TCP_WORLD_PEERS; i++)
        if (world->peers[i] && tcp_peer_next_ns(world->peers[i]) <= world->now_ns)
            tcp_peer_tick(world->peers[i], world->now_ns);
}

static bool is_engine_due(const struct tcp_world *world)
{
    return world->turn_at_ns <= world->now_ns || wire_port_next_ns(world->card) <= world->now_ns ||
           tcp_world_engine(world)->queue_first != NO_SLOT || tcp_world_engine(world)->todo.count > 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t next_event_ns(const struct tcp_world *world)
{
    uint64_t next_ns = earlier(world->turn_at_ns, wire_port_next_ns(world->card));

    next_ns = earlier(next_ns, wire_next_in_ns(world->wire, WIRE_FORTH));
    for (unsigned i = 0; i < TCP_WORLD_PEERS; i++)
        if (world->peers[i])
            next_ns = earlier(next_ns, tcp_peer_next_ns(world->peers[i]));
    return next_ns;
}

/* An engine that does not wait wants another turn soon: a thread's turn takes some time. */
static void turn(struct tcp_world *world)
{
    uint64_t deadline_ns;

    if (world->meter)
        world->metered -= world->meter();
    engine_turn(world->engine, CLOCK_NEVER);
    if (world->meter)
        world->metered += world->meter();
    deadline_ns = wire_port_take_deadline_ns(world->card);
    world->turn_at_ns = deadline_ns > world->now_ns ? deadline_ns : world->now_ns + 10 * NS_PER_US;
    tcp_world_free(world);
}

void tcp_world_run(struct tcp_world *world, uint64_t duration_ns)
{
    uint64_t until_ns = world->now_ns + duration_ns;

    while (world->now_ns < until_ns) {
        uint64_t next_ns = next_event_ns(world);

        if (next_ns > world->now_ns)
            world->now_ns = earlier(next_ns, until_ns);
        deliver(world);
        tick_peers(world);
        if (is_engine_due(world))
            turn(world);
        else
            world->now_ns++;
    }
}

void tcp_world_hold_up(struct tcp_world *world, uint64_t duration_ns)
{
    for (uint64_t until_ns = world->now_ns + duration_ns; world->now_ns < until_ns; world->now_ns += 100 * NS_PER_US) {
        wire_port_advance(world->card);
        deliver(world);
        tick_peers(world);
    }
}

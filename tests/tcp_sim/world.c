#include "tcp_sim/world.h"

#include "flashrelay/channel.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES 1024
/* After the last frame everything must have arrived within this time, in calm. */
#define CALM_NS (300 * NS_PER_S)
/* Longest frame on the wire. */
#define PACKET_BYTES 16384
#define MAX_STEPS    20000000

void world_fail(const struct world *world, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "seed %" PRIu64 " failed at %.6f s, step %" PRIu64 ": ", world->plan.seed, (double)world->now_ns / NS_PER_S,
            world->steps);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nrepeat: build/tcp_sim --seed %" PRIu64 "\n", world->plan.seed);
    exit(1);
}

static void must_succeed(struct world *world, int error, const char *what)
{
    if (error != 0)
        world_fail(world, "%s: %s", what, strerror(-error));
}

/* --- life --- */

static bool is_odd(const void *context, const struct channel_frame *frame)
{
    const uint64_t *parity = context;

    /* Frames begin with their sequence number, behind the header. */
    return (frame->bytes[frame->header_length] & 1) == *parity;
}

static const uint64_t parities[2] = {1, 0};

static void open_channel(struct world *world)
{
    const struct channel_options options = {
        .name = "frames", .arena_bytes = world->plan.arena_bytes, .entries = ENTRIES, .selections = 2, .marks = &world->marks};

    channel_marks_init(&world->marks, 1);
    must_succeed(world, channel_create(&world->channel, &options), "channel");
    must_succeed(world, holds_init(&world->holds, ENTRIES), "holds");
    for (unsigned i = 0; i < 2; i++) {
        selection_init(&world->selections[i], 1, is_odd, &parities[i]);
        channel_set_selection(world->channel, (uint16_t)(i + 1), &world->selections[i]);
    }
    channel_reader_join(world->channel, 0);
}

static void open_engine(struct world *world)
{
    const struct wire_options wire = {.directions = {world->plan.faults[0], world->plan.faults[1]}, .seed = world->plan.seed};
    struct host_options host = {.address_count = 2, .mtu = world->plan.mtu};
    const struct engine_options options = {.handler = &member_handler,
                                           .context = world,
                                           .max_connections = world->plan.max_connections,
                                           .sends_per_turn = world->plan.sends_per_turn};
    struct address address;
    struct tcp_options tcp = {.seed = world->plan.seed};

    address_parse(&address, "192.0.2.1:80");
    host.addresses[0] = (struct host_address){.ip = address.ip, .prefix_bits = 24};
    must_succeed(world, ip_address_parse(&host.addresses[1].ip, "2001:db8::1", 11), "address");
    host.addresses[1].prefix_bits = 64;
    must_succeed(world, wire_create(&world->wire, &wire), "wire");
    world->plan.card.wire = world->wire;
    world->plan.card.clock_ns = &world->now_ns;
    must_succeed(world, wire_port_create(&world->card, &world->plan.card), "port");
    tcp.port = wire_port_of(world->card);
    must_succeed(world, host_create(&world->host, &host, &tcp.port->limits, 1), "host");
    tcp.host = world->host;
    must_succeed(world, tcp_engine_create(&world->engine, &options, &tcp), "engine");
    if (engine_add_channel(world->engine, world->channel, &world->holds) != 0)
        world_fail(world, "channel number");
    must_succeed(world, engine_listen(world->engine, &address, &(struct engine_listen_options){0}), "listen");
}

static void close_world(struct world *world)
{
    engine_destroy(world->engine);
    wire_port_destroy(world->card);
    host_destroy(world->host);
    wire_destroy(world->wire);
    holds_dispose(&world->holds);
    channel_destroy(world->channel);
    for (unsigned i = 0; i < world->member_count; i++)
        member_dispose(&world->members[i]);
    for (unsigned i = 0; i < WORLD_FRAMES; i++)
        free(world->frames[i]);
    free(world->members);
    free(world);
}

/* --- the log --- */

static bool overlaps(const struct world *world, uint64_t frame, uint64_t tail)
{
    const uint8_t *begin = world->addresses[frame], *end = begin + world->frame_lengths[frame];

    for (uint64_t other = tail; other <= world->head; other++)
        if (world->addresses[other] < end && begin < world->addresses[other] + world->frame_lengths[other])
            return true;
    return false;
}

/* Overwrites frames that are freed: whoever still reads one sends rubbish. */
static void poison(struct world *world)
{
    struct channel_figures figures;

    channel_figures_get(world->channel, &figures);
    for (; world->poisoned + 1 < figures.tail; world->poisoned++) {
        uint64_t frame = world->poisoned + 1;

        if (!overlaps(world, frame, figures.tail))
            memset((uint8_t *)(uintptr_t)world->addresses[frame], 0xdd, world->frame_lengths[frame]);
    }
}

static void move_mark(struct world *world)
{
    uint64_t lowest = holds_lowest(&world->holds);

    if (lowest > world->head + 1)
        lowest = world->head + 1;
    if (lowest > atomic_load(&world->marks.marks[0].sequence))
        channel_mark_set(&world->marks, 0, lowest);
    channel_reclaim(world->channel);
    poison(world);
}

/* As a shard does: who keeps a frame below the floor is reset. */
static void cut_below_floor(struct world *world)
{
    uint64_t floor = channel_floor(world->channel);

    for (unsigned i = 0; i < world->member_count; i++) {
        struct member *member = &world->members[i];

        if (!member->connection || member->connection->dead || member->connection->held_sequence >= floor)
            continue;
        member->has_acted = true;
        engine_abort(world->engine, member->connection);
    }
}

static bool publish(struct world *world)
{
    uint32_t length = 8 + (uint32_t)random_below(&world->random, world->plan.frame_bytes);
    uint64_t sequence = world->head + 1;
    uint8_t *payload = malloc(length);
    struct channel_frame frame;
    int error;

    if (!payload)
        world_fail(world, "no memory");
    for (uint32_t i = 0; i < length; i++)
        payload[i] = (uint8_t)random_next(&world->random);
    payload[0] = (uint8_t)sequence;
    for (unsigned i = 0; i < 2 && world->noted < sequence; i++)
        selection_note(&world->selections[i], sequence, (sequence & 1) == parities[i]);
    world->noted = sequence;
    error = channel_append(world->channel, sequence, 2, payload, length, world->now_ns);
    free(payload);
    if (error != 0) {
        cut_below_floor(world);
        return false;
    }
    world->head = sequence;
    channel_frame_get(world->channel, sequence, &frame);
    world->addresses[sequence] = frame.bytes;
    world->frame_lengths[sequence] = frame.length;
    world->frames[sequence] = malloc(frame.length);
    if (!world->frames[sequence])
        world_fail(world, "no memory");
    memcpy(world->frames[sequence], frame.bytes, frame.length);
    for (unsigned i = 0; i < world->member_count; i++)
        member_offer(world, &world->members[i], sequence);
    return true;
}

/* --- time --- */

static void deliver(struct world *world)
{
    uint8_t bytes[PACKET_BYTES];
    size_t length;

    while ((length = wire_take(world->wire, WIRE_FORTH, world->now_ns, bytes)) > 0)
        for (unsigned i = 0; i < world->member_count; i++)
            if (tcp_peer_input(world->members[i].peer, bytes, length, world->now_ns))
                break;
}

static void tick_peers(struct world *world)
{
    for (unsigned i = 0; i < world->member_count; i++)
        if (tcp_peer_next_ns(world->members[i].peer) <= world->now_ns)
            tcp_peer_tick(world->members[i].peer, world->now_ns);
}

static bool is_engine_due(const struct world *world)
{
    return world->turn_at_ns <= world->now_ns || wire_port_next_ns(world->card) <= world->now_ns ||
           tcp_of(world->engine)->queue_first != NO_SLOT || tcp_of(world->engine)->todo.count > 0;
}

static void turn(struct world *world)
{
    uint64_t deadline_ns;

    engine_turn(world->engine, CLOCK_NEVER);
    deadline_ns = wire_port_take_deadline_ns(world->card);
    /* An engine that does not wait wants another turn soon: a thread's turn takes some time. */
    world->turn_at_ns = deadline_ns > world->now_ns ? deadline_ns : world->now_ns + 10 * NS_PER_US;
    check_always(world);
    move_mark(world);
}

static uint64_t next_event_ns(const struct world *world)
{
    uint64_t next_ns = world->turn_at_ns, other_ns = wire_port_next_ns(world->card);

    next_ns = other_ns < next_ns ? other_ns : next_ns;
    other_ns = wire_next_in_ns(world->wire, WIRE_FORTH);
    next_ns = other_ns < next_ns ? other_ns : next_ns;
    for (unsigned i = 0; i < world->member_count; i++) {
        other_ns = tcp_peer_next_ns(world->members[i].peer);
        next_ns = other_ns < next_ns ? other_ns : next_ns;
    }
    return next_ns;
}

/* Runs until `until_ns`. */
static void run(struct world *world, uint64_t until_ns)
{
    while (world->now_ns < until_ns) {
        uint64_t next_ns = next_event_ns(world);

        if (next_ns > world->now_ns)
            world->now_ns = next_ns < until_ns ? next_ns : until_ns;
        deliver(world);
        tick_peers(world);
        if (is_engine_due(world))
            turn(world);
        else
            world->now_ns++;
        if (++world->steps > MAX_STEPS)
            world_fail(world, "it does not come to rest");
    }
}

static void calm(struct world *world)
{
    static const struct wire_settings quiet = {.delay_ns = NS_PER_MS};

    world->is_calm = true;
    for (unsigned i = 0; i < 2; i++) {
        struct wire_settings settings = quiet;

        if (world->plan.mtu_falls && i == WIRE_FORTH)
            settings.mtu = 1280;
        wire_set(world->wire, i, &settings);
    }
    for (unsigned i = 0; i < world->member_count; i++)
        member_calm(world, &world->members[i]);
}

static void lower_mtu(struct world *world)
{
    world->plan.faults[WIRE_FORTH].mtu = 1280;
    world->plan.faults[WIRE_FORTH].is_silent_on_mtu = random_below(&world->random, 2) == 0;
    wire_set(world->wire, WIRE_FORTH, &world->plan.faults[WIRE_FORTH]);
}

static void run_frames(struct world *world)
{
    for (unsigned i = 0; i < world->plan.frames; i++) {
        run(world, world->now_ns + 1 + random_below(&world->random, world->plan.publish_ns));
        if (i == world->plan.fault_frames)
            calm(world);
        if (i == world->plan.fault_frames / 2 && world->plan.mtu_falls)
            lower_mtu(world);
        publish(world);
        for (unsigned j = 0; j < world->member_count && !world->is_calm; j++)
            if (random_below(&world->random, 1000) < world->plan.act_permille)
                member_act(world, &world->members[j]);
        if (!world->is_calm && world->member_count < 4 * PLAN_PEERS && random_below(&world->random, 10) == 0)
            member_add(world);
    }
}

/* Ends in order from the engine's side; who does not answer is reset. */
static void end_all(struct world *world)
{
    for (unsigned i = 0; i < world->member_count; i++)
        if (world->members[i].connection)
            engine_finish(world->engine, world->members[i].connection);
    run(world, world->now_ns + 5 * NS_PER_S);
    for (unsigned i = 0; i < world->member_count; i++)
        if (world->members[i].connection)
            engine_abort(world->engine, world->members[i].connection);
    run(world, world->now_ns + 150 * NS_PER_S);
    wire_port_of(world->card)
        ->ops->reclaim(wire_port_of(world->card), true); /* a card may let go of frames only for a publisher */
    run(world, world->now_ns + NS_PER_S);
}

void world_run(uint64_t seed)
{
    struct world *world = calloc(1, sizeof *world);

    if (!world)
        abort();
    plan_draw(&world->plan, seed);
    random_seed(&world->random, seed ^ 0x5eed);
    world->now_ns = NS_PER_S + random_below(&world->random, (uint64_t)1 << 52);
    world->members = calloc((size_t)4 * PLAN_PEERS + 1, sizeof *world->members);
    if (!world->members)
        abort();
    open_channel(world);
    open_engine(world);
    for (unsigned i = 0; i < world->plan.peers; i++)
        member_add(world);
    run_frames(world);
    run(world, world->now_ns + CALM_NS);
    check_all_arrived(world);
    end_all(world);
    check_nothing_left(world);
    close_world(world);
}

#include "support/ignored_events.h"
#include "tcp_sim/world.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t engine_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peers_mac[6] = {2, 0, 0, 0, 0, 2};

static struct world *world_of(void *context)
{
    return context;
}

static struct member *find(struct world *world, const struct address *peer)
{
    for (unsigned i = world->member_count; i > 0; i--)
        if (world->members[i - 1].address.port == peer->port && ip_address_equal(&world->members[i - 1].address.ip, &peer->ip))
            return &world->members[i - 1];
    world_fail(world, "a connection of nobody was accepted");
}

/* --- the client's side --- */

static void send_frame(void *context, const uint8_t *bytes, size_t length)
{
    struct member *member = context;

    wire_push(member->world->wire, WIRE_BACK, bytes, length, member->world->now_ns);
}

/* Compares what arrives with what was handed over. */
static void on_bytes(void *context, const uint8_t *bytes, size_t length)
{
    struct member *member = context;

    while (length > 0) {
        const struct piece *piece = &member->pieces[member->received_piece];
        size_t part;

        if (member->received_piece == member->piece_count)
            world_fail(member->world, "peer %u got %zu bytes that nobody sent", member->number, length);
        part = piece->length - member->received_bytes;
        part = part < length ? part : length;
        if (memcmp(piece->bytes + member->received_bytes, bytes, part) != 0)
            world_fail(member->world, "peer %u got wrong bytes in piece %u (frame %lu), %u bytes into it", member->number,
                       member->received_piece, (unsigned long)piece->frame, member->received_bytes);
        member->received_bytes += (uint32_t)part;
        bytes += part;
        length -= part;
        if (member->received_bytes < piece->length)
            continue;
        member->received_bytes = 0;
        member->received_piece++;
    }
}

void member_add(struct world *world)
{
    struct member *member = &world->members[world->member_count];
    struct tcp_peer_options options;
    bool is_v6 = world->plan.mtu >= 1280 && random_below(&world->random, 3) == 0;
    int error;

    *member = (struct member){.world = world, .number = world->member_count++};
    plan_draw_peer(&world->plan, &world->random, &options);
    address_parse(&options.local, is_v6 ? "[2001:db8::2]:1" : "192.0.2.2:1");
    address_parse(&options.remote, is_v6 ? "[2001:db8::1]:80" : "192.0.2.1:80");
    options.local.port = (uint16_t)(40000 + member->number);
    memcpy(options.local_mac, peers_mac, 6);
    memcpy(options.remote_mac, engine_mac, 6);
    options.send = send_frame;
    options.on_bytes = on_bytes;
    options.context = member;
    member->address = options.local;
    member->selection = (uint16_t)random_below(&world->random, 3);
    error = tcp_peer_create(&member->peer, &options);
    if (error != 0)
        world_fail(world, "no memory");
    tcp_peer_connect(member->peer, world->now_ns);
}

void member_dispose(struct member *member)
{
    for (unsigned i = 0; i < member->piece_count; i++)
        if (member->pieces[i].frame == 0)
            free((void *)(uintptr_t)member->pieces[i].bytes);
    tcp_peer_destroy(member->peer);
}

static void ask(struct world *world, struct member *member)
{
    uint8_t request[REQUEST_BYTES] = {0};

    member->asked_bytes += tcp_peer_write(member->peer, request, sizeof request, world->now_ns);
}

static void stall(struct world *world, struct member *member)
{
    member->is_stalled = !member->is_stalled;
    tcp_peer_set_window(member->peer, member->is_stalled ? (uint32_t)random_below(&world->random, 2) * 700 : 1 << 16,
                        random_below(&world->random, 4) == 0);
}

void member_act(struct world *world, struct member *member)
{
    switch (random_below(&world->random, 12)) {
    case 0:
        member->has_acted = true;
        tcp_peer_finish(member->peer, world->now_ns);
        break;
    case 1:
        member->has_acted = true;
        tcp_peer_reset(member->peer);
        break;
    case 2:
        member->has_acted = true;
        tcp_peer_vanish(member->peer);
        break;
    case 3:
        if (!member->connection)
            break;
        member->has_acted = true;
        engine_abort(world->engine, member->connection);
        break;
    case 4:
        if (!member->connection || member->connection->finishing || member->connection->dead)
            break;
        engine_finish(world->engine, member->connection);
        break;
    case 5:
    case 6:
        stall(world, member);
        break;
    case 7:
        member->is_paused = !member->is_paused;
        if (!member->is_paused && member->connection)
            engine_receive_resume(world->engine, member->connection);
        break;
    default:
        ask(world, member);
        break;
    }
}

void member_calm(struct world *world, struct member *member)
{
    if (member->is_stalled)
        stall(world, member);
    member->is_paused = false;
    if (member->connection)
        engine_receive_resume(world->engine, member->connection);
}

/* --- the owner's side --- */

static void note_piece(struct member *member, const struct piece *piece)
{
    if (member->piece_count == WORLD_PIECES)
        world_fail(member->world, "more pieces than there is room for");
    member->pieces[member->piece_count++] = *piece;
}

static bool is_selected(const struct member *member, uint64_t sequence)
{
    return member->selection == 0 || (sequence & 1) == (member->selection & 1);
}

void member_offer(struct world *world, struct member *member, uint64_t sequence)
{
    int error;

    if (!member->connection || member->connection->finishing || member->connection->dead || sequence > world->head)
        return;
    error = engine_append_frames(world->engine, member->connection, 0, sequence, world->head + 1);
    if (error != 0)
        return; /* all extents are taken: these frames are skipped */
    for (uint64_t frame = sequence; frame <= world->head; frame++)
        if (is_selected(member, frame) && world->frame_lengths[frame] > 0)
            note_piece(member,
                       &(struct piece){.bytes = world->frames[frame], .length = world->frame_lengths[frame], .frame = frame});
    engine_serve(world->engine, member->connection);
}

static void answer(struct world *world, struct member *member)
{
    uint32_t length = (uint32_t)(random_below(&world->random, 10) == 0 ? 1 + random_below(&world->random, 3000)
                                                                       : 1 + random_below(&world->random, 120));
    uint8_t *bytes = malloc(length);

    if (!bytes)
        world_fail(world, "no memory");
    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_next(&world->random);
    if (member->connection->finishing || engine_append_bytes(world->engine, member->connection, bytes, length) != 0) {
        free(bytes);
        return;
    }
    note_piece(member, &(struct piece){.bytes = bytes, .length = length});
    engine_serve(world->engine, member->connection);
}

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct world *world = world_of(context);
    struct member *member = find(world, peer);

    (void)now_ns;
    if (member->connection || member->accepts > 0)
        world_fail(world, "peer %u was accepted twice", member->number);
    member->accepts++;
    member->connection = connection;
    connection->owner = member;
    if (random_below(&world->random, 20) == 0) {
        member->has_acted = true;
        engine_abort(world->engine, connection);
        return;
    }
    engine_set_selection(world->engine, connection, member->selection);
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct world *world = world_of(context);
    struct member *member = connection->owner;

    (void)bytes;
    (void)now_ns;
    if (length == 0) {
        if (!connection->finishing)
            engine_finish(world->engine, connection);
        return 0;
    }
    if (member->is_paused)
        return random_below(&world->random, length + 1) / 2;
    if (random_below(&world->random, 100) == 0) {
        member->has_acted = true;
        engine_abort(world->engine, connection);
        return length;
    }
    member->unanswered_bytes += length;
    for (; member->unanswered_bytes >= REQUEST_BYTES; member->unanswered_bytes -= REQUEST_BYTES)
        answer(world, member);
    return length;
}

/* Every byte that was taken belongs to what was handed over. */
static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    struct world *world = world_of(context);
    struct member *member = connection->owner;

    (void)now_ns;
    (void)progress;
    if (random_below(&world->random, 500) == 0 && !world->is_calm) {
        member->has_acted = true;
        engine_abort(world->engine, connection);
    }
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct world *world = world_of(context);
    struct member *member = connection->owner;

    (void)now_ns;
    if (++member->closes > 1 || member->connection != connection)
        world_fail(world, "the end of peer %u is reported twice", member->number);
    if (connection->pinned_sequence != HOLDS_NONE || connection->held_sequence != HOLDS_NONE)
        world_fail(world, "peer %u is closed and holds a frame", member->number);
    if (error != 0 && world->is_calm && !member->has_acted)
        world_fail(world, "peer %u was given up (%d) in calm", member->number, error);
    if (error != 0)
        member->has_acted = true;
    member->connection = NULL;
}

const struct engine_handler member_handler = {
    .accepted = on_accepted,
    .received = on_received,
    .progressed = on_progressed,
    .closed = on_closed,
    .woken = ignore_woken,
};

#include "engine/tcp/congestion.h"
#include "engine/tcp/recovery.h"
#include "tcp_sim/world.h"

static void check_connection(const struct world *world, const struct member *member)
{
    const struct tcp_engine *engine = tcp_of(world->engine);
    const struct tcp_connection *connection = tcp_connection_of(member->connection);
    uint32_t unacknowledged = tcp_unacknowledged(connection);

    if (unacknowledged > (UINT64_C(1) << connection->largest_window_bits) + 1)
        world_fail(world, "peer %u: %u bytes are in flight, its largest window is below 2^%u", member->number, unacknowledged,
                   connection->largest_window_bits);
    if (connection->base.dead || connection->is_failed)
        return;
    if (unacknowledged > 0 && connection->timer == TIMER_NONE)
        world_fail(world, "peer %u: bytes are in flight and no timer runs", member->number);
    if (connection->timer != TIMER_NONE && connection->near_count + connection->far_count == 0)
        world_fail(world, "peer %u: a timer runs and no wheel knows", member->number);
    if (recovery_in_flight(engine, connection) > (1u << 30))
        world_fail(world, "peer %u: less than nothing is in flight", member->number);
    if (connection->base.blocked && connection->timer == TIMER_NONE)
        world_fail(world, "peer %u: it is blocked and no timer runs", member->number);
}

static void check_peer(const struct world *world, const struct member *member)
{
    const struct tcp_peer_status *status = tcp_peer_status(member->peer);

    if (status->violations > 0)
        world_fail(world, "peer %u got what TCP forbids: %s", member->number, status->violation);
    if (status->corrupt > 0 && world->plan.faults[WIRE_FORTH].corrupt == 0)
        world_fail(world, "peer %u got a wrong checksum over a wire that damages nothing", member->number);
}

/*
 * New bytes are sent only as far as cwnd allows, or three segments more. Nothing is said of the time in which losses are repaired: what is
 * thought to be in the network then changes with each acknowledgement; nor of a tail loss probe, which may go beyond.
 */
static void check_window(const struct world *world, struct member *member)
{
    const struct tcp_connection *connection = tcp_connection_of(member->connection);
    uint32_t in_flight = tcp_unacknowledged(connection), mss = tcp_mss(connection);
    bool is_repairing = connection->recovering || connection->recovery != NO_SLOT || connection->probe_out;
    uint32_t window = connection->cwnd > member->cwnd ? connection->cwnd : member->cwnd;

    if (!is_repairing && !member->was_repairing && connection->nxt != member->nxt && in_flight > window + 3 * mss)
        world_fail(world, "peer %u: %u bytes are in flight, its congestion window has %u", member->number, in_flight, window);
    member->nxt = connection->nxt;
    member->cwnd = connection->cwnd;
    member->was_repairing = is_repairing;
}

/* The peer's own bytes: a connection that was aborted holds nothing, one whose end was reported is forgotten. */
void check_always(struct world *world)
{
    for (unsigned i = 0; i < world->member_count; i++) {
        if (world->members[i].connection) {
            check_connection(world, &world->members[i]);
            check_window(world, &world->members[i]);
        }
        check_peer(world, &world->members[i]);
    }
}

void check_all_arrived(struct world *world)
{
    for (unsigned i = 0; i < world->member_count; i++) {
        const struct member *member = &world->members[i];

        if (!member->has_acted && member->connection && member->received_piece != member->piece_count)
            world_fail(world, "peer %u has got %u of %u pieces, and nothing more comes", i, member->received_piece,
                       member->piece_count);
    }
}

void check_nothing_left(struct world *world)
{
    struct tcp_engine *engine = tcp_of(world->engine);
    uint32_t due;

    if (world->holds.total > 0)
        world_fail(world, "all are gone, and frame %lu is held", (unsigned long)holds_lowest(&world->holds));
    if (slab_used(&engine->slots) > 0 || slab_used(&engine->runs) > 0 || slab_used(&engine->recoveries) > 0)
        world_fail(world, "all are gone, and %u connections, %u runs, %u recoveries are in use", slab_used(&engine->slots),
                   slab_used(&engine->runs), slab_used(&engine->recoveries));
    if (epochs_hold_any(&engine->epochs))
        world_fail(world, "all are gone, and an epoch is not over");
    for (unsigned i = 0; i < world->host->neighbour_count; i++)
        if (atomic_load(&world->host->neighbours[i].users) > 0)
            world_fail(world, "all are gone, and neighbour %u has users", i);
    if (wheel_next(&engine->near_wheel, &due) || wheel_next(&engine->far_wheel, &due) || wheel_next(&engine->pace_wheel, &due) ||
        wheel_next(&engine->ack_wheel, &due))
        world_fail(world, "all are gone, and a timer runs");
    if (counter_read(&engine->counters.unacknowledged_bytes) != 0 || counter_read(&engine->base.counters.open_connections) != 0)
        world_fail(world, "all are gone, and bytes or connections are counted");
    if (wire_port_headers_used(world->card) != engine->output.header_count + wire_port_segments_held(world->card))
        world_fail(world, "header buffers are missing");
}

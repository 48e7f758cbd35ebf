/* Sending from a connection's extents: at once or late, copied or by reference, whole or short. */
#include "engine/sim/sim.h"

#include <assert.h>

#define LARGEST_SEND_BYTES (1u << 20)

/* How many of `length` bytes the peer takes: as many as its window has room for, or fewer at random. */
static size_t choose_taken(struct sim_connection *connection, size_t length)
{
    struct sim_network *network = connection->engine->network;
    size_t room = sim_link_room(connection->link, sim_peer_of(connection));
    size_t taken = length < room ? length : room;

    if (taken > 0 && sim_chance(network, network->options.short_send_permille))
        taken = random_below(&network->random, taken);
    return taken;
}

void sim_connection_update_pin(struct sim_connection *connection)
{
    uint64_t sequence = sim_link_pinned(connection->link, connection->side);

    if (sequence != connection->common.pinned_sequence)
        extents_pin(sim_connection_engine(connection), &connection->common, sequence);
}

static void send_bytes(struct sim_connection *connection, const uint8_t *bytes, size_t length)
{
    const struct extent *extent = &connection->common.extents[0];
    struct sim_network *network = connection->engine->network;
    struct engine_counters *counters = &sim_connection_engine(connection)->counters;
    bool by_reference =
        extent->kind == EXTENT_FRAMES && (network->options.own_tcp || sim_chance(network, network->options.zerocopy_permille));

    sim_link_send(connection->link, sim_peer_of(connection), bytes, length, by_reference ? extent->from : HOLDS_NONE);
    if (by_reference) {
        sim_connection_update_pin(connection);
        counter_add(&counters->zerocopy_sends, !network->options.own_tcp);
    }
    counter_add(&counters->bytes_sent, length);
}

static void count_send(struct engine_counters *counters, size_t length, size_t taken)
{
    counter_add(&counters->sends, 1);
    if (taken < length)
        counter_add(taken > 0 ? &counters->short_sends : &counters->blocked, 1);
}

static void report_progress(struct sim_connection *connection, const struct engine_progress *progress)
{
    struct connection *common = &connection->common;

    sim_handler_of(connection)->progressed(sim_context_of(connection), common, progress, sim_now_of(connection));
    if (common->dead)
        return;
    if (!common->blocked && common->extent_count > 0)
        sim_connection_queue(connection);
    if (common->finishing)
        sim_connection_ready(connection);
}

static size_t take_acknowledged(struct sim_connection *connection)
{
    size_t *acknowledged = &connection->link->acknowledged[connection->side], taken = *acknowledged;

    *acknowledged = 0;
    return taken;
}

/* Completes a send of `offered` bytes, at once or late: the peer takes some of them, which is reported. */
static void complete_send(struct sim_connection *connection, size_t offered)
{
    struct connection *common = &connection->common;
    struct engine_progress progress;
    const uint8_t *bytes = NULL;
    size_t length = extents_next_run(sim_connection_engine(connection), common, offered, &bytes);
    size_t taken = choose_taken(connection, length);

    assert(length == offered);
    if (taken > 0)
        send_bytes(connection, bytes, taken);
    count_send(&sim_connection_engine(connection)->counters, length, taken);
    common->offered_bytes = 0;
    extents_take(sim_connection_engine(connection), common, taken, &progress);
    common->blocked = taken < length;
    if (common->blocked && sim_link_room(connection->link, sim_peer_of(connection)) > 0)
        sim_link_announce_room(connection->link, connection->side);
    progress.acknowledged = take_acknowledged(connection);
    report_progress(connection, &progress);
}

void sim_connection_report_acknowledged(struct sim_connection *connection)
{
    struct engine_progress progress = {.bytes = 0};

    if (connection->common.dead || !(connection->common.blocked || connection->common.finishing))
        return;
    progress.acknowledged = take_acknowledged(connection);
    if (progress.acknowledged > 0)
        report_progress(connection, &progress);
}

void sim_connection_serve(struct sim_connection *connection)
{
    struct connection *common = &connection->common;
    struct sim_network *network = connection->engine->network;
    const uint8_t *bytes;

    if (common->dead || connection->late_send || connection->link->errors[connection->side] != 0)
        return; /* after an outstanding send, its completion queues the connection again */
    size_t length = extents_next_run(sim_connection_engine(connection), common, LARGEST_SEND_BYTES, &bytes);
    if (length == 0) {
        report_progress(connection, &(struct engine_progress){.bytes = 0});
        return;
    }
    common->offered_bytes = (uint32_t)length;
    if (!sim_chance(network, network->options.late_send_permille)) {
        complete_send(connection, length);
        return;
    }
    connection->late_send = true;
    sim_schedule(connection->link, SIM_EVENT_SENT, connection->side, network->now_ns + sim_delay(network));
}

void sim_connection_late_send(struct sim_connection *connection)
{
    if (!connection->late_send_answered)
        return;
    connection->late_send_answered = false;
    connection->late_send = false;
    complete_send(connection, connection->common.offered_bytes);
}

void sim_connection_room(struct sim_connection *connection)
{
    if (!connection->writable)
        return;
    connection->writable = false;
    if (!connection->common.blocked)
        return;
    connection->common.blocked = false;
    sim_connection_queue(connection);
}

/* One end of a link as its engine drives it: its creation and destruction, lending received bytes, ending. */
#include "engine/sim/sim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define POISON 0xdb

struct sim_connection *sim_connection_create(struct sim_engine *engine, struct sim_link *link, uint8_t side)
{
    struct sim_connection *connection = sim_allocate(sizeof *connection);

    extents_init(&connection->common);
    connection->engine = engine;
    connection->link = link;
    connection->side = side;
    link->ends[side] = connection;
    sim_link_reference(link);
    list_append(&engine->connections, &connection->node);
    list_init(&connection->ready_node);
    list_init(&connection->serve_node);
    engine->connection_count++;
    descriptor_budget_spend(engine->common.options.descriptors);
    counter_add(&engine->common.counters.open_connections, 1);
    return connection;
}

void sim_connection_destroy(struct sim_connection *connection)
{
    struct sim_engine *engine = connection->engine;
    struct sim_link *link = connection->link;

    sim_link_read_references(link, connection->side);
    extents_release(&engine->common, &connection->common);
    extents_pin(&engine->common, &connection->common, HOLDS_NONE);
    link->ends[connection->side] = NULL;
    list_remove(&connection->node);
    list_remove(&connection->ready_node);
    list_remove(&connection->serve_node);
    engine->connection_count--;
    descriptor_budget_return(engine->common.options.descriptors);
    counter_subtract(&engine->common.counters.open_connections, 1);
    memset(connection, POISON, sizeof *connection);
    free(connection);
    sim_link_release(link);
}

void sim_connection_ready(struct sim_connection *connection)
{
    if (list_is_empty(&connection->ready_node))
        list_append(&connection->engine->ready, &connection->ready_node);
}

void sim_connection_queue(struct sim_connection *connection)
{
    if (connection->common.queued)
        return;
    connection->common.queued = true;
    list_append(&connection->engine->to_serve, &connection->serve_node);
}

/* --- receiving --- */

static bool may_receive(const struct sim_connection *connection)
{
    return !connection->common.dead && !connection->paused && !connection->link->stalled[connection->side];
}

static struct sim_segment *first_arrived(const struct sim_connection *connection)
{
    struct list_node *node = list_first(&connection->link->streams[connection->side].arrived);

    return node ? LIST_ENTRY(node, struct sim_segment, node) : NULL;
}

static uint32_t choose_delivered_bytes(struct sim_connection *connection, const struct sim_segment *segment)
{
    const struct engine_options *options = &sim_connection_engine(connection)->options;
    struct sim_network *network = connection->engine->network;
    uint32_t length = 1 + (uint32_t)random_below(&network->random, network->options.segment_max_bytes);
    uint32_t left = segment->length - segment->consumed;

    if (options->receive_buffer_bytes > 0 && length > options->receive_buffer_bytes)
        length = options->receive_buffer_bytes;
    return length < left ? length : left;
}

/* Lends a copy that is freed afterwards, so that a sanitizer detects its later use; bytes not consumed stay as the handler changed them. */
static void deliver_copy(struct sim_connection *connection, struct sim_segment *segment)
{
    uint32_t length = choose_delivered_bytes(connection, segment);
    uint8_t *rest = segment->bytes + segment->consumed;
    uint8_t *lent = malloc(length);

    if (!lent)
        abort();
    memcpy(lent, rest, length);
    connection->resumed = false;
    counter_add(&sim_connection_engine(connection)->counters.receives, 1);
    counter_add(&sim_connection_engine(connection)->counters.bytes_received, length);
    size_t consumed = sim_handler_of(connection)
                          ->received(sim_context_of(connection), &connection->common, lent, length, sim_now_of(connection));
    if (!connection->common.dead) {
        assert(consumed <= length);
        memcpy(rest + consumed, lent + consumed, length - consumed);
        sim_link_consume(connection->link, connection->side, segment, (uint32_t)consumed);
        connection->paused = consumed < length && !connection->resumed;
    }
    memset(lent, POISON, length);
    free(lent);
}

static void report_fin(struct sim_connection *connection)
{
    connection->fin_reported = true;
    sim_handler_of(connection)->received(sim_context_of(connection), &connection->common, NULL, 0, sim_now_of(connection));
}

/* At random, other connections have all buffers; the connection is tried again in the next turn. */
static bool finds_no_buffer(struct sim_connection *connection)
{
    struct sim_engine *engine = connection->engine;

    if (!sim_chance(engine->network, engine->network->options.no_receive_buffer_permille))
        return false;
    counter_add(&engine->common.counters.receive_starved, 1);
    engine->starved = true;
    sim_connection_ready(connection);
    return true;
}

static void receive(struct sim_connection *connection)
{
    struct sim_segment *segment;

    while (may_receive(connection) && (segment = first_arrived(connection))) {
        if (finds_no_buffer(connection))
            return;
        deliver_copy(connection, segment);
    }
    if (!may_receive(connection))
        return;
    if (connection->link->streams[connection->side].fin_arrived && !connection->fin_reported)
        report_fin(connection);
}

/* --- ending --- */

/* Calls `closed` if nothing is pinned or outstanding; otherwise the event that ends this makes the connection ready, to try again. */
static void end(struct sim_connection *connection)
{
    sim_connection_update_pin(connection);
    if (connection->common.pinned_sequence != HOLDS_NONE || connection->cancelling ||
        (connection->late_send && !connection->late_send_answered))
        return;
    sim_handler_of(connection)
        ->closed(sim_context_of(connection), &connection->common, connection->error, sim_now_of(connection));
    sim_connection_destroy(connection);
}

static void fail(struct sim_connection *connection, int error)
{
    sim_link_read_references(connection->link, connection->side);
    connection->common.dead = true;
    connection->error = error;
    extents_release(sim_connection_engine(connection), &connection->common);
    end(connection);
}

static void send_fin(struct sim_connection *connection)
{
    const struct connection *common = &connection->common;

    if (!common->finishing || connection->fin_sent || common->extent_count > 0 || connection->late_send)
        return;
    connection->fin_sent = true;
    sim_link_send_fin(connection->link, sim_peer_of(connection));
}

/* False if the connection is freed. */
static bool handle_connecting(struct sim_connection *connection)
{
    int error = connection->link->errors[connection->side];

    if (!connection->connected && error == 0)
        return true;
    connection->connecting = false;
    sim_handler_of(connection)->connected(sim_context_of(connection), &connection->common, error, sim_now_of(connection));
    if (error != 0)
        sim_connection_destroy(connection);
    else if (connection->common.extent_count > 0)
        sim_connection_queue(connection);
    return error == 0;
}

static void handle_open(struct sim_connection *connection)
{
    int error = connection->link->errors[connection->side];

    sim_connection_update_pin(connection);
    sim_connection_report_acknowledged(connection);
    if (connection->common.dead)
        return; /* aborted by its handler: closed follows in the next turn */
    if (error == 0)
        sim_connection_late_send(connection);
    else
        sim_link_forget_arrived(connection->link, connection->side);
    sim_connection_room(connection);
    receive(connection);
    if (connection->common.dead)
        return; /* aborted by its handler: closed follows in the next turn */
    if (error != 0) {
        fail(connection, error);
        return;
    }
    send_fin(connection);
    if (connection->fin_sent && connection->fin_reported && connection->common.pinned_sequence == HOLDS_NONE)
        end(connection);
}

void sim_connection_handle(struct sim_connection *connection)
{
    if (connection->common.dead) {
        if (connection->engine->turn > connection->aborted_in_turn)
            end(connection);
        else
            sim_connection_ready(connection);
        return;
    }
    if (connection->connecting && !handle_connecting(connection))
        return;
    if (!connection->connecting && !connection->common.dead)
        handle_open(connection);
}

/* --- for tests --- */

void sim_connection_stall(struct connection *common, bool stalled)
{
    struct sim_connection *connection = sim_connection_of(common);

    connection->link->stalled[connection->side] = stalled;
    if (!stalled)
        sim_connection_ready(connection);
}

void sim_connection_vanish(struct connection *common)
{
    sim_link_vanish(sim_connection_of(common)->link, sim_connection_of(common)->side);
}

void sim_connection_reset(struct connection *common)
{
    sim_link_fail(sim_connection_of(common)->link);
}

size_t sim_connection_unread_bytes(const struct connection *common)
{
    const struct sim_connection *connection = (const struct sim_connection *)(const void *)common;

    return connection->link->streams[connection->side].unread_bytes;
}

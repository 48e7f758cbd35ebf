/* The invariants: what must hold after every step, whenever all threads sleep, when all is calm, and at the end. */
#include "engine/sim/sim.h"
#include "sim/world.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LONG_ENOUGH_NS (500 * NS_PER_MS) /* for a few ways there and back in any weather */

static uint64_t mark_of(const struct channel_marks *marks, unsigned reader)
{
    return atomic_load(&marks->marks[reader].sequence);
}

static const struct sim_engine *sim_of(const struct engine *engine)
{
    return (const struct sim_engine *)(const void *)engine;
}

/* --- after every step --- */

/* Nothing that a connection may touch is freed, or could be: the shard's mark protects it. Returns the lowest frame held. */
static uint64_t check_connections(const struct sim_world *world, unsigned shard, uint64_t tail)
{
    const struct list_node *connections = &sim_of(world->plane.shard_engines[shard])->connections;
    uint64_t mark = mark_of(&world->plane.target_marks, shard), lowest = HOLDS_NONE;

    for (struct list_node *node = connections->next; node != connections; node = node->next) {
        const struct connection *connection = &LIST_ENTRY(node, struct sim_connection, node)->common;
        uint64_t held = connection->pinned_sequence;

        for (unsigned i = 0; i < connection->extent_count; i++)
            if (connection->extents[i].kind == EXTENT_FRAMES && connection->extents[i].from < held)
                held = connection->extents[i].from;
        if (held != connection->held_sequence)
            fail(world, "a connection holds %" PRIu64 " and says it holds %" PRIu64, held, connection->held_sequence);
        if (held < tail)
            fail(world, "frame %" PRIu64 " is freed (the log begins at %" PRIu64 ") and a connection may touch it", held, tail);
        if (held < mark)
            fail(world, "shard %u's mark is %" PRIu64 " and a connection may touch frame %" PRIu64, shard, mark, held);
        lowest = held < lowest ? held : lowest;
    }
    return lowest;
}

static void check_channel(const struct sim_world *world, const struct channel *channel, const struct channel_marks *marks)
{
    struct channel_figures figures;

    channel_figures_get(channel, &figures);
    if (figures.held_bytes > figures.arena_bytes || figures.frames > world->plan.entries)
        fail(world, "the %s log holds %" PRIu64 " bytes in %" PRIu64 " frames", figures.name, figures.held_bytes, figures.frames);
    if (figures.floor > figures.head + 1 || figures.tail > figures.head + 1)
        fail(world, "the %s log's floor or tail is beyond its head", figures.name);
    for (unsigned i = 0; i < marks->count; i++)
        if (mark_of(marks, i) < figures.tail)
            fail(world, "the %s log is freed up to %" PRIu64 ", above reader %u's mark %" PRIu64, figures.name, figures.tail, i,
                 mark_of(marks, i));
}

static uint64_t sum_of_disconnects(const struct shard_counters *counters)
{
    uint64_t sum = 0;

    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        sum += counter_read(&counters->disconnects[cause]);
    return sum;
}

static void check_shard(const struct sim_world *world, unsigned index)
{
    const struct shard_counters *counters = shard_counters_get(world->plane.shards[index]);
    uint64_t opened = counter_read(&counters->new_connections), closed = counter_read(&counters->closed_connections);
    uint64_t causes = sum_of_disconnects(counters);

    if (closed + counter_read(&counters->active_connections) != opened)
        fail(world, "shard %u has lost count of its connections", index);
    if (causes < closed || causes > opened)
        fail(world, "shard %u has closed %" PRIu64 " of %" PRIu64 " connections for %" PRIu64 " reasons", index, closed, opened,
             causes);
}

void check_step(struct sim_world *world)
{
    const struct plane *plane = &world->plane;
    struct channel_figures figures;

    check_channel(world, plane->target, &plane->target_marks);
    if (plane->source != plane->target)
        check_channel(world, plane->source, &plane->source_marks);
    channel_figures_get(plane->target, &figures);
    for (unsigned i = 0; i < world->plan.shards; i++) {
        check_connections(world, i, figures.tail);
        check_shard(world, i);
    }
    if (limits_connections(plane->limits) > world->plan.instance_limit)
        fail(world, "%u places are taken of %u", limits_connections(plane->limits), world->plan.instance_limit);
}

/* --- when all threads sleep --- */

/* Nothing is held that nobody holds, and nobody waits for what is there. */
static void check_marks_at_rest(const struct sim_world *world, unsigned shard, const struct channel_figures *figures)
{
    uint64_t held = check_connections(world, shard, figures->tail);
    uint64_t mark = mark_of(&world->plane.target_marks, shard);

    if (held != HOLDS_NONE ? mark != held : mark <= figures->head)
        fail(world, "shard %u holds the log from %" PRIu64 " (head %" PRIu64 ") and its connections hold %" PRIu64, shard, mark,
             figures->head, held);
}

/*
 * True if a send that holds what is below the floor waits for its answer, and who takes what it is offered is not cut off; or if a
 * connection was reset and its notification is on its way.
 */
static bool is_in_service(const struct sim_world *world, uint64_t floor)
{
    for (unsigned shard = 0; shard < world->plan.shards; shard++) {
        const struct list_node *connections = &sim_of(world->plane.shard_engines[shard])->connections;
        for (struct list_node *node = connections->next; node != connections; node = node->next) {
            const struct connection *connection = &LIST_ENTRY(node, struct sim_connection, node)->common;
            if ((connection->offered_bytes > 0 || connection->dead) && connection->held_sequence < floor)
                return true;
        }
    }
    return false;
}

/* Whoever keeps a message from its room has been told to let go, and does so at once. */
static void check_nobody_waits(const struct sim_world *world)
{
    bool waiting = channel_is_waiting(world->plane.target) || channel_is_waiting(world->plane.source);
    uint64_t floor = channel_floor(world->plane.target);

    if (waiting && !is_in_service(world, floor))
        fail(world, "all sleep while a message waits for room in the log (floor %" PRIu64 ")", floor);
}

static void check_places_of_hosts(const struct sim_world *world)
{
    uint32_t taken[CLIENT_HOSTS] = {0};

    for (unsigned i = 0; i < world->plan.clients; i++)
        taken[i % CLIENT_HOSTS] += world->clients[i].state == CLIENT_OPEN;
    for (unsigned i = 0; i < CLIENT_HOSTS && world->plan.ip_limit > 0; i++)
        if (taken[i] > world->plan.ip_limit)
            fail(world, "%u subscribers are there from one address, which may have %u", taken[i], world->plan.ip_limit);
}

void check_rest(struct sim_world *world)
{
    const struct plane *plane = &world->plane;
    struct channel_figures figures;
    uint64_t active = 0;

    channel_figures_get(plane->target, &figures);
    for (unsigned i = 0; i < world->plan.shards; i++) {
        check_marks_at_rest(world, i, &figures);
        active += counter_read(&shard_counters_get(plane->shards[i])->active_connections);
    }
    check_nobody_waits(world);
    check_who_is_left(world);
    check_places_of_hosts(world);
    if (limits_connections(plane->limits) != active)
        fail(world, "%u places are taken and %" PRIu64 " subscribers are there", limits_connections(plane->limits), active);
}

/* --- when all is calm --- */

static void check_feed_is_through(const struct sim_world *world, const struct feed *feed)
{
    for (size_t i = feed->next_sent; i < feed->sent_count; i++) {
        const struct content *content = feed->sent[i].content;
        if (!content->published || (!content->shared && content->brought == feed))
            fail(world, "message %zu of builder %u's connection %u never arrived", i, feed->builder->index, feed->number);
    }
}

/* Whoever does wrong is gone by now, and every builder is connected again. */
static void check_builder_is_connected(const struct sim_world *world, const struct sim_builder *builder)
{
    bool open = false;

    for (const struct feed *feed = builder->feeds; feed; feed = feed->next) {
        if (feed->misbehaved && feed->line.connection)
            fail(world, "builder %u's connection %u is bad and not ended", builder->index, feed->number);
        if (feed_is_open(feed))
            check_feed_is_through(world, feed);
        open |= feed_is_open(feed);
    }
    if (!open && world->plan.network.reset_permille_per_s == 0)
        fail(world, "builder %u is not connected again", builder->index);
}

static void check_client_is_served(const struct sim_world *world, const struct client *client)
{
    uint64_t open_ns = sim_world_now(world) - client->opened_ns;

    if (client->misbehaved || (client->mute && world->plan.client_ping))
        fail(world, "subscriber %u does wrong and is not ended", client->index);
    if (client->close_sent || client->close_received || client->left)
        return;
    if (client->next_pong != client->next_ping && open_ns > LONG_ENOUGH_NS)
        fail(world, "subscriber %u has no answer to its last ping", client->index);
    if (world->plan.client_ping && client->pings_received == 0 && open_ns > world->plan.ping_interval_ns + LONG_ENOUGH_NS)
        fail(world, "subscriber %u has not been pinged", client->index);
    if (!record_is_complete(client))
        fail(world, "subscriber %u got %" PRIu64 " frames from %" PRIu64 " on and not the last", client->index, client->received,
             client->first);
}

void check_calm(struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.builders; i++)
        check_builder_is_connected(world, &world->builders[i]);
    if (channel_head(world->plane.target) != channel_head(world->plane.source))
        fail(world, "the encoder is behind");
    for (unsigned i = 0; i < world->plan.clients; i++)
        if (world->clients[i].state == CLIENT_OPEN)
            check_client_is_served(world, &world->clients[i]);
}

/* --- endings --- */

static void check_log_is_empty(const struct sim_world *world, struct channel *channel)
{
    struct channel_figures figures;

    channel_reclaim(channel);
    channel_figures_get(channel, &figures);
    if (figures.tail != figures.head + 1 || figures.held_bytes != 0 || figures.frames != 0)
        fail(world, "all have left and the %s log holds %" PRIu64 " frames", figures.name, figures.frames);
}

static void check_shard_is_empty(const struct sim_world *world, unsigned index)
{
    const struct shard_counters *counters = shard_counters_get(world->plane.shards[index]);
    const struct engine_counters *engine = &world->plane.shard_engines[index]->counters;

    if (counter_read(&counters->active_connections) != 0 || counter_read(&engine->open_connections) != 0 ||
        counter_read(&counters->handshaking) != 0 || counter_read(&counters->blocked_subscribers) != 0)
        fail(world, "all have left and shard %u has %" PRIu64 " subscribers, %" PRIu64 " connections, %" PRIu64 " blocked", index,
             counter_read(&counters->active_connections), counter_read(&engine->open_connections),
             counter_read(&counters->blocked_subscribers));
    if (sum_of_disconnects(counters) != counter_read(&counters->new_connections))
        fail(world, "shard %u: some ended for no reason that was counted", index);
    if (world->draining && !shard_is_drained(world->plane.shards[index]))
        fail(world, "shard %u is not drained", index);
}

void check_end(struct sim_world *world)
{
    const struct plane *plane = &world->plane;
    uint64_t sent = 0, delivered = world->delivered;

    for (unsigned i = 0; i < world->plan.clients; i++)
        if (world->clients[i].line.connection)
            fail(world, "client %u has left and its connection has not ended", i);
    for (unsigned i = 0; i < world->plan.shards; i++) {
        check_shard_is_empty(world, i);
        sent += counter_read(&shard_counters_get(plane->shards[i])->sent_messages);
    }
    if (delivered > sent)
        fail(world, "%" PRIu64 " messages were delivered and %" PRIu64 " counted", delivered, sent);
    if (limits_connections(plane->limits) != 0)
        fail(world, "all have left and %u places are taken", limits_connections(plane->limits));
    if (!ingest_is_stopped(plane->ingest))
        fail(world, "the ingest has not stopped");
    check_log_is_empty(world, plane->target);
    check_log_is_empty(world, plane->source);
}

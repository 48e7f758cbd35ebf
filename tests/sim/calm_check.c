/* Checks that in the calm phase everything has arrived and connections of misbehaving peers are ended, and that at the end nothing is left. */
#include "engine/sim/sim.h"
#include "sim/world.h"

#include <inttypes.h>

#define LONG_ENOUGH_NS (500 * NS_PER_MS) /* enough for a few round trips on any simulated network */

/* --- calm --- */

static void check_feed_is_through(const struct sim_world *world, const struct feed *feed)
{
    for (size_t i = feed->next_sent; i < feed->sent_count; i++) {
        const struct content *content = feed->sent[i].content;
        if (content->is_too_big)
            continue;
        if (!content->published || (!content->shared && content->brought == feed))
            fail(world, "message %zu of builder %u's connection %u never arrived", i, feed->builder->index, feed->number);
    }
}

/* By now the relay has ended connections on which the builder misbehaved, and the builder is connected again. */
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

    bool is_wide = world->plan.network.window_bytes > 1 << 20; /* then a flood arrives all at once, and exceeds the limit */

    if (client->misbehaved || (client->mute && world->plan.client_ping) || (client->flooded && is_wide))
        fail(world, "subscriber %u does wrong and is not ended", client->index);
    if (client->close_sent || client->close_received || client->left)
        return;
    if (client->next_pong != client->next_ping && open_ns > LONG_ENOUGH_NS)
        fail(world, "subscriber %u has no answer to its last ping", client->index);
    if (world->plan.client_ping && client->pings_received == 0 && open_ns > world->plan.ping_interval_ns + LONG_ENOUGH_NS)
        fail(world, "subscriber %u has not been pinged", client->index);
    if (!record_is_complete(client))
        fail(world, "subscriber %u got %" PRIu64 " frames from %" PRIu64 " on and not the last", client->index,
             client->stream.received, client->stream.first);
}

/* By now the relay has ended subscribers that vanished, as they did not answer its pings. */
static void check_vanished_are_missed(const struct sim_world *world, unsigned shard)
{
    const struct sim_engine *engine = (const struct sim_engine *)(const void *)world->plane.shard_engines[shard];

    for (const struct list_node *node = engine->connections.next; node != &engine->connections; node = node->next) {
        const struct sim_connection *connection = LIST_ENTRY(node, const struct sim_connection, node);
        if (connection->link->vanished[sim_peer_of(connection)])
            fail(world, "shard %u keeps a subscriber that vanished", shard);
    }
}

void check_calm(const struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.builders; i++)
        check_builder_is_connected(world, &world->builders[i]);
    if (channel_head(world->plane.target) != channel_head(world->plane.source))
        fail(world, "the encoder is behind");
    for (unsigned i = 0; i < world->plan.clients; i++)
        if (world->clients[i].state == CLIENT_OPEN)
            check_client_is_served(world, &world->clients[i]);
    for (unsigned i = 0; i < world->plan.shards && world->plan.client_ping; i++)
        check_vanished_are_missed(world, i);
}

/* --- the end --- */

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
    uint64_t causes = 0;
    const struct engine_counters *engine = &world->plane.shard_engines[index]->counters;

    if (counter_read(&counters->active_connections) != 0 || counter_read(&engine->open_connections) != 0 ||
        counter_read(&counters->handshaking) != 0 || counter_read(&counters->blocked_subscribers) != 0)
        fail(world, "all have left and shard %u has %" PRIu64 " subscribers, %" PRIu64 " connections, %" PRIu64 " blocked", index,
             counter_read(&counters->active_connections), counter_read(&engine->open_connections),
             counter_read(&counters->blocked_subscribers));
    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        causes += counter_read(&counters->disconnects[cause]);
    if (causes != counter_read(&counters->new_connections))
        fail(world, "shard %u: some ended for no reason that was counted", index);
    if (world->draining && !shard_is_drained(world->plane.shards[index]))
        fail(world, "shard %u is not drained", index);
}

void check_end(const struct sim_world *world)
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
    if (atomic_load(&plane->descriptors.left) != (int64_t)world->plan.access.descriptors)
        fail(world, "all have left and %d descriptors are there of %u", (int)atomic_load(&plane->descriptors.left),
             world->plan.access.descriptors);
    if (!ingest_is_stopped(plane->ingest))
        fail(world, "the ingest has not stopped");
    check_log_is_empty(world, plane->target);
    check_log_is_empty(world, plane->source);
}

/* The invariants: what must hold after every step, and whenever all threads sleep. */
#include "engine/sim/sim.h"
#include "shard/subscriber.h"
#include "sim/world.h"

#include <inttypes.h>

static uint64_t mark_of(const struct channel_marks *marks, unsigned reader)
{
    return atomic_load(&marks->marks[reader].sequence);
}

static uint64_t shards_mark(const struct followed *followed, unsigned shard)
{
    return mark_of(followed->marks, followed->first_reader + shard);
}

static const struct list_node *connections_of(const struct sim_world *world, unsigned shard)
{
    const struct sim_engine *engine = (const struct sim_engine *)(const void *)world->plane.shard_engines[shard];

    return &engine->connections;
}

static const struct connection *connection_at(const struct list_node *node)
{
    return &LIST_ENTRY(node, const struct sim_connection, node)->common;
}

/* --- connections --- */

static uint64_t lowest_held(const struct sim_world *world, const struct connection *connection)
{
    uint64_t held = connection->pinned_sequence;

    for (unsigned i = 0; i < connection->extent_count; i++)
        if (connection->extents[i].kind == EXTENT_FRAMES && connection->extents[i].from < held)
            held = connection->extents[i].from;
    if (held != connection->held_sequence)
        fail(world, "a connection holds %" PRIu64 " and says it holds %" PRIu64, held, connection->held_sequence);
    return held;
}

/* The shard's mark must protect every frame that a connection may touch. */
static void check_mark_protects(const struct sim_world *world, unsigned shard, uint16_t channel, uint64_t held)
{
    uint64_t mark = shards_mark(&world->plane.followed[channel], shard);

    if (held < mark)
        fail(world, "shard %u's mark is %" PRIu64 " and a connection may touch frame %" PRIu64, shard, mark, held);
}

static void check_connections(struct sim_world *world, unsigned shard)
{
    const struct list_node *connections = connections_of(world, shard);
    uint64_t *lowest = world->held.lowest[shard];

    for (unsigned i = 0; i < world->plane.followed_count; i++)
        lowest[i] = HOLDS_NONE;
    for (const struct list_node *node = connections->next; node != connections; node = node->next) {
        const struct connection *connection = connection_at(node);
        uint64_t held = lowest_held(world, connection);

        if (held == HOLDS_NONE)
            continue;
        check_mark_protects(world, shard, connection->channel, held);
        if (held < lowest[connection->channel])
            lowest[connection->channel] = held;
    }
}

/* --- the log --- */

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

static void check_nothing_held_is_freed(const struct sim_world *world, unsigned number)
{
    struct channel_figures figures;

    channel_figures_get(world->plane.followed[number].channel, &figures);
    for (unsigned i = 0; i < world->plan.shards; i++)
        if (world->held.lowest[i][number] != 0 && world->held.lowest[i][number] < figures.tail)
            fail(world, "frame %" PRIu64 " is freed (the log begins at %" PRIu64 ") and a connection may touch it",
                 world->held.lowest[i][number], figures.tail);
}

static void check_log(const struct sim_world *world)
{
    const struct plane *plane = &world->plane;

    check_channel(world, plane->target, &plane->target_marks);
    if (plane->source != plane->target)
        check_channel(world, plane->source, &plane->source_marks);
    for (unsigned i = 0; i < plane->followed_count; i++)
        check_nothing_held_is_freed(world, i);
}

/* --- counts --- */

static void check_counts(const struct sim_world *world, unsigned shard)
{
    const struct shard_counters *counters = shard_counters_get(world->plane.shards[shard]);
    uint64_t opened = counter_read(&counters->new_connections), closed = counter_read(&counters->closed_connections);
    uint64_t causes = 0;

    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        causes += counter_read(&counters->disconnects[cause]);
    if (closed + counter_read(&counters->active_connections) != opened)
        fail(world, "shard %u has lost count of its connections", shard);
    if (causes < closed || causes > opened)
        fail(world, "shard %u has closed %" PRIu64 " of %" PRIu64 " connections for %" PRIu64 " reasons", shard, closed, opened,
             causes);
}

void check_step(struct sim_world *world, unsigned thread)
{
    const struct access_plan *access = &world->plan.access;

    if (thread >= THREAD_SHARDS) {
        check_connections(world, thread - THREAD_SHARDS);
        check_counts(world, thread - THREAD_SHARDS);
    }
    check_log(world);
    if (limits_connections(world->plane.limits) > access->instance_limit)
        fail(world, "%u places are taken of %u", limits_connections(world->plane.limits), access->instance_limit);
}

/* --- when all threads sleep --- */

/* A sleeping shard's mark must protect no frame that none of its connections holds. */
static void check_mark_is_exact(const struct sim_world *world, unsigned shard, unsigned number)
{
    const struct followed *followed = &world->plane.followed[number];
    uint64_t mark = shards_mark(followed, shard), head = channel_head(followed->channel);
    uint64_t held = world->held.lowest[shard][number];

    if (held == 0)
        return;
    if (held != HOLDS_NONE ? mark != held : mark <= head)
        fail(world, "shard %u holds the log from %" PRIu64 " (head %" PRIu64 ") and its connections hold %" PRIu64, shard, mark,
             head, held);
}

/*
 * True if a connection holds a frame below the floor and need not let go of it yet: because it has a send without an answer so far (a
 * subscriber that takes what it is offered is not cut off), or because it was reset and its notification is on its way.
 */
static bool is_in_service(const struct sim_world *world, unsigned number)
{
    uint64_t floor = channel_floor(world->plane.followed[number].channel);

    for (unsigned shard = 0; shard < world->plan.shards; shard++) {
        const struct list_node *connections = connections_of(world, shard);
        for (const struct list_node *node = connections->next; node != connections; node = node->next) {
            const struct connection *connection = connection_at(node);
            if ((connection->offered_bytes > 0 || connection->dead) && connection->channel == number &&
                connection->held_sequence < floor)
                return true;
        }
    }
    return false;
}

/* When all sleep, no message may wait for room in a log: connections that hold frames below the floor let go of them at once. Also if it is
 * the encoder that is held up. */
static void check_nobody_waits(const struct sim_world *world)
{
    bool waits = channel_is_waiting(world->plane.target) || channel_is_waiting(world->plane.source);

    for (unsigned i = 0; i < world->plane.followed_count; i++)
        if (waits && is_in_service(world, i))
            return;
    if (waits)
        fail(world, "all sleep while a message waits for room in the log (floor %" PRIu64 ")",
             channel_floor(world->plane.target));
}

/* --- places --- */

struct places {
    uint32_t by_address[PLACES], by_app[MAX_APPS];
};

/* The shard must attribute the right address and app to a subscriber. */
static void check_identity(const struct sim_world *world, const struct subscriber *subscriber, const struct client *client)
{
    struct ip_address ip = request_place(client->place);

    if (!ip_address_equal(&subscriber->request.ip, &ip) || subscriber->request.app != client->app)
        fail(world, "subscriber %u is taken for somebody else", client->index);
}

static void count_place(struct places *places, const struct subscriber *subscriber)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct ip_address ip = request_place(i);
        places->by_address[i] += ip_address_equal(&subscriber->request.ip, &ip);
    }
    if (subscriber->request.app != ADMISSION_NO_APP)
        places->by_app[subscriber->request.app]++;
}

static void count_places(const struct sim_world *world, struct places *places)
{
    for (unsigned shard = 0; shard < world->plan.shards; shard++) {
        const struct list_node *connections = connections_of(world, shard);
        for (const struct list_node *node = connections->next; node != connections; node = node->next) {
            const struct subscriber *subscriber = connection_at(node)->owner;
            const struct client *client = witness_client_of(connection_at(node));
            if (!subscriber || !subscriber->admitted)
                continue;
            count_place(places, subscriber);
            if (client && client->state == CLIENT_OPEN)
                check_identity(world, subscriber, client);
        }
    }
}

static void check_places(const struct sim_world *world)
{
    const struct access_plan *access = &world->plan.access;
    struct places places = {0};

    count_places(world, &places);
    for (unsigned i = 0; i < PLACES && access->ip_limit > 0; i++)
        if (places.by_address[i] > access->ip_limit)
            fail(world, "%u subscribers are there from one address, which may have %u", places.by_address[i], access->ip_limit);
    for (unsigned i = 0; i < access->apps; i++)
        if (places.by_app[i] > access->app_limit)
            fail(world, "%u subscribers are there of one app, which may have %u", places.by_app[i], access->app_limit);
}

void check_all_asleep(struct sim_world *world)
{
    const struct plane *plane = &world->plane;
    uint64_t active = 0;

    for (unsigned i = 0; i < world->plan.shards; i++) {
        for (unsigned number = 0; number < plane->followed_count; number++)
            check_mark_is_exact(world, i, number);
        active += counter_read(&shard_counters_get(plane->shards[i])->active_connections);
    }
    check_nobody_waits(world);
    check_nobody_is_overdue(world);
    if (world->plan.access.has_limits || world->plan.access.is_forwarded)
        check_places(world);
    if (limits_connections(plane->limits) != active)
        fail(world, "%u places are taken and %" PRIu64 " subscribers are there", limits_connections(plane->limits), active);
}

/*
 * The lag policy, judged from outside: a subscriber lags from the moment when its socket takes no more, by the frames published since;
 * beyond the limit, or after too long without a byte, it must be cut off, and nobody else may be.
 */
#include "engine/sim/sim.h"
#include "sim/world.h"

#include <inttypes.h>

/* The relay's end of the subscriber's connection, as long as it can be judged; NULL otherwise. */
static const struct connection *judged_end(const struct client *client)
{
    const struct connection *end = sim_line_other_end(&client->line);

    return end && !end->dead && !end->finishing ? end : NULL;
}

static unsigned shard_of(const struct sim_world *world, const struct connection *end)
{
    const struct sim_connection *connection = (const struct sim_connection *)(const void *)end;
    unsigned shard = 0;

    while (&connection->engine->common != world->plane.shard_engines[shard])
        shard++;
    return shard;
}

static uint64_t unsent_from(const struct connection *end)
{
    return engine_next_untaken(end);
}

static uint64_t offered_to(const struct connection *end)
{
    uint64_t to = 0;

    for (unsigned i = 0; i < end->extent_count; i++)
        if (end->extents[i].kind == EXTENT_FRAMES)
            to = end->extents[i].from + end->extents[i].count;
    return to;
}

static void note_taken(const struct sim_world *world, struct client *client, const struct connection *end)
{
    uint64_t taken_at = unsent_from(end) * 65536 + end->taken_bytes;

    if (taken_at != client->taken_at)
        client->took_ns = sim_world_now(world);
    client->taken_at = taken_at;
}

static void note_finishing(const struct sim_world *world, struct client *client)
{
    const struct connection *end = sim_line_other_end(&client->line);

    if (!end || !end->finishing || end->dead)
        client->finishing_since_ns = 0;
    else if (client->finishing_since_ns == 0)
        client->finishing_since_ns = sim_world_now(world);
}

static void note(struct sim_world *world, struct client *client)
{
    const struct connection *end = judged_end(client);
    struct refusal now = {.head = channel_head(world->plane.target), .ns = sim_world_now(world)};

    note_finishing(world, client);
    client->was_blocked |= end && end->blocked;
    if (!end || (end->extent_count == 0 && !end->blocked)) {
        client->behind = false;
        return;
    }
    note_taken(world, client, end);
    if (!client->behind && end->blocked) {
        client->behind = true;
        client->refused_first = client->refused_surely = now;
        client->took_ns = now.ns;
        client->may_have_kept_up = false;
    } else if (client->behind) {
        client->may_have_kept_up |= unsent_from(end) >= client->offered_to;
        if (client->may_have_kept_up)
            client->refused_surely = now;
        client->may_have_kept_up &= !end->blocked;
    }
    client->offered_to = offered_to(end);
}

void lag_note(struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.clients; i++)
        note(world, &world->clients[i]);
}

/* Frames published since it kept up last. */
static uint64_t lag_of(const struct sim_world *world, const struct refusal *since, const struct connection *end)
{
    uint64_t head = channel_head(world->plane.target), from = since->head, unsent = unsent_from(end);

    if (unsent != UINT64_MAX && unsent - 1 > from)
        from = unsent - 1;
    return head > from ? head - from : 0;
}

static bool is_too_far_behind(const struct sim_world *world, const struct refusal *since, const struct connection *end)
{
    return lag_of(world, since, end) > world->plan.message_buffer_size && sim_world_now(world) >= since->ns + SHARD_LAG_GRACE_NS;
}

static bool took_nothing_for_too_long(const struct sim_world *world, const struct client *client)
{
    return client->behind && world->plan.send_timeout_ns > 0 &&
           sim_world_now(world) >= client->took_ns + world->plan.send_timeout_ns;
}

static uint64_t cut_off(const struct sim_world *world, unsigned shard, enum disconnect_cause cause)
{
    return counter_read(&shard_counters_get(world->plane.shards[shard])->disconnects[cause]);
}

void lag_expect(struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.shards; i++) {
        bool is_above = atomic_load(&world->plane.target_marks.marks[i].sequence) >= channel_floor(world->plane.target);
        world->expected[i] = (struct verdicts){.lagged = cut_off(world, i, DISCONNECT_LAGGED),
                                               .log_floor = is_above ? cut_off(world, i, DISCONNECT_LOG_FLOOR) : UINT64_MAX,
                                               .send_timeout = cut_off(world, i, DISCONNECT_SEND_TIMEOUT)};
    }
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = &world->clients[i];
        const struct connection *end = judged_end(client);
        client->may_be_cut_if_it_refuses = false;
        if (!end || !client->behind)
            continue;
        client->shard = shard_of(world, end);
        bool far = is_too_far_behind(world, &client->refused_first, end);
        world->expected[client->shard].lagged += far && end->blocked;
        client->may_be_cut_if_it_refuses = far && !end->blocked;
        world->expected[client->shard].send_timeout += took_nothing_for_too_long(world, client);
    }
}

/* Who waits to be served may be cut off as lagging only if it refuses what it is then offered. */
static unsigned refused_in_this_turn(const struct sim_world *world, unsigned shard)
{
    unsigned count = 0;

    for (unsigned i = 0; i < world->plan.clients; i++) {
        const struct client *client = &world->clients[i];
        const struct connection *end = sim_line_other_end(&client->line);
        count += client->may_be_cut_if_it_refuses && client->shard == shard && (!end || end->dead || end->blocked);
    }
    return count;
}

void lag_check_cuts(const struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.shards; i++) {
        const struct verdicts *expected = &world->expected[i];
        if (cut_off(world, i, DISCONNECT_LAGGED) > expected->lagged + refused_in_this_turn(world, i))
            fail(world, "shard %u cut off a subscriber as lagging that does not lag", i);
        if (cut_off(world, i, DISCONNECT_LOG_FLOOR) > expected->log_floor)
            fail(world, "shard %u cut off a subscriber below the floor when nothing was", i);
        if (cut_off(world, i, DISCONNECT_SEND_TIMEOUT) > expected->send_timeout)
            fail(world, "shard %u cut off a subscriber for taking nothing too early", i);
    }
}

void lag_check_rest(const struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.clients; i++) {
        const struct client *client = &world->clients[i];
        const struct connection *end = judged_end(client);
        if (client->finishing_since_ns != 0 && sim_world_now(world) > client->finishing_since_ns + SHARD_CLOSE_TIMEOUT_NS)
            fail(world, "client %u's connection is being ended for too long", i);
        if (!end || !end->blocked || !client->behind || client->state != CLIENT_OPEN)
            continue;
        if (is_too_far_behind(world, &client->refused_surely, end))
            fail(world, "subscriber %u is %" PRIu64 " frames behind and not cut off", i,
                 lag_of(world, &client->refused_surely, end));
        if (took_nothing_for_too_long(world, client))
            fail(world, "subscriber %u has taken nothing for too long and is not cut off", i);
    }
}

/* A simulated builder: sends the flashblocks that it is given on all of its connections, and misbehaves now and then. */
#include "sim/world.h"

#include <stdlib.h>

#define ACT_NS           (20 * NS_PER_MS) /* on average */
#define PRIVATE_PERMILLE 30
#define FEWEST_IN_FLOOD  500
#define MOST_IN_FLOOD    3000
#define RESEND           3 /* flashblocks that are sent again on a new connection */

void sim_builder_create(struct sim_world *world, unsigned index)
{
    struct sim_builder *builder = &world->builders[index];
    struct ip_address ip = {{[10] = 0xff, [11] = 0xff, 10, 1, 0, (uint8_t)(index + 1)}};
    struct address address = {.ip = ip, .port = BUILDER_PORT};

    builder->world = world;
    builder->index = index;
    random_seed(&builder->random, random_next(&world->random));
    builder->engine = sim_line_engine_create(world, ip, builder);
    if (engine_listen(builder->engine, &address, &(struct engine_listen_options){.backlog = 8}) != 0)
        abort();
    builder->act_ns = sim_world_now(world) + between(&builder->random, 0, 2 * ACT_NS);
}

void sim_builder_destroy(struct sim_builder *builder)
{
    while (builder->feeds) {
        struct feed *feed = builder->feeds;
        builder->feeds = feed->next;
        feed_destroy(feed);
    }
    free(builder->pending);
}

void sim_builder_give(struct sim_builder *builder, struct content *content, uint64_t due_ns)
{
    if (builder->pending_count == builder->pending_capacity) {
        builder->pending_capacity = 2 * builder->pending_capacity + 16;
        builder->pending = realloc(builder->pending, builder->pending_capacity * sizeof *builder->pending);
        if (!builder->pending)
            abort();
    }
    /* A builder sends flashblocks in the order in which they were made. */
    if (builder->pending_count > 0 && builder->pending[builder->pending_count - 1].due_ns > due_ns)
        due_ns = builder->pending[builder->pending_count - 1].due_ns;
    builder->pending[builder->pending_count++] = (struct pending){.content = content, .due_ns = due_ns};
}

uint64_t sim_builder_deadline(const struct sim_builder *builder)
{
    uint64_t deadline = builder->act_ns;

    if (builder->unstall_ns != 0 && builder->unstall_ns < deadline)
        deadline = builder->unstall_ns;
    if (builder->pending_count > 0 && builder->pending[0].due_ns < deadline)
        deadline = builder->pending[0].due_ns;
    return deadline;
}

static bool has_sent(const struct feed *feed, const struct content *content)
{
    for (size_t i = 0; i < feed->sent_count; i++)
        if (feed->sent[i].content == content)
            return true;
    return false;
}

static void send_to_all(struct sim_builder *builder, struct content *content)
{
    for (struct feed *feed = builder->feeds; feed; feed = feed->next)
        if (feed_is_open(feed) && !(content->shared && has_sent(feed, content)))
            feed_send(feed, content);
}

static void send_pending(struct sim_builder *builder)
{
    size_t sent = 0;

    while (sent < builder->pending_count && builder->pending[sent].due_ns <= sim_world_now(builder->world))
        send_to_all(builder, builder->pending[sent++].content);
    builder->pending_count -= sent;
    for (size_t i = 0; i < builder->pending_count; i++)
        builder->pending[i] = builder->pending[i + sent];
}

static void unstall(struct sim_builder *builder)
{
    builder->unstall_ns = 0;
    for (struct feed *feed = builder->feeds; feed; feed = feed->next)
        if (feed->line.connection)
            sim_connection_stall(feed->line.connection, false);
}

/* The newest connection, if a message that only this builder sends can be sent there now; else NULL. */
static struct feed *feed_for_own(const struct sim_builder *builder)
{
    struct feed *feed = builder->feeds;

    return feed && feed_is_open(feed) && builder->world->content_count < MAX_CONTENTS ? feed : NULL;
}

/* Sends a message that only this builder sends, once or twice, on one connection. The relay forwards what the same connection repeats. */
static void send_private(struct sim_builder *builder)
{
    struct sim_world *world = builder->world;
    struct feed *feed = feed_for_own(builder);

    if (!feed)
        return;
    bool empty = world->plan.builders == 1 && random_below(&builder->random, 4) == 0;
    struct content *content = empty ? world->empty : content_create(world, false);
    for (uint64_t times = between(&builder->random, 1, 2); times > 0; times--)
        feed_send(feed, content);
}

/* Sends one message FEWEST_IN_FLOOD to MOST_IN_FLOOD times at once; the relay forwards each. */
static void flood(struct sim_builder *builder)
{
    struct sim_world *world = builder->world;
    struct feed *feed = feed_for_own(builder);

    if (!feed)
        return;
    bool empty = world->plan.builders == 1 && random_below(&builder->random, 2) == 0;
    struct content *content = empty ? world->empty : content_create_tiny(world);
    uint64_t count = between(&builder->random, FEWEST_IN_FLOOD, MOST_IN_FLOOD);
    trace(world, "builder %u: floods with %llu messages", builder->index, (unsigned long long)count);
    world->flood += count;
    feed->flooded = true;
    while (count-- > 0)
        feed_send(feed, content);
}

static void throw_bomb(struct sim_builder *builder)
{
    struct sim_world *world = builder->world;
    struct feed *feed = feed_for_own(builder);

    if (!feed)
        return;
    struct content *content = content_create_bomb(world, random_below(&builder->random, 4) == 0);
    trace(world, "builder %u: a message that is %zu bytes of JSON", builder->index, content->length);
    content_pack(content);
    feed_send(feed, content);
}

/* Sends the newest flashblocks again on the next connection, as real builders do: they may have been lost between the two connections. */
static void send_again(struct sim_builder *builder)
{
    struct sim_world *world = builder->world;
    uint64_t due_ns = sim_world_now(world) + between(&builder->random, 500 * NS_PER_MS, 1500 * NS_PER_MS);

    for (size_t i = world->content_count > RESEND ? world->content_count - RESEND : 0; i < world->content_count; i++)
        if (world->contents[i]->shared)
            sim_builder_give(builder, world->contents[i], due_ns);
}

static void act_up(struct sim_builder *builder)
{
    struct feed *feed = builder->feeds;

    if (random_below(&builder->random, 8) == 0) {
        builder->refusals = (unsigned)random_below(&builder->random, 3);
        return;
    }
    if (!feed || !feed_is_open(feed))
        return;
    feed_misbehave(feed);
    if (random_below(&builder->random, 2) == 0)
        send_again(builder);
}

void sim_builder_act(struct sim_builder *builder)
{
    struct sim_world *world = builder->world;
    uint64_t now_ns = sim_world_now(world);

    if (builder->unstall_ns != 0 && builder->unstall_ns <= now_ns)
        unstall(builder);
    send_pending(builder);
    if (builder->act_ns > now_ns)
        return;
    builder->act_ns = world->phase == PHASE_FLOW ? now_ns + between(&builder->random, 1, 2 * ACT_NS) : CLOCK_NEVER;
    if (world->phase != PHASE_FLOW)
        return;
    if (chance(&builder->random, PRIVATE_PERMILLE))
        send_private(builder);
    if (chance(&builder->random, world->plan.builder.flood_permille))
        flood(builder);
    if (chance(&builder->random, world->plan.builder.bomb_permille))
        throw_bomb(builder);
    if (chance(&builder->random, world->plan.builder.fault_permille))
        act_up(builder);
}

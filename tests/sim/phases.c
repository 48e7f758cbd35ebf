/* The phases of a run: flashblocks are made, then faults end and everything calms down, then the run ends. */
#include "engine/sim/sim.h"
#include "sim/world.h"

#define CALM_NS            (9 * NS_PER_S)   /* longer than all time-outs and a few attempts to connect */
#define FLOODED_MESSAGE_NS (10 * NS_PER_MS) /* per message of a flood, to pass through a log of a few frames */
#define END_NS             (12 * NS_PER_S)  /* handshakes, closes and the drain take much less */

/* --- flashblocks --- */

static void make_flashblock(struct sim_world *world)
{
    struct content *content = content_create(world, true);

    world->produced++;
    for (unsigned i = 0; i < world->plan.builders; i++)
        if (world->plan.builders == 1 || !chance(&world->random, 30)) /* some builder misses one now and then */
            sim_builder_give(&world->builders[i], content, sim_world_now(world) + between(&world->random, 0, 20 * NS_PER_MS));
    bool burst = chance(&world->random, world->plan.burst_permille);
    world->next_flashblock_ns = sim_world_now(world) + (burst ? 0 : between(&world->random, 1, 2 * world->plan.interval_ns));
}

/* --- phases --- */

static void calm_down(struct sim_world *world)
{
    trace(world, "--- calm");
    machine_recover(world);
    world->phase = PHASE_CALM;
    world->phase_end_ns = sim_world_now(world) + CALM_NS + world->flood * FLOODED_MESSAGE_NS;
    world->network->options.late_notification_permille = 0;
    for (unsigned i = 0; i < world->plan.clients; i++) {
        struct client *client = &world->clients[i];
        if (client->line.connection && client->unstall_ns != 0)
            client_stall(client, false);
    }
    for (unsigned i = 0; i < world->plan.builders; i++)
        world->builders[i].refusals = 0;
}

/* Resets connections to peers that vanished and that the relay has not given up, as if the network had noticed. */
static void reset_vanished(struct sim_world *world)
{
    for (unsigned i = 0; i < world->plan.shards; i++) {
        struct sim_engine *engine = sim_engine_of(world->plane.shard_engines[i]);
        for (struct list_node *node = engine->connections.next; node != &engine->connections; node = node->next) {
            struct sim_connection *connection = LIST_ENTRY(node, struct sim_connection, node);
            if (connection->link->vanished[sim_peer_of(connection)])
                sim_connection_reset(&connection->common);
        }
    }
}

static void begin_end(struct sim_world *world)
{
    check_calm(world);
    trace(world, "--- end");
    reset_vanished(world);
    world->phase = PHASE_END;
    world->phase_end_ns = sim_world_now(world) + END_NS;
    world->stop_ns = sim_world_now(world) + between(&world->random, 0, 2 * NS_PER_S);
    world->draining = world->plan.drain;
    for (unsigned i = 0; i < world->plan.shards && world->draining; i++)
        shard_drain(world->plane.shards[i]);
}

uint64_t phases_deadline(const struct sim_world *world)
{
    if (world->phase == PHASE_FLOW && world->produced < world->plan.flashblocks)
        return world->next_flashblock_ns;
    return world->phase_end_ns < world->stop_ns ? world->phase_end_ns : world->stop_ns;
}

void phases_act(struct sim_world *world)
{
    uint64_t now_ns = sim_world_now(world);

    if (world->phase == PHASE_FLOW && world->produced < world->plan.flashblocks) {
        make_flashblock(world);
        world->phase_end_ns = now_ns + 500 * NS_PER_MS;
    } else if (world->stop_ns <= now_ns) {
        world->stop_ns = CLOCK_NEVER;
        ingest_stop(world->plane.ingest);
    } else if (world->phase == PHASE_FLOW) {
        calm_down(world);
    } else if (world->phase == PHASE_CALM) {
        begin_end(world);
    }
}

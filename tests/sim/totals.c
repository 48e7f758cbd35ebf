#include "sim/totals.h"

#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>

static void add_shard(struct totals *totals, const struct shard_counters *counters)
{
    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        totals->disconnects[cause] += counter_read(&counters->disconnects[cause]);
    totals->limited +=
        counter_read(&counters->global_limited) + counter_read(&counters->ip_limited) + counter_read(&counters->app_limited);
    totals->unauthorized += counter_read(&counters->unauthorized);
    totals->bad_requests += counter_read(&counters->bad_requests);
    totals->handshake_timeouts += counter_read(&counters->handshake_timeouts);
}

static void add_upstream(struct totals *totals, const struct upstream_counters *counters)
{
    totals->duplicates += counter_read(&counters->duplicates);
    totals->upstream_errors += counter_read(&counters->errors);
    totals->too_big += counter_read(&counters->too_big);
}

static void add_engine(struct totals *totals, const struct engine_counters *counters)
{
    totals->starved += counter_read(&counters->receive_starved);
    totals->shortages += counter_read(&counters->accept_pauses);
    totals->by_reference += counter_read(&counters->zerocopy_sends);
}

static void add_log(struct totals *totals, const struct channel *channel)
{
    struct channel_figures figures;

    channel_figures_get(channel, &figures);
    totals->published += figures.head;
    totals->refusals += figures.append_refusals;
    totals->wraps += figures.wraps;
}

void totals_add(struct totals *totals, const struct sim_world *world)
{
    const struct plane *plane = &world->plane;

    totals->seeds++;
    totals->steps += world->steps;
    totals->delivered += world->delivered;
    totals->stalls += world->stalls;
    add_log(totals, plane->target);
    add_engine(totals, &plane->ingest_engine->counters);
    for (unsigned i = 0; i < world->plan.builders; i++)
        add_upstream(totals, ingest_upstream_counters(plane->ingest, i));
    for (unsigned i = 0; i < world->plan.shards; i++) {
        add_shard(totals, shard_counters_get(plane->shards[i]));
        add_engine(totals, &plane->shard_engines[i]->counters);
    }
    if (plane->encoder)
        totals->compressed += counter_read(&encoder_counters_get(plane->encoder)->messages);
}

void totals_print(const struct totals *totals)
{
    printf("sim: %" PRIu64 " seeds, %" PRIu64 " steps: %" PRIu64 " published, %" PRIu64 " delivered, %" PRIu64
           " duplicates, %" PRIu64 " compressed, %" PRIu64 " too big, %" PRIu64 " waits for room, %" PRIu64 " wraps\n",
           totals->seeds, totals->steps, totals->published, totals->delivered, totals->duplicates, totals->compressed,
           totals->too_big, totals->refusals, totals->wraps);
    printf("     %" PRIu64 " limited, %" PRIu64 " unauthorized, %" PRIu64 " bad requests, %" PRIu64
           " handshake time-outs, %" PRIu64 " upstream errors\n",
           totals->limited, totals->unauthorized, totals->bad_requests, totals->handshake_timeouts, totals->upstream_errors);
    printf("     %" PRIu64 " stalls, %" PRIu64 " shortages of descriptors, %" PRIu64 " receives without buffer, %" PRIu64
           " sends by reference; ended:",
           totals->stalls, totals->shortages, totals->starved, totals->by_reference);
    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        printf(" %s %" PRIu64, disconnect_cause_name((enum disconnect_cause)cause), totals->disconnects[cause]);
    putchar('\n');
}

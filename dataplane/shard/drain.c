#include "shard/drain.h"

#include "shard/internal.h"
#include "shard/session.h"

static void begin(struct shard *shard)
{
    struct drain *drain = &shard->drain;
    uint64_t spread_ns = shard->open_count * SHARD_DRAIN_NS_PER_SUBSCRIBER;

    drain->running = true;
    drain->total = shard->open_count;
    drain->start_ns = shard->now_ns;
    drain->spread_ns = spread_ns < SHARD_DRAIN_SPREAD_NS ? spread_ns : SHARD_DRAIN_SPREAD_NS;
    engine_listen_stop(shard->engine);
}

/* How many subscribers are to be closed by now: a share of those open at the start, without limit once the time has passed. */
static uint32_t due(const struct drain *drain, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns - drain->start_ns;

    if (elapsed_ns >= drain->spread_ns)
        return UINT32_MAX;
    return (uint32_t)(drain->total * elapsed_ns / drain->spread_ns) + 1;
}

uint64_t drain_deadline(const struct shard *shard)
{
    const struct drain *drain = &shard->drain;

    if (!drain->running)
        return atomic_load_explicit(&drain->asked, memory_order_seq_cst) ? 0 : CLOCK_NEVER;
    if (shard->open_count == 0)
        return slab_used(&shard->subscribers) == 0 && !drain->finished ? 0 : CLOCK_NEVER;
    if (drain->closed >= drain->total)
        return drain->start_ns + drain->spread_ns;
    return drain->start_ns + (drain->spread_ns * drain->closed + drain->total - 1) / drain->total;
}

void drain_turn(struct shard *shard)
{
    struct drain *drain = &shard->drain;

    if (!drain->running) {
        if (!atomic_load_explicit(&drain->asked, memory_order_relaxed))
            return;
        begin(shard);
        return; /* connections queued on the listener are accepted by the next turn's I/O */
    }
    for (uint32_t limit = due(drain, shard->now_ns); drain->closed < limit && shard->open_count > 0; drain->closed++)
        session_close_at_shutdown(shard, shard_pick_open(shard));
    if (slab_used(&shard->subscribers) == 0)
        atomic_store_explicit(&drain->finished, true, memory_order_release);
}

#include "health.h"

#include "flashrelay/clock.h"

#include <inttypes.h>
#include <stdio.h>

static int report(const struct health *health, uint64_t now_ns, char *body, size_t capacity)
{
    const struct ingest *ingest = relay_ingest(health->relay);
    uint64_t down_since_ns = ingest_down_since_ns(ingest), connected = 0, subscribers = 0, down_ns = 0;
    bool is_down;

    if (down_since_ns && down_since_ns < now_ns)
        down_ns = now_ns - down_since_ns;
    is_down = health->grace_ns && down_ns > health->grace_ns;
    for (unsigned i = 0; i < health->upstreams; i++)
        connected += counter_read(&ingest_upstream_counters(ingest, i)->connected);
    for (unsigned i = 0; i < relay_shard_count(health->relay); i++)
        subscribers += counter_read(&shard_counters_get(relay_shard(health->relay, i))->active_connections);
    snprintf(body, capacity,
             "{\"status\":\"%s\",\"upstreams\":%u,\"upstreams_connected\":%" PRIu64 ",\"upstreams_down_ms\":%" PRIu64
             ",\"subscribers\":%" PRIu64 "}",
             is_down ? "upstreams down" : "ok", health->upstreams, connected, down_ns / NS_PER_MS, subscribers);
    return is_down ? 503 : 200;
}

int health_answer(void *health, char *body, size_t capacity)
{
    return report(health, clock_monotonic_ns(), body, capacity);
}

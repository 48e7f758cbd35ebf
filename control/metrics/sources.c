#include "metrics/metrics.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_label_taken(const struct metrics_sources *sources, const char *label)
{
    for (unsigned i = 0; i < sources->upstream_count; i++)
        if (strcmp(sources->upstream_labels[i], label) == 0)
            return true;
    return false;
}

/* Returns "/" for a URI without a path, which it means and which the reference's label shows; else "". */
static const char *missing_path(const char *identity)
{
    const char *authority = strstr(identity, "://");

    return authority && strchr(authority + 3, '/') ? "" : "/";
}

/* Adds an upstream. URIs that differ only in parts that labels don't show are told apart by their place in the list. */
static int add_upstream(struct metrics_sources *sources, const struct upstream_counters *counters, const char *identity)
{
    unsigned place = sources->upstream_count;
    char *label, *numbered;

    if (asprintf(&label, "%s%s", identity, missing_path(identity)) < 0)
        return -ENOMEM;
    if (is_label_taken(sources, label)) {
        int length = asprintf(&numbered, "%s#%u", label, place + 1);

        free(label);
        if (length < 0)
            return -ENOMEM;
        label = numbered;
    }
    sources->upstreams[place] = counters;
    sources->upstream_labels[place] = label;
    sources->upstream_count++;
    return 0;
}

static void add_shards(struct metrics_sources *sources, const struct relay *relay)
{
    sources->shard_count = relay_shard_count(relay);
    for (unsigned i = 0; i < sources->shard_count; i++) {
        const struct engine *engine = relay_shard_engine(relay, i);

        sources->shards[i] = shard_counters_get(relay_shard(relay, i));
        sources->shard_engines[i] = &engine->counters;
        sources->shard_tcps[i] = tcp_engine_counters(engine);
        sources->shard_ports[i] = tcp_engine_port_counters(engine);
        sources->shard_slots[i] = engine->options.max_connections;
        sources->has_tcp = sources->shard_tcps[i] != NULL;
    }
}

static void add_channels(struct metrics_sources *sources, const struct relay *relay)
{
    sources->channel_count = relay_channel_count(relay);
    assert(sources->channel_count <= METRICS_MAX_CHANNELS);
    for (unsigned i = 0; i < sources->channel_count; i++)
        sources->channels[i] = relay_channel(relay, i);
    if (relay_encoder(relay))
        sources->encoder = encoder_counters_get(relay_encoder(relay));
}

int metrics_sources_init(struct metrics_sources *sources, const struct relay *relay, const struct options *options,
                         struct snapshot_group *snapshots, const struct snapshot_slot *access, const struct label_set *labels)
{
    const struct ingest *ingest = relay_ingest(relay);
    int result = 0;

    *sources = (struct metrics_sources){
        .ingest = ingest_counters_get(ingest),
        .ingest_engine = &relay_ingest_engine(relay)->counters,
        .snapshots = snapshots,
        .access = access,
        .app_connections = relay_app_connections,
        .relay = relay,
        .labels = labels,
        .send_durations = malloc(sizeof *sources->send_durations),
    };
    if (!sources->send_durations)
        return -ENOMEM;
    rolling_init(sources->send_durations, clock_monotonic_ns());
    add_shards(sources, relay);
    add_channels(sources, relay);
    for (unsigned i = 0; i < options->upstreams.count && result == 0; i++)
        result = add_upstream(sources, ingest_upstream_counters(ingest, i), options->upstreams.uris[i].identity);
    return result;
}

void metrics_sources_dispose(struct metrics_sources *sources)
{
    for (unsigned i = 0; i < sources->upstream_count; i++)
        free(sources->upstream_labels[i]);
    sources->upstream_count = 0;
    if (sources->send_durations)
        rolling_dispose(sources->send_durations);
    free(sources->send_durations);
    sources->send_durations = NULL;
}

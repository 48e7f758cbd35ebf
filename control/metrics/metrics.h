/*
 * What the metrics port shows. Everything is read from counters that their threads write without locks; a scrape stops nobody.
 */
#ifndef CONTROL_METRICS_METRICS_H
#define CONTROL_METRICS_METRICS_H

#include "flashrelay/engine_tcp.h"
#include "flashrelay/relay.h"
#include "http/server.h"
#include "metrics/exposition.h"
#include "metrics/rolling.h"
#include "options/options.h"

#define METRICS_MAX_CHANNELS 2

/* Where the figures are. The upstreams' labels and send_durations are its own; everything else that it points to outlives it. */
struct metrics_sources {
    unsigned shard_count;
    const struct shard_counters *shards[RELAY_MAX_SHARDS];
    const struct engine_counters *shard_engines[RELAY_MAX_SHARDS];
    bool has_tcp;                                            /* the shards' engines have a TCP of their own */
    const struct tcp_counters *shard_tcps[RELAY_MAX_SHARDS]; /* if has_tcp; the same goes for what follows */
    const struct port_counters *shard_ports[RELAY_MAX_SHARDS];
    uint32_t shard_slots[RELAY_MAX_SHARDS]; /* most connections */
    const struct ingest_counters *ingest;
    const struct engine_counters *ingest_engine;
    unsigned upstream_count;
    const struct upstream_counters *upstreams[OPTIONS_MAX_UPSTREAMS];
    char *upstream_labels[OPTIONS_MAX_UPSTREAMS]; /* distinct, without credentials */
    unsigned channel_count;
    const struct channel *channels[METRICS_MAX_CHANNELS];
    const struct encoder_counters *encoder; /* NULL if not compressing */
    struct snapshot_group *snapshots;
    const struct snapshot_slot *access;                                   /* of that group: an access table */
    struct rolling *send_durations;                                       /* of all shards */
    uint64_t (*app_connections)(const struct relay *relay, unsigned app); /* relay_app_connections */
    const struct relay *relay;
    const struct label_set *labels;
};

/* Finds the figures of a relay that runs with `options`. 0 or -ENOMEM; dispose either way. */
int metrics_sources_init(struct metrics_sources *sources, const struct relay *relay, const struct options *options,
                         struct snapshot_group *snapshots, const struct snapshot_slot *access, const struct label_set *labels);
void metrics_sources_dispose(struct metrics_sources *sources);

/* Lets quantiles forget old values, even if there are no scrapes. Returns when the next call is due. One thread. */
uint64_t metrics_turn(const struct metrics_sources *sources, uint64_t now_ns);

/* All metrics, in Prometheus' text format, at every path of a server that nothing else takes. */
struct http_mount metrics_mount(const struct metrics_sources *sources);

/* The parts: the reference proxies' metrics by their names, and flashrelay's own. */
void metrics_write_reference(struct exposition *exposition, const struct metrics_sources *sources);
void metrics_write_shards(struct exposition *exposition, const struct metrics_sources *sources);
void metrics_write_ingest(struct exposition *exposition, const struct metrics_sources *sources);
void metrics_write_engines(struct exposition *exposition, const struct metrics_sources *sources);
void metrics_write_tcp(struct exposition *exposition, const struct metrics_sources *sources);
void metrics_write_process(struct exposition *exposition);

/* The sum over all shards of the counter at `offset` of their struct shard_counters. */
uint64_t metrics_sum_shards(const struct metrics_sources *sources, size_t offset);

/* Adds up the histogram at `offset` of all shards in `merged`, which begins zeroed. */
void metrics_merge_shards(struct histogram *merged, const struct metrics_sources *sources, size_t offset);

/* The buckets of durations: 2^13 ns (8 us) to 2^30 ns (1.07 s). */
#define METRICS_FIRST_POWER 13
#define METRICS_LAST_POWER  30
#define METRICS_SECONDS     1e-9 /* of a ns */

#endif

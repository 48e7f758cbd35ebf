#include "metrics/metrics.h"

uint64_t metrics_sum_shards(const struct metrics_sources *sources, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < sources->shard_count; i++)
        sum += counter_read((const counter *)((const char *)sources->shards[i] + offset));
    return sum;
}

void metrics_merge_shards(struct histogram *merged, const struct metrics_sources *sources, size_t offset)
{
    for (unsigned i = 0; i < sources->shard_count; i++)
        histogram_merge(merged, (const struct histogram *)((const char *)sources->shards[i] + offset));
}

/* Any thread. */
static void write_all(FILE *out, const void *context)
{
    const struct metrics_sources *sources = context;
    struct exposition exposition = {.out = out, .global = sources->labels};

    metrics_write_reference(&exposition, sources);
    metrics_write_shards(&exposition, sources);
    metrics_write_ingest(&exposition, sources);
    metrics_write_engines(&exposition, sources);
    metrics_write_tcp(&exposition, sources);
    metrics_write_process(&exposition);
}

struct http_mount metrics_mount(const struct metrics_sources *sources)
{
    return (struct http_mount){
        .prefix = "/",
        .content_type = "text/plain; version=0.0.4; charset=utf-8",
        .write = write_all,
        .context = sources,
    };
}

/* A scrape: the shards' counters added up and written as text. */
#include "cbench/cbench.h"

#include "metrics/metrics.h"

#include <stdlib.h>

#define FRAME_NS 300000

static void fill(struct histogram *histogram)
{
    for (uint64_t i = 1; i <= 1000; i++)
        histogram_record(histogram, i * FRAME_NS / 10, 1);
}

/* Writes the histograms and counters of as many shards as the argument says. */
CBENCH(metrics_scrape_shards, 1, 4, 16)
{
    unsigned shards = (unsigned)cbench_argument(bench);
    struct shard_counters *counters = calloc(shards, sizeof *counters);
    struct metrics_sources sources = {.shard_count = shards};
    struct label_set labels = {0};
    char *text = NULL;
    size_t length = 0;

    for (unsigned i = 0; i < shards; i++) {
        sources.shards[i] = &counters[i];
        fill(&counters[i].first_send_ns);
        fill(&counters[i].last_send_ns);
        fill(&counters[i].spread_ns);
        fill(&counters[i].send_ns);
        counter_set(&counters[i].sent_messages, 123456789);
    }
    FILE *out = open_memstream(&text, &length);
    while (cbench_next(bench)) {
        struct exposition exposition = {.out = out, .global = &labels};
        rewind(out);
        metrics_write_shards(&exposition, &sources);
        fflush(out);
    }
    cbench_bytes_processed(bench, cbench_iterations(bench) * length);
    fclose(out);
    free(text);
    free(counters);
}

/* Records one value, as every fan-out does in several histograms. */
CBENCH(histogram_record_value)
{
    static struct histogram histogram;
    uint64_t value = 1;

    while (cbench_next(bench)) {
        histogram_record(&histogram, value, 1);
        value = value * 7 % 1000003;
    }
}

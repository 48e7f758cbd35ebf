#include "metrics/metrics.h"

#include <stddef.h>

#define UPSTREAM(member) offsetof(struct upstream_counters, member)
#define FIGURE(member)   offsetof(struct channel_figures, member)

struct offset_metric {
    const char *name;
    enum metric_type type;
    const char *help;
    size_t offset;
};

static const struct offset_metric of_upstreams[] = {
    {"flashrelay_upstream_connected", METRIC_GAUGE, "1 while the upstream is connected, else 0.", UPSTREAM(connected)},
    {"flashrelay_upstream_received_bytes_total", METRIC_COUNTER, "Bytes of messages from the upstream.", UPSTREAM(bytes)},
    {"flashrelay_upstream_first_messages_total", METRIC_COUNTER, "Messages that the upstream brought before the others.",
     UPSTREAM(published_first)},
    {"flashrelay_upstream_duplicate_messages_total", METRIC_COUNTER, "Messages that another connection had brought already.",
     UPSTREAM(duplicates)},
    {"flashrelay_upstream_oversized_messages_total", METRIC_COUNTER, "Messages over the largest size.", UPSTREAM(too_big)},
    {"flashrelay_upstream_invalid_messages_total", METRIC_COUNTER, "Messages that are neither JSON nor brotli.",
     UPSTREAM(invalid)},
    {"flashrelay_upstream_missed_pongs_total", METRIC_COUNTER, "Pings that the upstream did not answer in time.",
     UPSTREAM(pongs_missed)},
};

static const struct offset_metric of_channels[] = {
    {"flashrelay_log_frames", METRIC_GAUGE, "Flashblocks held in the log.", FIGURE(frames)},
    {"flashrelay_log_bytes", METRIC_GAUGE, "Bytes held in the log.", FIGURE(held_bytes)},
    {"flashrelay_log_capacity_bytes", METRIC_GAUGE, "Memory of the log.", FIGURE(arena_bytes)},
    {"flashrelay_log_head", METRIC_GAUGE, "Sequence number of the newest flashblock.", FIGURE(head)},
    {"flashrelay_log_floor", METRIC_GAUGE, "Lowest sequence number that subscribers may still be sent.", FIGURE(floor)},
    {"flashrelay_log_tail", METRIC_GAUGE, "Lowest sequence number held.", FIGURE(tail)},
    {"flashrelay_log_refusals_total", METRIC_COUNTER, "Times a flashblock found no room in the log at once.",
     FIGURE(append_refusals)},
    {"flashrelay_log_wraps_total", METRIC_COUNTER, "Times the log began at its start again.", FIGURE(wraps)},
};

static void write_upstreams(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (size_t i = 0; i < sizeof of_upstreams / sizeof of_upstreams[0]; i++) {
        exposition_family(exposition, of_upstreams[i].name, of_upstreams[i].type, of_upstreams[i].help);
        for (unsigned u = 0; u < sources->upstream_count; u++)
            exposition_value(exposition, (const struct label[]){{"upstream", sources->upstream_labels[u]}, {NULL, NULL}},
                             counter_read((const counter *)((const char *)sources->upstreams[u] + of_upstreams[i].offset)));
    }
    exposition_family(exposition, "flashrelay_upstream_behind_seconds", METRIC_HISTOGRAM,
                      "How much later than the first the upstream brought what another had brought already.");
    for (unsigned u = 0; u < sources->upstream_count; u++)
        exposition_histogram(exposition, (const struct label[]){{"upstream", sources->upstream_labels[u]}, {NULL, NULL}},
                             &sources->upstreams[u]->behind_ns, METRICS_FIRST_POWER, METRICS_LAST_POWER, METRICS_SECONDS);
}

static void write_published(struct exposition *exposition, const struct ingest_counters *ingest)
{
    exposition_family(exposition, "flashrelay_published_messages_total", METRIC_COUNTER, "Messages published to subscribers.");
    exposition_value(exposition, NO_LABELS, counter_read(&ingest->published));
    exposition_family(exposition, "flashrelay_published_bytes_total", METRIC_COUNTER,
                      "Bytes of messages published to subscribers.");
    exposition_value(exposition, NO_LABELS, counter_read(&ingest->published_bytes));
    exposition_family(exposition, "flashrelay_delayed_messages_total", METRIC_COUNTER,
                      "Messages that had to wait in their upstream's buffer for room in the log.");
    exposition_value(exposition, NO_LABELS, counter_read(&ingest->waited_for_room));
}

static void write_channels(struct exposition *exposition, const struct metrics_sources *sources)
{
    static const char *const pages[] = {"huge", "transparent", "plain"};
    struct channel_figures figures;

    for (size_t i = 0; i < sizeof of_channels / sizeof of_channels[0]; i++) {
        exposition_family(exposition, of_channels[i].name, of_channels[i].type, of_channels[i].help);
        for (unsigned c = 0; c < sources->channel_count; c++) {
            channel_figures_get(sources->channels[c], &figures);
            exposition_value(exposition, (const struct label[]){{"channel", figures.name}, {NULL, NULL}},
                             *(const uint64_t *)((const char *)&figures + of_channels[i].offset));
        }
    }
    exposition_family(exposition, "flashrelay_log_pages_info", METRIC_GAUGE, "On what pages the log lies.");
    for (unsigned c = 0; c < sources->channel_count; c++) {
        channel_figures_get(sources->channels[c], &figures);
        exposition_value(exposition,
                         (const struct label[]){{"channel", figures.name}, {"pages", pages[figures.pages]}, {NULL, NULL}}, 1);
    }
}

static void write_encoder(struct exposition *exposition, const struct encoder_counters *encoder)
{
    const struct {
        const char *name, *help;
        const counter *value;
    } counters[] = {
        {"flashrelay_compressor_messages_total", "Messages published to subscribers of compressed messages.", &encoder->messages},
        {"flashrelay_compressor_passed_on_total", "Of these, published as they came: compressed already, or not compressible.",
         &encoder->passed_on},
        {"flashrelay_compressor_input_bytes_total", "Bytes given to the compressor.", &encoder->bytes_in},
        {"flashrelay_compressor_output_bytes_total", "Bytes that came of them.", &encoder->bytes_out},
        {"flashrelay_compressor_delayed_messages_total", "Messages that had to wait for room in the brotli log.",
         &encoder->waited_for_room},
    };

    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        exposition_family(exposition, counters[i].name, METRIC_COUNTER, counters[i].help);
        exposition_value(exposition, NO_LABELS, counter_read(counters[i].value));
    }
    exposition_family(exposition, "flashrelay_compress_seconds", METRIC_HISTOGRAM, "Time to compress a message.");
    exposition_histogram(exposition, NO_LABELS, &encoder->encode_ns, METRICS_FIRST_POWER, METRICS_LAST_POWER, METRICS_SECONDS);
}

void metrics_write_ingest(struct exposition *exposition, const struct metrics_sources *sources)
{
    write_upstreams(exposition, sources);
    write_published(exposition, sources->ingest);
    write_channels(exposition, sources);
    if (sources->encoder)
        write_encoder(exposition, sources->encoder);
}

#include "metrics/metrics.h"

#include <stddef.h>

#define SHARD(member)    offsetof(struct shard_counters, member)
#define LAG_FIRST_POWER  0
#define LAG_LAST_POWER   12 /* 4,095 frames */
#define SHARD_NAME_BYTES 12

struct shard_metric {
    const char *name;
    const char *help;
    size_t offset;
};

static const struct shard_metric durations[] = {
    {"flashrelay_ingest_to_first_send_seconds",
     "From a flashblock's last byte in to its first byte taken by the first subscriber.", SHARD(first_send_ns)},
    {"flashrelay_ingest_to_last_send_seconds",
     "From a flashblock's last byte in until the last reading subscriber of a shard has it.", SHARD(last_send_ns)},
    {"flashrelay_fan_out_spread_seconds", "Between the first and the last reading subscriber of a shard.", SHARD(spread_ns)},
    {"flashrelay_send_duration_seconds", "From when a flashblock is offered to a subscriber until its socket has taken it.",
     SHARD(send_ns)},
};

/* Gauges with a label for the shard. */
static const struct shard_metric gauges[] = {
    {"flashrelay_shard_subscribers", "Subscribers of the shard now.", SHARD(active_connections)},
    {"flashrelay_shard_blocked_subscribers",
     "Subscribers of the shard whose socket refused bytes and that have not caught up since.", SHARD(blocked_subscribers)},
    {"flashrelay_shard_handshakes", "Connections of the shard that are shaking hands now.", SHARD(handshaking)},
    {"flashrelay_shard_backlog_frames", "Flashblocks published and not yet offered to all subscribers of the shard.",
     SHARD(backlog_frames)},
};

/* Counters summed over the shards. */
static const struct shard_metric totals[] = {
    {"flashrelay_handshake_timeouts_total", "Connections closed because their handshake took too long.",
     SHARD(handshake_timeouts)},
    {"flashrelay_evicted_handshakes_total",
     "Connections reset before their request was whole, because there were too many of them, of their address or in all, or "
     "because "
     "descriptors were short.",
     SHARD(handshakes_evicted)},
    {"flashrelay_bad_requests_total", "Requests answered with an error of the client's.", SHARD(bad_requests)},
    {"flashrelay_health_requests_total", "Requests for /healthz.", SHARD(health_requests)},
    {"flashrelay_client_pings_total", "Pings sent to subscribers.", SHARD(ping_sent)},
};

static void write_durations(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        struct histogram merged = {0};

        metrics_merge_shards(&merged, sources, durations[i].offset);
        exposition_family(exposition, durations[i].name, METRIC_HISTOGRAM, durations[i].help);
        exposition_histogram(exposition, NO_LABELS, &merged, METRICS_FIRST_POWER, METRICS_LAST_POWER, METRICS_SECONDS);
    }
}

static void write_lag(struct exposition *exposition, const struct metrics_sources *sources)
{
    struct histogram merged = {0};

    metrics_merge_shards(&merged, sources, SHARD(lag_frames));
    exposition_family(exposition, "flashrelay_subscriber_lag_frames", METRIC_HISTOGRAM,
                      "Flashblocks that subscribers whose socket took no more were behind, at each flashblock.");
    exposition_histogram(exposition, NO_LABELS, &merged, LAG_FIRST_POWER, LAG_LAST_POWER, 1);
}

static void write_gauges(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++) {
        exposition_family(exposition, gauges[i].name, METRIC_GAUGE, gauges[i].help);
        for (unsigned shard = 0; shard < sources->shard_count; shard++) {
            char name[SHARD_NAME_BYTES];

            snprintf(name, sizeof name, "%u", shard);
            exposition_value(exposition, (const struct label[]){{"shard", name}, {NULL, NULL}},
                             counter_read((const counter *)((const char *)sources->shards[shard] + gauges[i].offset)));
        }
    }
}

static void write_totals(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        exposition_family(exposition, totals[i].name, METRIC_COUNTER, totals[i].help);
        exposition_value(exposition, NO_LABELS, metrics_sum_shards(sources, totals[i].offset));
    }
}

static void write_disconnects(struct exposition *exposition, const struct metrics_sources *sources)
{
    exposition_family(exposition, "flashrelay_disconnects_total", METRIC_COUNTER,
                      "Subscribers whose connection ended, by cause.");
    for (unsigned cause = 0; cause < DISCONNECT_CAUSES; cause++)
        exposition_value(exposition,
                         (const struct label[]){{"cause", disconnect_cause_name((enum disconnect_cause)cause)}, {NULL, NULL}},
                         metrics_sum_shards(sources, SHARD(disconnects) + cause * sizeof(counter)));
}

static void write_refusals(struct exposition *exposition, const struct metrics_sources *sources)
{
    static const struct {
        const char *reason;
        size_t offset;
    } refusals[] = {{"key", SHARD(unauthorized)},
                    {"instance", SHARD(global_limited)},
                    {"ip", SHARD(ip_limited)},
                    {"app", SHARD(app_limited)}};

    exposition_family(
        exposition, "flashrelay_refused_connections_total", METRIC_COUNTER,
        "Connections refused, by what refused them: the API key, or the limit of the instance, the address or the app.");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        exposition_value(exposition, (const struct label[]){{"reason", refusals[i].reason}, {NULL, NULL}},
                         metrics_sum_shards(sources, refusals[i].offset));
}

void metrics_write_shards(struct exposition *exposition, const struct metrics_sources *sources)
{
    write_durations(exposition, sources);
    write_lag(exposition, sources);
    write_gauges(exposition, sources);
    write_totals(exposition, sources);
    write_disconnects(exposition, sources);
    write_refusals(exposition, sources);
}

#include "metrics/metrics.h"

#include <stddef.h>

#define SHARD(member)    offsetof(struct shard_counters, member)
#define UPSTREAM(member) offsetof(struct upstream_counters, member)

/* A metric that is the sum of some counters of all shards, or of all upstreams. */
struct summed_metric {
    const char *name;
    enum metric_type type;
    const char *help;
    unsigned count; /* of offsets */
    size_t offsets[3];
};

static const struct summed_metric of_shards[] = {
    {"websocket_proxy_sent_messages", METRIC_COUNTER, "Messages sent to subscribers.", 1, {SHARD(sent_messages)}},
    {"websocket_proxy_failed_messages", METRIC_COUNTER, "Messages that could not be sent.", 1, {SHARD(failed_messages)}},
    {"websocket_proxy_bytes_broadcasted", METRIC_COUNTER, "Bytes sent to subscribers.", 1, {SHARD(sent_bytes)}},
    {"websocket_proxy_new_connections", METRIC_COUNTER, "Subscribers that connected.", 1, {SHARD(new_connections)}},
    {"websocket_proxy_closed_connections", METRIC_COUNTER, "Subscribers whose connection ended.", 1, {SHARD(closed_connections)}},
    {"websocket_proxy_active_connections", METRIC_GAUGE, "Subscribers connected now.", 1, {SHARD(active_connections)}},
    {"websocket_proxy_lagged_connections",
     METRIC_COUNTER,
     "Subscribers disconnected because they lagged.",
     2,
     {SHARD(disconnects[DISCONNECT_LAGGED]), SHARD(disconnects[DISCONNECT_LOG_FLOOR])}},
    {"websocket_proxy_client_pong_disconnects",
     METRIC_COUNTER,
     "Subscribers disconnected because they answered no ping.",
     1,
     {SHARD(disconnects[DISCONNECT_PONG_TIMEOUT])}},
    {"websocket_proxy_rate_limited_requests",
     METRIC_COUNTER,
     "Connections refused by a limit of the instance, the address or the app.",
     3,
     {SHARD(global_limited), SHARD(ip_limited), SHARD(app_limited)}},
    {"websocket_proxy_per_ip_rate_limited_requests",
     METRIC_COUNTER,
     "Connections refused by the limit per IP address.",
     1,
     {SHARD(ip_limited)}},
    {"websocket_proxy_global_rate_limited_requests",
     METRIC_COUNTER,
     "Connections refused by the limit of the instance.",
     1,
     {SHARD(global_limited)}},
    {"websocket_proxy_unauthorized_requests",
     METRIC_COUNTER,
     "Connections refused for an unknown API key.",
     1,
     {SHARD(unauthorized)}},
};

static const struct summed_metric of_upstreams[] = {
    {"websocket_proxy_upstream_errors",
     METRIC_COUNTER,
     "Attempts to connect to an upstream that failed, and connections that were lost.",
     1,
     {UPSTREAM(errors)}},
    {"websocket_proxy_upstream_connections", METRIC_GAUGE, "Upstreams connected now.", 1, {UPSTREAM(connected)}},
    {"websocket_proxy_upstream_connection_attempts",
     METRIC_COUNTER,
     "Attempts to connect to an upstream.",
     1,
     {UPSTREAM(attempts)}},
    {"websocket_proxy_upstream_connection_successes",
     METRIC_COUNTER,
     "Attempts to connect to an upstream that succeeded.",
     1,
     {UPSTREAM(successes)}},
    {"websocket_proxy_upstream_connection_failures",
     METRIC_COUNTER,
     "Attempts to connect to an upstream that failed.",
     1,
     {UPSTREAM(failures)}},
    {"websocket_proxy_ping_attempts", METRIC_COUNTER, "Pings to upstreams begun.", 1, {UPSTREAM(pings_sent)}},
    {"websocket_proxy_ping_sent", METRIC_COUNTER, "Pings to upstreams sent.", 1, {UPSTREAM(pings_sent)}},
    {"websocket_proxy_ping_failures",
     METRIC_COUNTER,
     "Pings to upstreams that no pong answered in time.",
     1,
     {UPSTREAM(pongs_missed)}},
};

static uint64_t sum_upstreams(const struct metrics_sources *sources, size_t offset)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < sources->upstream_count; i++)
        sum += counter_read((const counter *)((const char *)sources->upstreams[i] + offset));
    return sum;
}

static void write_summed(struct exposition *exposition, const struct metrics_sources *sources,
                         const struct summed_metric *metrics, size_t count,
                         uint64_t (*sum)(const struct metrics_sources *sources, size_t offset))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;

        for (unsigned j = 0; j < metrics[i].count; j++)
            value += sum(sources, metrics[i].offsets[j]);
        exposition_family(exposition, metrics[i].name, metrics[i].type, metrics[i].help);
        exposition_value(exposition, NO_LABELS, value);
    }
}

/* Writes the backlog of the shard that is furthest behind: the reference's queue, too, is as long as its slowest reader makes it. */
static void write_queue_size(struct exposition *exposition, const struct metrics_sources *sources)
{
    uint64_t longest = 0;

    for (unsigned i = 0; i < sources->shard_count; i++) {
        uint64_t backlog = counter_read(&sources->shards[i]->backlog_frames);
        longest = backlog > longest ? backlog : longest;
    }
    exposition_family(exposition, "websocket_proxy_broadcast_queue_size", METRIC_GAUGE,
                      "Messages not yet offered to all subscribers.");
    exposition_value(exposition, NO_LABELS, longest);
}

static void write_send_duration(struct exposition *exposition, const struct metrics_sources *sources)
{
    struct histogram all = {0}, recent = {0};

    metrics_merge_shards(&all, sources, SHARD(send_ns));
    rolling_recent(sources->send_durations, &all, &recent);
    exposition_family(exposition, "websocket_proxy_message_send_duration", METRIC_SUMMARY,
                      "Seconds from when a message is offered to a subscriber until its socket has taken it; quantiles of the "
                      "last minute.");
    exposition_summary(exposition, NO_LABELS, &recent, &all, METRICS_SECONDS);
}

static void write_apps(struct exposition *exposition, const struct metrics_sources *sources, const struct access_table *table)
{
    unsigned count = access_table_count(table);

    if (count > 0)
        exposition_family(exposition, "websocket_proxy_connections_by_app", METRIC_COUNTER,
                          "Connections with a valid key of the app.");
    for (unsigned i = 0; i < count; i++) {
        const struct access_app *app = access_table_app(table, i);

        if (app)
            exposition_value(exposition, (const struct label[]){{"app", app->name}, {NULL, NULL}},
                             sources->app_connections(sources->relay, i));
    }
}

static void write_labelled(struct exposition *exposition, const struct metrics_sources *sources)
{
    snapshot_group_lock(sources->snapshots);
    write_apps(exposition, sources, access_table_current(sources->access));
    snapshot_group_unlock(sources->snapshots);
    exposition_family(exposition, "websocket_proxy_upstream_messages", METRIC_COUNTER, "Messages received from the upstream.");
    for (unsigned i = 0; i < sources->upstream_count; i++)
        exposition_value(exposition, (const struct label[]){{"upstream", sources->upstream_labels[i]}, {NULL, NULL}},
                         counter_read(&sources->upstreams[i]->messages));
}

uint64_t metrics_turn(const struct metrics_sources *sources, uint64_t now_ns)
{
    struct histogram all = {0};

    metrics_merge_shards(&all, sources, SHARD(send_ns));
    return rolling_turn(sources->send_durations, &all, now_ns);
}

void metrics_write_reference(struct exposition *exposition, const struct metrics_sources *sources)
{
    write_summed(exposition, sources, of_shards, sizeof of_shards / sizeof of_shards[0], metrics_sum_shards);
    write_summed(exposition, sources, of_upstreams, sizeof of_upstreams / sizeof of_upstreams[0], sum_upstreams);
    write_queue_size(exposition, sources);
    write_send_duration(exposition, sources);
    write_labelled(exposition, sources);
}

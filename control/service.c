#include "service.h"

#include "access/admitter.h"
#include "access/limits.h"
#include "descriptors.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "flashrelay/relay.h"
#include "health.h"
#include "ingest_settings.h"
#include "metrics/metrics.h"
#include "options/dpdk_settings.h"
#include "start_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct service {
    const struct options *options;
    struct engine_dpdk_options dpdk;
    char refusal[512]; /* of the engine that was asked for; empty: none */
    struct descriptor_plan descriptor_plan;
    struct descriptor_budget descriptors;
    struct snapshot_group *snapshots; /* readers: the shards by their index, then the admitter */
    struct snapshot_slot access;
    struct limits *limits;
    struct admission admission;
    struct admitter *admitter;
    struct health health;
    struct relay *relay;
    struct label_set labels;
    struct metrics_sources sources;
    struct http_mount metrics;
    struct http_server *http;
};

/* Writes into `error` that `what`, with `address` unless that is NULL, failed with `result`, and returns `result`. */
static int explain(char *error, size_t capacity, int result, const char *what, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES] = "";

    if (address)
        address_format(address, text);
    snprintf(error, capacity, "cannot %s%s%s: %s", what, address ? " " : "", text, strerror(-result));
    return result;
}

/* If this fails, the caller destroys what was created. */
static int start(struct service *service, char *error, size_t error_capacity);

int service_start(struct service **service, const struct options *options, char *error, size_t error_capacity)
{
    struct service *s = calloc(1, sizeof *s);
    int result;

    if (!s)
        return explain(error, error_capacity, -ENOMEM, "start", NULL);
    s->options = options;
    s->dpdk = dpdk_settings_of(options);
    s->health = (struct health){.grace_ns = options->health_grace_ms * NS_PER_MS, .upstreams = options->upstreams.count};
    s->descriptor_plan = descriptors_plan(options);
    result = start(s, error, error_capacity);
    if (result < 0) {
        service_destroy(s);
        return result;
    }
    start_report_running(options, s->relay, s->http ? http_server_port(s->http) : 0);
    *service = s;
    return 0;
}

void service_destroy(struct service *service)
{
    if (service->http)
        http_server_stop(service->http);
    metrics_sources_dispose(&service->sources);
    label_set_dispose(&service->labels);
    if (service->admitter)
        admitter_stop(service->admitter); /* it writes answers to memory that relay_destroy frees */
    if (service->relay)
        relay_destroy(service->relay);
    if (service->admitter)
        admitter_destroy(service->admitter);
    if (service->limits)
        limits_destroy(service->limits);
    if (service->snapshots)
        snapshot_publish(service->snapshots, &service->access, NULL);
    snapshot_group_destroy(service->snapshots);
    free(service);
}

static int create_access(struct service *service)
{
    const struct options *options = service->options;
    struct access_table *table = NULL;
    int result = snapshot_group_create(&service->snapshots, (unsigned)options->shards + 1);

    if (result == 0)
        result = access_table_create(&table, options->api_keys.apps, options->api_keys.count, options->public_access);
    if (result == 0)
        result = access_table_publish(service->snapshots, &service->access, table, options->api_keys.count);
    if (result < 0)
        access_table_destroy(table);
    return result;
}

static int create_limits(struct service *service)
{
    struct limits_options options = {
        .instance_limit = (uint32_t)service->options->instance_connection_limit,
        .ip_limit = (uint32_t)service->options->per_ip_connection_limit,
        .apps = service->options->api_keys.count,
        .seed = random_system_seed(),
    };
    struct admitter_options admitter_options = {
        .admission = &service->admission,
        .snapshots = service->snapshots,
        .reader = (unsigned)service->options->shards,
        .access = &service->access,
    };
    int result = limits_create(&service->limits, &options);

    admitter_options.limits = service->limits;
    return result < 0 ? result : admitter_create(&service->admitter, &admitter_options);
}

static struct shard_options shard_options_of(struct service *service)
{
    const struct options *options = service->options;

    return (struct shard_options){
        .snapshots = service->snapshots,
        .access = &service->access,
        .health = health_answer,
        .health_context = &service->health,
        .ip_header = *options->ip_addr_http_header ? options->ip_addr_http_header : NULL,
        .max_subscribers = (uint32_t)options->instance_connection_limit + SHARD_MAX_HANDSHAKES,
        .message_buffer_size = (uint32_t)options->message_buffer_size,
        .client_send_timeout_ns = options->client_send_timeout_ms * NS_PER_MS,
        .client_ping = options->client_ping_enabled,
        .client_ping_interval_ns = options->client_ping_interval_ms * NS_PER_MS,
        .client_pong_timeout_ns = options->client_pong_timeout_ms * NS_PER_MS,
        .seed = random_system_seed(),
    };
}

/* Such an engine is never the system's choice: if it can't be had, the flag is wrong. */
static bool is_only_by_name(const char *engine)
{
    const struct engine_kind *kind = engine_kind_find(engine);

    return kind && kind->only_by_name;
}

static int create_relay(struct service *service)
{
    const struct options *options = service->options;
    struct relay_options relay_options = {
        .listen = options->listen_addr,
        .shards = (unsigned)options->shards,
        .ingest = ingest_settings_of(options),
        .shard = shard_options_of(service),
        .admission = &service->admission,
        .apps = options->api_keys.count,
        .compress = options->enable_compression,
        .log_memory_bytes = options->log_memory_bytes,
        .notsent_lowat_bytes = (uint32_t)options->notsent_lowat_bytes,
        .descriptors = &service->descriptors,
        .busy_poll = options->busy_poll,
        .engine = options->engine,
        .dpdk = &service->dpdk,
        .refusal = is_only_by_name(options->engine) ? service->refusal : NULL,
        .refusal_bytes = sizeof service->refusal,
        .zerocopy = options->zerocopy,
        .cpu_list = options->cpu_list.cores,
        .cpu_count = options->cpu_list.count,
    };
    int result = relay_create(&service->relay, &relay_options);

    if (result == 0)
        service->health.relay = service->relay;
    return result;
}

static int collect_labels(struct service *service)
{
    int result = label_set_add_list(&service->labels, service->options->metrics_global_labels);
    char host[256];

    if (result == 0 && service->options->metrics_host_label && gethostname(host, sizeof host) == 0)
        result = label_set_add(&service->labels, "hostname", host);
    return result;
}

static int start_metrics(struct service *service, char *error, size_t error_capacity)
{
    const struct address *address = &service->options->metrics_addr;
    int result = collect_labels(service);

    if (result == 0)
        result = metrics_sources_init(&service->sources, service->relay, service->options, service->snapshots, &service->access,
                                      &service->labels);
    if (result < 0)
        return explain(error, error_capacity, result, "set up metrics", NULL);
    service->metrics = metrics_mount(&service->sources);
    result = http_server_start(&service->http, address, &service->metrics, 1);
    return result < 0 ? explain(error, error_capacity, result, "serve metrics on", address) : 0;
}

/* Gives connections the descriptors that are left. To be called once everything that stays open is open. */
static void share_descriptors(struct service *service)
{
    struct descriptor_share share = descriptors_share(&service->descriptor_plan, service->options);

    atomic_store(&service->descriptors.left, share.room);
    service->descriptors.short_below = share.short_below;
    limits_lower_instance_limit(service->limits, share.subscribers);
    start_report_descriptors(service->options, &service->descriptor_plan, &share);
}

static int start(struct service *service, char *error, size_t error_capacity)
{
    const struct options *options = service->options;
    int result = create_access(service);

    if (result == 0)
        result = create_limits(service);
    if (result < 0)
        return explain(error, error_capacity, result, "count connections", NULL);
    result = create_relay(service);
    if (*service->refusal) {
        snprintf(error, error_capacity, "%s", service->refusal);
        return -ENOTSUP;
    }
    if (result == -EADDRINUSE || result == -EADDRNOTAVAIL || result == -EACCES)
        return explain(error, error_capacity, result, "listen on", &options->listen_addr);
    if (result < 0)
        return explain(error, error_capacity, result, "start the relay (the log says more)", NULL);
    if (options->metrics)
        result = start_metrics(service, error, error_capacity);
    if (result < 0)
        return result;
    share_descriptors(service);
    result = admitter_start(service->admitter);
    if (result == 0)
        result = relay_start(service->relay);
    return result < 0 ? explain(error, error_capacity, result, "start threads", NULL) : 0;
}

uint64_t service_turn(struct service *service, uint64_t now_ns)
{
    return service->http ? metrics_turn(&service->sources, now_ns) : CLOCK_NEVER;
}

void service_drain(struct service *service)
{
    relay_drain(service->relay);
}

bool service_is_finished(struct service *service)
{
    return relay_is_finished(service->relay);
}

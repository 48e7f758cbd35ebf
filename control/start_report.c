#include "start_report.h"

#include "version.h"

#include <inttypes.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static void warn_of_plain_pages(const struct relay *relay)
{
    struct channel_figures figures;

    for (unsigned i = 0; i < relay_channel_count(relay); i++) {
        channel_figures_get(relay_channel(relay, i), &figures);
        if (figures.pages == CHANNEL_PAGES_PLAIN)
            log_line(LOG_WARN, "start",
                     "the %s log lies on plain pages, which costs CPU: allow huge ones (vm.nr_hugepages, or "
                     "/sys/kernel/mm/transparent_hugepage/enabled and shmem_enabled)",
                     figures.name);
    }
}

static void log_limits(const struct options *options)
{
    char per_ip[32] = "any number";

    if (options->per_ip_connection_limit)
        snprintf(per_ip, sizeof per_ip, "%" PRIu64, options->per_ip_connection_limit);
    log_line(LOG_INFO, "start",
             "at most %" PRIu64 " subscribers, %s per IP address; %u API keys%s; cut off when %" PRIu64
             " flashblocks behind or no byte taken for %" PRIu64 " ms",
             options->instance_connection_limit, per_ip, options->api_keys.count,
             options->api_keys.count && options->public_access ? " (and public access)" : "", options->message_buffer_size,
             options->client_send_timeout_ms);
}

/* The log's memory, over all channels. */
static uint64_t sum_arena_bytes(const struct relay *relay)
{
    struct channel_figures figures;
    uint64_t bytes = 0;

    for (unsigned i = 0; i < relay_channel_count(relay); i++) {
        channel_figures_get(relay_channel(relay, i), &figures);
        bytes += figures.arena_bytes;
    }
    return bytes;
}

void start_report_running(const struct options *options, const struct relay *relay, uint16_t metrics_port)
{
    static const char *const pages[] = {"huge", "transparent huge", "plain"};
    char listen[ADDRESS_TEXT_BYTES], metrics[ADDRESS_TEXT_BYTES] = "off", engine[160];
    struct address address = options->listen_addr;
    const struct engine_choice *engines = relay_engines(relay);
    struct channel_figures figures;

    address.port = engine_listen_port(relay_shard_engine(relay, 0));
    address_format(&address, listen);
    if (metrics_port) {
        address = options->metrics_addr;
        address.port = metrics_port;
        address_format(&address, metrics);
    }
    channel_figures_get(relay_channel(relay, 0), &figures);
    engines->kind->describe(engines->shared, engine, sizeof engine);
    log_line(LOG_INFO, "start",
             "flashrelay %s listens on %s; metrics: %s; upstreams: %u; shards: %u; log memory: %" PRIu64
             " MiB on %s pages%s; engine %s: %s",
             version_text(), listen, metrics, options->upstreams.count, relay_shard_count(relay), sum_arena_bytes(relay) / MIB,
             pages[figures.pages], options->enable_compression ? ", half of it for brotli" : "", engines->kind->name, engine);
    if (engines->reason[0])
        log_line(LOG_INFO, "start", "engine %s was chosen: %s", engines->kind->name, engines->reason);
    log_limits(options);
    warn_of_plain_pages(relay);
}

void start_report_descriptors(const struct options *options, const struct descriptor_plan *plan, unsigned room)
{
    log_line(
        LOG_INFO, "start",
        "%u file descriptors, of which %u stay reserved for upstreams, look-ups of their names, metrics and the log: room for %u "
        "connections, handshakes among them",
        plan->limit, plan->reserved, room);
    if (room < options->instance_connection_limit)
        log_line(LOG_WARN, "start",
                 "--instance-connection-limit %" PRIu64 " is more than the file descriptors allow (%u): who connects beyond will "
                 "wait; raise the limit (ulimit -Hn, LimitNOFILE=)",
                 options->instance_connection_limit, room);
}

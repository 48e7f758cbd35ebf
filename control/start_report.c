#include "start_report.h"

#include "options/defaults.h"
#include "version.h"

#include <inttypes.h>
#include <string.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (1024 * KIB)

/* Writes on which pages the log lies, for each channel where these differ. */
static void describe_pages(const struct relay *relay, char *text, size_t capacity)
{
    static const char *const pages[] = {"huge", "transparent huge", "plain"};
    struct channel_figures first, last;

    channel_figures_get(relay_channel(relay, 0), &first);
    channel_figures_get(relay_channel(relay, relay_channel_count(relay) - 1), &last);
    if (first.pages == last.pages)
        snprintf(text, capacity, "%s pages", pages[first.pages]);
    else
        snprintf(text, capacity, "%s pages (%s) and %s pages (%s)", pages[first.pages], first.name, pages[last.pages], last.name);
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

static void describe_shards(const struct options *options, char *text, size_t capacity)
{
    const struct machine *machine = &options->machine;
    char quota[64] = "";

    if (machine->quota_millis != UINT64_MAX)
        snprintf(quota, sizeof quota, ", CPU quota %" PRIu64 ".%02" PRIu64, machine->quota_millis / 1000,
                 machine->quota_millis % 1000 / 10);
    snprintf(text, capacity, "shards %" PRIu64 " (processors %" PRIu64 "%s, one for the ingest%s)", options->shards,
             machine->processors, quota, options->shards == RELAY_MAX_SHARDS ? ", no more are possible" : "");
}

static void describe_bytes(const char *what, uint64_t bytes, char *text, size_t capacity)
{
    bool is_whole = bytes % MIB == 0;

    snprintf(text, capacity, "%s %" PRIu64 " %s", what, bytes / (is_whole ? MIB : KIB), is_whole ? "MiB" : "KiB");
}

/* Appends `choice` to the list in `text`, if it `was_chosen`. */
static void append(char *text, size_t capacity, bool was_chosen, const char *choice)
{
    size_t length = strlen(text);

    if (was_chosen)
        snprintf(text + length, capacity - length, "%s%s", length ? ", " : "", choice);
}

/* Logs the values that were chosen because no source set them, and what they were chosen by. */
static void log_choices(const struct options *options)
{
    char shards[160], log[64], message[64], container[64] = "", text[384] = "";
    bool any = options->shards_by_default || options->log_memory_by_default || options->max_message_by_default;

    describe_shards(options, shards, sizeof shards);
    describe_bytes("log memory", options->log_memory_bytes, log, sizeof log);
    describe_bytes("largest message", options->max_message_bytes, message, sizeof message);
    append(text, sizeof text, options->shards_by_default, shards);
    append(text, sizeof text, options->log_memory_by_default, log);
    append(text, sizeof text, options->max_message_by_default, message);
    if (defaults_are_reduced(&options->machine))
        describe_bytes("; memory of the container", options->machine.memory_limit_bytes, container, sizeof container);
    if (any)
        log_line(LOG_INFO, "start", "by default: %s%s", text, container);
}

void start_report_running(const struct options *options, const struct relay *relay, uint16_t metrics_port)
{
    char listen[ADDRESS_TEXT_BYTES], metrics[ADDRESS_TEXT_BYTES] = "off", engine[160], pages[96];
    struct address address = options->listen_addr;
    const struct engine_choice *engines = relay_engines(relay);

    address.port = engine_listen_port(relay_shard_engine(relay, 0));
    address_format(&address, listen);
    if (metrics_port) {
        address = options->metrics_addr;
        address.port = metrics_port;
        address_format(&address, metrics);
    }
    describe_pages(relay, pages, sizeof pages);
    engines->kind->describe(engines->shared, engine, sizeof engine);
    log_line(LOG_INFO, "start",
             "flashrelay %s listens on %s; metrics: %s; upstreams: %u; shards: %u; log memory: %" PRIu64
             " MiB on %s%s; engine %s: %s",
             version_text(), listen, metrics, options->upstreams.count, relay_shard_count(relay), sum_arena_bytes(relay) / MIB,
             pages, options->enable_compression ? ", half of it for brotli" : "", engines->kind->name, engine);
    if (strcmp(options->engine, "auto") == 0)
        log_line(LOG_INFO, "start", "engine %s was chosen: %s", engines->kind->name,
                 engines->reason[0] ? engines->reason : "it is the best, and this system allows it");
    log_choices(options);
    log_limits(options);
}

void start_report_descriptors(const struct options *options, const struct descriptor_plan *plan,
                              const struct descriptor_share *share)
{
    log_line(
        LOG_INFO, "start",
        "%u file descriptors, of which %u stay reserved for upstreams, look-ups of their names, metrics and the log: room for %u "
        "connections, of which %u may be subscribers",
        plan->limit, plan->reserved, share->room, share->subscribers);
    if (share->subscribers < options->instance_connection_limit)
        log_line(LOG_WARN, "start",
                 "--instance-connection-limit %" PRIu64
                 " is more than the file descriptors allow: %u subscribers, and %u connections that "
                 "are being opened or closed; further subscribers will be refused; raise the limit (ulimit -Hn, LimitNOFILE=)",
                 options->instance_connection_limit, share->subscribers, share->room - share->subscribers);
}

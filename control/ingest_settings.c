#include "ingest_settings.h"

#include "flashrelay/clock.h"
#include "flashrelay/random.h"

struct ingest_options ingest_settings_of(const struct options *options)
{
    return (struct ingest_options){
        .upstreams = options->upstreams.uris,
        .upstream_count = options->upstreams.count,
        .ca_file = options->upstream_ca,
        .max_message_bytes = options->max_message_bytes,
        .max_backoff_ns = options->subscriber_max_interval_ms * NS_PER_MS,
        .ping_interval_ns = options->subscriber_ping_interval_ms * NS_PER_MS,
        .pong_timeout_ns = options->subscriber_pong_timeout_ms * NS_PER_MS,
        .seed = random_system_seed(),
        .secret = random_system_seed(),
    };
}

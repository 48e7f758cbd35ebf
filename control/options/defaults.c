#include "options/defaults.h"

#include "flashrelay/relay.h"

#define KIB               UINT64_C(1024)
#define MIB               (1024 * KIB)
#define LOG_MEMORY_BYTES  (128 * MIB)
#define MAX_MESSAGE_BYTES (32 * MIB)
/* The log's default share of a small container's memory: one part in this many. */
#define CONTAINER_PART 4
/* Least default values: what --max-message-bytes accepts, and the log memory that two channels need for it. */
#define LEAST_MESSAGE_BYTES KIB
#define LEAST_LOG_BYTES     (4 * LEAST_MESSAGE_BYTES)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* One shard per processor that the process may use at once, less one for the ingest, at least one. */
static uint64_t choose_shards(const struct machine *machine)
{
    uint64_t processors = least(machine->processors, machine->quota_millis / 1000);

    return least(most(processors, 2) - 1, RELAY_MAX_SHARDS);
}

bool defaults_are_reduced(const struct machine *machine)
{
    return machine->memory_limit_bytes / CONTAINER_PART < LOG_MEMORY_BYTES;
}

static uint64_t choose_log_memory(const struct machine *machine)
{
    return defaults_are_reduced(machine) ? most(machine->memory_limit_bytes / CONTAINER_PART, LEAST_LOG_BYTES) : LOG_MEMORY_BYTES;
}

/* In a small container at most half of a channel's memory. */
static uint64_t choose_max_message(const struct options *options)
{
    uint64_t half = options->log_memory_bytes / relay_channels_needed(options->enable_compression) / 2;

    return defaults_are_reduced(&options->machine) ? least(most(half, LEAST_MESSAGE_BYTES), MAX_MESSAGE_BYTES)
                                                   : MAX_MESSAGE_BYTES;
}

void defaults_choose(struct options *options, const struct machine *machine)
{
    options->machine = *machine;
    options->shards_by_default = options->shards == 0;
    options->log_memory_by_default = options->log_memory_bytes == 0;
    options->max_message_by_default = options->max_message_bytes == 0;
    if (options->shards_by_default)
        options->shards = choose_shards(machine);
    if (options->log_memory_by_default)
        options->log_memory_bytes = choose_log_memory(machine);
    if (options->max_message_by_default)
        options->max_message_bytes = choose_max_message(options);
}

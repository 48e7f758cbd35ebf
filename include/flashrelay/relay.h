/*
 * A whole data plane: channels, ingest, shards, encoder and their threads. Control creates one and reads its figures. Unless they say
 * otherwise these functions are called by the thread that created the relay.
 */
#ifndef FLASHRELAY_RELAY_H
#define FLASHRELAY_RELAY_H

#include "flashrelay/encoder.h"
#include "flashrelay/engine_kind.h"
#include "flashrelay/ingest.h"
#include "flashrelay/shard.h"

#define RELAY_MAX_SHARDS (CHANNEL_MAX_READERS - 1)

struct relay_options {
    struct address listen;
    unsigned shards;
    struct ingest_options ingest; /* channel, decompress, wakers: filled in by the relay */
    struct shard_options shard;   /* common to all shards; index, channels, admission ...: filled in by the relay */
    struct admission *admission;  /* answers and shard_wakers are filled in by the relay */
    unsigned apps;                /* counted per shard are the apps with numbers below this (access_table_publish); 0: none */
    bool compress;
    size_t log_memory_bytes; /* of all channels together, in equal parts */
    uint32_t notsent_lowat_bytes;
    struct descriptor_budget *descriptors; /* budget of the subscribers' connections; NULL: no limit */
    bool busy_poll;
    const char *engine; /* name of a kind in engine_kinds, or "auto"; beside one that only accepts, the ingest's is "auto" */
    const struct engine_dpdk_options *dpdk; /* for the engine "dpdk"; may be NULL else */
    char *refusal; /* where to write why the engine that `engine` names is refused; NULL: only into the log */
    size_t refusal_bytes;
    enum engine_zerocopy zerocopy;
    const int *cpu_list; /* cores of ingest, shard 0, shard 1 ..., repeated if there are fewer */
    unsigned cpu_count;  /* 0: threads are not pinned */
};

/* How many channels share the log's memory: the messages as upstreams bring them and, if compressing, the same in brotli. */
static inline unsigned relay_channels_needed(bool compress)
{
    return compress ? 2 : 1;
}

struct relay;

/*
 * Creates all parts and listens; no thread runs yet. `options` is copied; what it points to must outlive the relay. 0, or a negative errno
 * that was logged with its cause. The caller frees the relay with relay_destroy.
 */
int relay_create(struct relay **out, const struct relay_options *options);

/* Starts the threads. 0, or a negative errno that was logged; threads that were started then run until relay_destroy. */
int relay_start(struct relay *relay);

/*
 * Orderly end, without waiting: relay_drain asks the shards to drain. relay_is_finished is then to be called repeatedly: it stops the ingest
 * once all shards are drained, and returns true once the ingest has stopped too.
 */
void relay_drain(struct relay *relay);
bool relay_is_finished(struct relay *relay);

/* Stops all threads, waits for their end and frees everything, whether or not the relay was drained. */
void relay_destroy(struct relay *relay);

/* --- figures: for any thread, from relay_create to relay_destroy; what is returned by pointer belongs to the relay --- */

/* The number of channels: 2 if compressing, else 1. */
unsigned relay_channel_count(const struct relay *relay);

/* A channel: [0] as ingested, [1] brotli. `index` is below relay_channel_count. */
const struct channel *relay_channel(const struct relay *relay, unsigned index);

/* The number of shards, relay_options.shards. */
unsigned relay_shard_count(const struct relay *relay);

/* A shard, for its counters. `index` is below relay_shard_count. */
const struct shard *relay_shard(const struct relay *relay, unsigned index);

/* The kind of engines that was chosen for the shards, and why no kind before it. */
const struct engine_choice *relay_engines(const struct relay *relay);

/* The engine of the shard `index`, for its counters. `index` is below relay_shard_count. */
const struct engine *relay_shard_engine(const struct relay *relay, unsigned index);

/* Upgrade requests with a valid key of the app so far, summed over the shards. `app`: its number, below relay_options.apps. */
uint64_t relay_app_connections(const struct relay *relay, unsigned app);

/* The ingest, for its counters and those of its upstreams. */
const struct ingest *relay_ingest(const struct relay *relay);

/* The ingest's engine, for its counters. */
const struct engine *relay_ingest_engine(const struct relay *relay);

/* The encoder, for its counters; NULL if not compressing. */
const struct encoder *relay_encoder(const struct relay *relay);

#endif

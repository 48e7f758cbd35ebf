/* A whole data plane: channels, ingest, shards, encoder and their threads. Control creates one and reads its figures. */
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
    struct shard_options shard;   /* common to all; index, channels, admission ...: filled in by the relay */
    struct admission *admission;  /* answers and shard_wakers are filled in by the relay */
    unsigned apps;                /* how many counters app_connections has a shard */
    uint32_t instance_connection_limit;
    bool compress;
    size_t log_memory_bytes; /* of all channels together, in equal parts */
    uint32_t notsent_lowat_bytes;
    struct descriptor_budget *descriptors; /* of the subscribers; NULL: as many as can be had */
    bool busy_poll;
    const char *engine; /* name of the kind of engines, or "auto" */
    enum engine_zerocopy zerocopy;
    const int *cpu_list; /* core of ingest, shard 0, shard 1 ... repeated if shorter; NULL: unpinned */
    unsigned cpu_count;
};

/* How many channels share the log's memory: what upstreams bring, and the same in brotli. */
static inline unsigned relay_channels_needed(bool compress)
{
    return compress ? 2 : 1;
}

struct relay;

/* Creates everything and listens; no thread runs yet. 0 or a negative errno, which was logged with its cause. */
int relay_create(struct relay **out, const struct relay_options *options);

/* Starts the threads. */
int relay_start(struct relay *relay);

/* Orderly end, in steps that return at once: shards drain, then the ingest stops. relay_is_finished tells when all is done. */
void relay_drain(struct relay *relay);
bool relay_is_finished(struct relay *relay);

/* Ends all threads now, and frees everything. */
void relay_destroy(struct relay *relay);

/* Figures. The channels: [0] as ingested, [1] brotli if compressing. */
unsigned relay_channel_count(const struct relay *relay);
const struct channel *relay_channel(const struct relay *relay, unsigned index);
unsigned relay_shard_count(const struct relay *relay);
const struct shard *relay_shard(const struct relay *relay, unsigned index);
/* The kind of engines that was chosen, and why. */
const struct engine_choice *relay_engines(const struct relay *relay);
const struct engine *relay_shard_engine(const struct relay *relay, unsigned index);
/* Connections of an app, summed over shards. */
uint64_t relay_app_connections(const struct relay *relay, unsigned app);
const struct ingest *relay_ingest(const struct relay *relay);
const struct engine *relay_ingest_engine(const struct relay *relay);
const struct encoder *relay_encoder(const struct relay *relay); /* NULL if not compressing */

#endif

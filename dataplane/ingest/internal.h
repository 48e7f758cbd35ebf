/* What the ingest's own files share. */
#ifndef DATAPLANE_INGEST_INTERNAL_H
#define DATAPLANE_INGEST_INTERNAL_H

#include "flashrelay/ingest.h"
#include "flashrelay/random.h"
#include "ingest/publish.h"
#include "ingest/upstream.h"
#include "tls/client.h"

struct ingest {
    struct ingest_options options;
    struct engine *engine;
    struct publisher publisher;
    struct tls_client_context *tls; /* NULL without wss:// */
    struct random random;           /* of back-off jitter */
    struct ingest_counters counters;
    uint32_t connections; /* how many were made so far: the number of the latest one */
    unsigned open;        /* upstreams that are connected */
    uint64_t retry_ns;    /* when to look again for room in the log, unless a wake-up comes before */
    bool stopping;
    _Atomic bool stop_requested, stopped;
    _Atomic uint64_t down_since_ns;
    struct upstream upstreams[];
};

/* An upstream became connected, or ceased to be. */
void ingest_count_open(struct ingest *ingest, bool opened, uint64_t now_ns);

#endif

/*
 * From a whole message to a frame in the log: decompress where needed, drop what another connection brought, append, wake
 * the readers. Messages that find no room wait in line, first come first served, and so does everything that comes behind
 * them. The ingest's thread.
 */
#ifndef DATAPLANE_INGEST_PUBLISH_H
#define DATAPLANE_INGEST_PUBLISH_H

#include "base/message_buffer.h"
#include "flashrelay/ingest.h"
#include "flashrelay/list.h"
#include "ingest/recent.h"

/* A whole message of one upstream. Owned by it, and while it waits its bytes too. */
struct message {
    struct list_node line;              /* in the publisher's line while it waits, else in none */
    struct upstream_counters *counters; /* of the upstream */
    const char *name;                   /* of the upstream, for logs */
    const uint8_t *bytes;
    size_t length;
    uint64_t arrived_ns;
    uint32_t connection; /* who brought it */
    bool text;

    /* The publisher's, from its first look at the message on. */
    bool examined;
    bool unpacked;         /* its JSON is in the publisher's buffer */
    size_t unpacked_bytes; /* decompressed for it; the most there can be, where that failed */
    struct recent_identity identity;
};

#define PUBLISHER_SECRET_BYTES 192

struct publisher {
    const struct ingest_options *options;
    struct ingest_counters *counters;
    struct waker *waker;                    /* the ingest's own, from ingest_attach on */
    uint8_t secret[PUBLISHER_SECRET_BYTES]; /* without it nobody can make two messages of one identity */
    struct recent *recent;
    struct brotli_arena *arena;
    struct message_buffer json; /* of the message that is examined, or first in line */
    struct list_node line;
};

/* `options` and `counters` must outlive it. 0 or -ENOMEM. publisher_dispose takes it back, also of a zeroed struct. */
int publisher_init(struct publisher *publisher, const struct ingest_options *options, struct ingest_counters *counters);
void publisher_dispose(struct publisher *publisher);

/*
 * Offers a message. True: it is done, published or dropped. False: it waits in line; its bytes must stay, at
 * `message->bytes`, which may be moved before the next publisher_retry.
 */
bool publisher_offer(struct publisher *publisher, struct message *message);

/* True if messages wait. */
bool publisher_is_waiting(const struct publisher *publisher);

/* Tries the first in line again; returns it when it is done and has left the line, or NULL. Call until it returns NULL. */
struct message *publisher_retry(struct publisher *publisher);

/* Takes a message out of the line, if it is in it: it will not be published. */
void publisher_withdraw(struct message *message);

#endif

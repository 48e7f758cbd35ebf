/*
 * From a whole message to a frame in the log: decompresses it where needed, drops it if another connection brought it already, appends it,
 * wakes the readers. A message that finds no room waits in a queue, first come first served, and so do all messages that come after it. Runs on
 * the ingest's thread.
 */
#ifndef DATAPLANE_INGEST_PUBLISH_H
#define DATAPLANE_INGEST_PUBLISH_H

#include "base/message_buffer.h"
#include "flashrelay/ingest.h"
#include "flashrelay/list.h"
#include "ingest/recent.h"

/* A whole message of one upstream, which owns it and, while it waits, its bytes. */
struct message {
    struct list_node waiting_node;      /* in the publisher's `waiting` while it waits, else in no list */
    struct upstream_counters *counters; /* of the upstream */
    const char *name;                   /* of the upstream, for logs */
    const uint8_t *bytes;
    size_t length;
    uint64_t arrived_ns;
    uint32_t connection; /* number of the connection that brought it */
    bool text;

    /* Set by the publisher, from publisher_offer on. */
    bool examined;
    bool unpacked;         /* its JSON is in the publisher's buffer */
    size_t unpacked_bytes; /* decompressed for it; where that failed, the size of the buffer */
    struct recent_identity identity;
};

#define PUBLISHER_SECRET_BYTES 192

struct publisher {
    const struct ingest_options *options;
    struct ingest_counters *counters;
    struct waker *waker;                    /* the ingest's own, from ingest_attach on */
    uint8_t secret[PUBLISHER_SECRET_BYTES]; /* of the hash: needed to make two messages of one identity */
    struct recent *recent;
    struct brotli_arena *arena;
    struct message_buffer json; /* of the message that is being examined, or is the first that waits */
    struct list_node waiting;   /* of struct message, the oldest first */
};

/* `options` and `counters` must outlive it. 0 or -ENOMEM. publisher_dispose takes it back, also of a zeroed struct. */
int publisher_init(struct publisher *publisher, const struct ingest_options *options, struct ingest_counters *counters);
void publisher_dispose(struct publisher *publisher);

/*
 * Offers a message. True: it is done, published or dropped. False: it waits, and its bytes must be kept; the caller may move them
 * and set `message->bytes` before the next publisher_retry.
 */
bool publisher_offer(struct publisher *publisher, struct message *message);

/* True if messages wait. */
bool publisher_is_waiting(const struct publisher *publisher);

/* Tries the first waiting message again; returns it when it is done and waits no more, or NULL. Call until it returns NULL. */
struct message *publisher_retry(struct publisher *publisher);

/* Takes a message that waits out of the queue: it will not be published. Does nothing if it does not wait. */
void publisher_withdraw(struct message *message);

#endif

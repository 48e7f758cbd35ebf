/*
 * Looks up one host name at a time, on a thread of its own. A look-up that hangs does not hold up the caller: it can be cancelled, and the
 * resolver destroyed, at any time; the memory that the look-up still uses is freed when it ends.
 */
#ifndef DATAPLANE_INGEST_RESOLVER_H
#define DATAPLANE_INGEST_RESOLVER_H

#include "flashrelay/address.h"
#include "flashrelay/clock.h"

#include <stdbool.h>

#define RESOLVER_MAX_ADDRESSES 16
#define RESOLVER_POLL_NS       (10 * NS_PER_MS)

struct resolver;

struct resolver_answer {
    unsigned count;                                   /* 0: `error` says why */
    struct address addresses[RESOLVER_MAX_ADDRESSES]; /* in the order of RFC 6724 */
    const char *error;                                /* static text */
};

/* 0 or -ENOMEM. */
int resolver_create(struct resolver **out);
void resolver_destroy(struct resolver *resolver);

/*
 * Starts looking up `host` (at most 255 bytes). 0; -EBUSY while an earlier look-up has not ended; -EAGAIN where no thread
 * can be had.
 */
int resolver_start(struct resolver *resolver, const char *host, uint16_t port);

/* Takes the answer to the last resolver_start; false while there is none: ask again after RESOLVER_POLL_NS. */
bool resolver_take(struct resolver *resolver, struct resolver_answer *answer);

/* Gives up the look-up of the last resolver_start: its answer is dropped. */
void resolver_cancel(struct resolver *resolver);

#endif

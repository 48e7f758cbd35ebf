/*
 * Keeps the last messages that a builder sent and compares with them, byte by byte and piece by piece, what thousands of subscribers
 * receive. One thread appends, another checks. Messages must differ in their first bytes, as flashblocks do.
 */
#ifndef TOOLS_COMMON_LEDGER_H
#define TOOLS_COMMON_LEDGER_H

#include "flashrelay/counter.h"
#include "flashrelay/histogram.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_ENTRIES 256 /* messages kept */

struct ledger_entry {
    uint64_t sequence; /* from 1; 0: none yet */
    uint8_t *bytes;
    size_t length;
    uint64_t offered_ns;
    uint64_t last_ns; /* when the latest delivery so far was complete */
    uint32_t deliveries;
};

/* The sums of all checks. */
struct ledger_tally {
    uint64_t deliveries;         /* complete and equal messages, except to guests */
    uint64_t guest_deliveries;   /* the same to guests */
    uint64_t lost;               /* messages missing between two received ones, or at the end */
    uint64_t repeated;           /* messages received again, or after a later one */
    uint64_t corrupt;            /* messages that are equal to none in the ledger */
    struct histogram latency_ns; /* of deliveries since the last ledger_take_latency: from offered to the last byte */
};

/* The position of one subscriber in the stream. All zero: it begins at any message. A guest's messages are checked like any other
 * but are neither timed nor counted in `deliveries`. */
struct ledger_cursor {
    uint64_t expected; /* the next message must be this one; 0: any */
    uint64_t current;  /* the message that the bytes so far are equal to; 0: none, it is corrupt */
    size_t offset;     /* bytes of the current message so far */
    bool guest;
};

struct ledger {
    pthread_mutex_t mutex;
    struct ledger_entry entries[LEDGER_ENTRIES];
    uint64_t head; /* newest sequence */
    struct ledger_tally tally;
};

void ledger_init(struct ledger *ledger);
void ledger_dispose(struct ledger *ledger);

/* Keeps a copy of a message that is offered now. Returns its sequence, or 0 if memory is exhausted. Called by the builder's thread. */
uint64_t ledger_append(struct ledger *ledger, const void *bytes, size_t length, uint64_t offered_ns);

/* Checks a piece that the cursor's subscriber received; `last` ends a message, which is then counted. */
void ledger_check(struct ledger *ledger, struct ledger_cursor *cursor, const uint8_t *bytes, size_t length, bool last,
                  uint64_t now_ns);

/* Counts as lost the messages up to `sequence` that a subscriber did not receive. */
void ledger_settle(struct ledger *ledger, struct ledger_cursor *cursor, uint64_t sequence);

/* The newest sequence. */
uint64_t ledger_head(struct ledger *ledger);

/* Copies the entry of a message, without its bytes. False if the message is not kept (any more). */
bool ledger_find(struct ledger *ledger, uint64_t sequence, struct ledger_entry *entry);

/* Adds the latencies counted since the last call to `into`. The checking thread. */
void ledger_take_latency(struct ledger *ledger, struct histogram *into);

/* The tally; read by the checking thread. */
const struct ledger_tally *ledger_tally_get(const struct ledger *ledger);

#endif

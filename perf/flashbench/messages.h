/*
 * The messages of a run: their bytes, when the builder offered them, and when each subscriber received them. A message is recognised by its
 * first bytes, so its content may be anything whose first bytes differ from message to message, as those of flashblocks do.
 */
#ifndef PERF_FLASHBENCH_MESSAGES_H
#define PERF_FLASHBENCH_MESSAGES_H

#include "flashbench/recorder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Power of two. A message that arrives after this many newer ones were offered is not recognised, and counts as corrupt. */
#define MESSAGES_KEPT 512
/* Messages are recognised by this many bytes at their beginning. */
#define MESSAGE_PREFIX_BYTES 64
#define MESSAGE_TICK_NS      8 /* unit of latencies: 34 s fit into 32 bits */

/* When a message's last bytes arrived at a subscriber (CLOCK_MONOTONIC). */
struct arrival {
    uint64_t stamped_ns; /* the kernel's receive time stamp; read_ns if there is none */
    uint64_t read_ns;    /* when the call that read them returned */
};

/* The same as latencies in MESSAGE_TICK_NS, at least 1; 0 while the message has not arrived. */
struct message_latency {
    uint32_t stamped, read;
};

struct bench_message {
    uint64_t number; /* from 1 */
    uint8_t *bytes;  /* of the JSON, behind `header_length` bytes of frame header */
    size_t length, capacity;
    uint8_t header_length;
    uint8_t *packed; /* the brotli form in which the message arrived; NULL until one has arrived */
    size_t packed_length;
    uint64_t offered_ns; /* when its first byte was offered; when it was due, if the proxy had not taken those before it */
    uint32_t owed, delivered;
    struct message_latency *arrivals; /* by subscriber */
    bool measured;                    /* offered within the measured time */
    bool open;                        /* offered and not yet settled */
};

/* One message as a point on the time line. */
struct message_point {
    uint64_t at_ns; /* since the first measured one */
    uint32_t first_us, median_us, last_us;
};

#define TIME_LINE_POINTS 4096

/* Latencies of all settled, measured messages, by one of the two times of arrival. */
struct latency_totals {
    struct recorder delivery;                    /* of every delivery; a lost one counts with the time for which it was missing */
    struct recorder first, median, last, spread; /* of each message */
};

/* The sums of all settled, measured messages. */
struct message_totals {
    uint64_t messages, owed, deliveries, bytes;
    uint64_t lost, late, repeated, reordered, corrupt;
    uint64_t verified_whole; /* deliveries compared byte by byte; of the others, only beginning and length are compared */
    struct latency_totals stamped, read;
    struct message_point *points; /* by the kernel's time stamps */
    uint32_t point_count, point_stride;
};

struct messages {
    struct bench_message kept[MESSAGES_KEPT];
    uint64_t head;      /* the newest number offered */
    uint64_t unsettled; /* the oldest number not settled */
    uint32_t columns;   /* subscribers */
    double *rank_sums;  /* by subscriber: rank by time stamp, from 0 (first) to 1 (last), summed over messages */
    uint32_t *rank_counts;
    uint64_t *sort_space;
    uint64_t measured_from_ns;
    struct message_totals totals;
};

/* Prepares for `subscribers` columns. 0 or -ENOMEM. */
int messages_init(struct messages *messages, uint32_t subscribers);
void messages_dispose(struct messages *messages);

/* The slot of the next message, into which the caller writes its bytes. Settles the message that was in the slot. */
struct bench_message *messages_next(struct messages *messages, uint64_t now_ns);

/* Notes that the next message is offered now, and owed to `owed` subscribers. */
void messages_offer(struct messages *messages, uint64_t now_ns, uint32_t owed, bool measured);

/* A message that is kept, by number, or NULL. */
struct bench_message *messages_find(struct messages *messages, uint64_t number);

/* The kept message that begins with `prefix`, `expected` first; NULL if none does. `packed`: compares with the brotli
 * forms that have arrived, not with the JSON. */
struct bench_message *messages_recognise(struct messages *messages, const uint8_t *prefix, size_t length, uint64_t expected,
                                         bool packed);

/* Adds `change` (1 or -1) to the number of subscribers to which each unsettled message from `number` on is owed. */
void messages_owe(struct messages *messages, uint64_t number, int change);

/* Message `message` has arrived whole at subscriber `column`. */
void messages_arrived(struct messages *messages, struct bench_message *message, uint32_t column, const struct arrival *arrival);

/* Settles the oldest message, if it has arrived everywhere or is older than `patience_ns`. False if there was none to settle. */
bool messages_settle(struct messages *messages, uint64_t now_ns, uint64_t patience_ns);

/* Settles all remaining messages. Those that have not arrived everywhere are left out of the totals: in an interrupted run, their deliveries
 * may be on the way. */
void messages_abandon(struct messages *messages, uint64_t now_ns);

#endif

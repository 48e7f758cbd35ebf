/*
 * The messages of a run: what the builder offered, when, and when which subscriber had it. Recognises a message by its beginning, so any
 * content will do whose first bytes differ from message to message, as a flashblock's do.
 */
#ifndef PERF_FLASHBENCH_MESSAGES_H
#define PERF_FLASHBENCH_MESSAGES_H

#include "flashbench/recorder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGES_KEPT 512 /* power of two; a message that arrives after so many newer ones were offered counts as late */
/* This many bytes at the beginning tell messages apart. */
#define MESSAGE_PREFIX_BYTES 64
#define MESSAGE_TICK_NS      8 /* 34 s fit into 32 bits */

/* When a message's last bytes arrived at a subscriber (CLOCK_MONOTONIC). */
struct arrival {
    uint64_t stamped_ns; /* the kernel's receive time stamp; read_ns where there is none */
    uint64_t read_ns;    /* when the call that read them returned */
};

/* The same as latencies in MESSAGE_TICK_NS, at least 1; 0 while the message has not come. */
struct message_latency {
    uint32_t stamped, read;
};

struct bench_message {
    uint64_t number; /* from 1 */
    uint8_t *bytes;  /* of the JSON, behind `header_length` bytes of frame header */
    size_t length, capacity;
    uint8_t header_length;
    uint8_t *packed; /* the brotli form in which it came, once one came; NULL before */
    size_t packed_length;
    uint64_t offered_ns; /* when its first byte was offered; when it was due, if the proxy did not take the one before */
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
    struct recorder delivery;                    /* of every delivery; what was lost counts with the time it has been missing */
    struct recorder first, median, last, spread; /* of each message */
};

/* What all settled, measured messages add up to. */
struct message_totals {
    uint64_t messages, owed, deliveries, bytes;
    uint64_t lost, late, repeated, reordered, corrupt;
    uint64_t verified_whole; /* deliveries compared byte by byte; of the others, beginning and length */
    struct latency_totals stamped, read;
    struct message_point *points; /* by the time stamps */
    uint32_t point_count, point_stride;
};

struct messages {
    struct bench_message kept[MESSAGES_KEPT];
    uint64_t head;      /* the newest number offered */
    uint64_t unsettled; /* the oldest number not settled */
    uint32_t columns;   /* subscribers */
    double *rank_sums;  /* by subscriber: 0 first, 1 last by the time stamps, summed over messages */
    uint32_t *rank_counts;
    uint64_t *sort_space;
    uint64_t measured_from_ns;
    struct message_totals totals;
};

/* Prepares for `subscribers` columns. 0 or -ENOMEM. */
int messages_init(struct messages *messages, uint32_t subscribers);
void messages_dispose(struct messages *messages);

/* The slot of the next message, into which its bytes are written; settles the message that was in it. */
struct bench_message *messages_next(struct messages *messages, uint64_t now_ns);

/* The next message is offered now, and owed to `owed` subscribers. */
void messages_offer(struct messages *messages, uint64_t now_ns, uint32_t owed, bool measured);

/* A message that is kept, by number, or NULL. */
struct bench_message *messages_find(struct messages *messages, uint64_t number);

/* The kept message that begins with `prefix`, `expected` first; NULL if none does. `packed`: of the forms that came. */
struct bench_message *messages_recognise(struct messages *messages, const uint8_t *prefix, size_t length, uint64_t expected,
                                         bool packed);

/* Adds `change` (1 or -1) to the subscribers to whom each offered message from `number` on is owed. */
void messages_owe(struct messages *messages, uint64_t number, int change);

/* Message `message` has arrived whole at subscriber `column`. */
void messages_arrived(struct messages *messages, struct bench_message *message, uint32_t column, const struct arrival *arrival);

/* Settles a message that all have, or that is older than `patience_ns`; at most one per call. False if there was none. */
bool messages_settle(struct messages *messages, uint64_t now_ns, uint64_t patience_ns);

/* Settles the rest when a run is interrupted: messages that not all have are left out of the totals, as they may be on their way. */
void messages_abandon(struct messages *messages, uint64_t now_ns);

#endif

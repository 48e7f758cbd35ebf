/*
 * A timer wheel in two parts: 64 slots of 1 ms, and 4,096 of 16 ms. A slot is a chain of chunks of 64 bytes with entries of 4 bytes, the
 * number of a connection and its generation. A connection has at most one entry in each part. An entry that fires says nothing but that its
 * time has come: what is due then, the connection says.
 */
#ifndef PERF_BYPASS_FLOOR_TIMER_WHEEL_H
#define PERF_BYPASS_FLOOR_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_NEAR_SLOTS    64
#define WHEEL_FAR_SLOTS     4096
#define WHEEL_FAR_MS        16
#define WHEEL_CHUNK_ENTRIES 14

struct timer_chunk {
    uint32_t next; /* number of the next chunk; 0: none */
    uint32_t count;
    uint32_t entries[WHEEL_CHUNK_ENTRIES];
};

_Static_assert(sizeof(struct timer_chunk) == 64, "a chunk is a cache line");

struct timer_wheel {
    struct timer_chunk *chunks;
    uint32_t chunk_count, untouched, free; /* all; the first that was never used; the first of a chain of free ones, 0: none */
    uint32_t near[WHEEL_NEAR_SLOTS], far[WHEEL_FAR_SLOTS]; /* first chunk of each slot; 0: none */
    uint64_t now_ms;                                       /* everything up to it has fired */
};

enum wheel_part { WHEEL_NEAR, WHEEL_FAR };

/* 0 or -ENOMEM. timer_wheel_dispose frees it; a zeroed one is allowed. */
int timer_wheel_init(struct timer_wheel *wheel, uint32_t connections, uint64_t now_ms);
void timer_wheel_dispose(struct timer_wheel *wheel);

/* The part of the wheel in which a deadline lies. */
static inline enum wheel_part timer_wheel_part(const struct timer_wheel *wheel, uint64_t deadline_ms)
{
    return deadline_ms < wheel->now_ms + WHEEL_NEAR_SLOTS ? WHEEL_NEAR : WHEEL_FAR;
}

/* Adds an entry. The connection has none in that part. */
void timer_wheel_add(struct timer_wheel *wheel, enum wheel_part part, uint64_t deadline_ms, uint32_t entry);

/* Called with the entries of a chunk; it may add entries. */
typedef void wheel_fired(void *context, enum wheel_part part, const uint32_t *entries, uint32_t count);

/* Fires all entries that are due at `now_ms`. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms, wheel_fired *fired, void *context);

#endif

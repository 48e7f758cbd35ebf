/*
 * Timer wheels. A wheel has a slot per unit of time; a slot is a chain of chunks of one cache line each, which hold entries of 32 bits. An
 * entry cannot be removed: who is found by it looks what is due, and enters again if something is due later. So acknowledgements touch no
 * wheel, and a connection needs one entry per delivery.
 *
 * Several wheels take their chunks from one pool.
 */
#ifndef DATAPLANE_ENGINE_TCP_WHEEL_H
#define DATAPLANE_ENGINE_TCP_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_CHUNK_ENTRIES 14
#define WHEEL_MAX_SLOTS     4096

struct wheel_chunk {
    uint32_t next; /* number of the next chunk of the slot, or of the next free one, plus 1; 0: none */
    uint32_t count;
    uint32_t entries[WHEEL_CHUNK_ENTRIES];
};
_Static_assert(sizeof(struct wheel_chunk) == 64, "a chunk is to fill one cache line");

struct wheel_pool {
    struct wheel_chunk *chunks;
    uint32_t capacity, touched, free;
};

struct wheel {
    struct wheel_pool *pool;
    uint32_t *slots;      /* numbers of their first chunks plus 1 */
    uint64_t *used;       /* one bit per slot */
    uint32_t slot_count;  /* power of two, at least 64 */
    unsigned shift;       /* a unit of time is 2^shift ticks */
    uint32_t position;    /* in units: everything due before it has been taken */
    uint32_t entry_count; /* in all slots */
};

/* Maps a pool for `entries` entries at once in wheels of together `slots` slots; touched as it is used. 0 or -ENOMEM. */
int wheel_pool_init(struct wheel_pool *pool, size_t entries, size_t slots);
void wheel_pool_dispose(struct wheel_pool *pool);

/* Prepares a wheel that begins at `now`, a time in ticks. 0 or -ENOMEM. */
int wheel_init(struct wheel *wheel, struct wheel_pool *pool, uint32_t slots, unsigned shift, uint32_t now);
void wheel_dispose(struct wheel *wheel);

/* How far in the future, in ticks, an entry may be due. */
static inline uint32_t wheel_span(const struct wheel *wheel)
{
    return (wheel->slot_count - 2) << wheel->shift;
}

/*
 * Adds an entry that is taken in the slot of the time `due` (in ticks, at most wheel_span after now), or in the next one if due is
 * past. Returns the time at which that slot begins. All wheels of the pool together may hold as many entries as the pool was made for.
 */
uint32_t wheel_add(struct wheel *wheel, uint32_t due, uint32_t entry);

/* Takes an entry whose slot begins at `now` or earlier. False if there is none. */
bool wheel_take(struct wheel *wheel, uint32_t now, uint32_t *entry);

/* True if the wheel has an entry; then *due is the time in ticks at which the first slot begins that has one. */
bool wheel_next(const struct wheel *wheel, uint32_t *due);

#endif

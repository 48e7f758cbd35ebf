#include "engine/tcp/wheel.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

int wheel_pool_init(struct wheel_pool *pool, size_t entries, size_t slots)
{
    size_t chunks = entries / WHEEL_CHUNK_ENTRIES + slots + 1;
    void *memory =
        mmap(NULL, chunks * sizeof *pool->chunks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    *pool = (struct wheel_pool){.chunks = memory, .capacity = (uint32_t)chunks};
    return 0;
}

void wheel_pool_dispose(struct wheel_pool *pool)
{
    if (pool->chunks)
        munmap(pool->chunks, pool->capacity * sizeof *pool->chunks);
    pool->chunks = NULL;
}

int wheel_init(struct wheel *wheel, struct wheel_pool *pool, uint32_t slots, unsigned shift, uint32_t now)
{
    assert(slots >= 64 && slots <= WHEEL_MAX_SLOTS && (slots & (slots - 1)) == 0);
    *wheel = (struct wheel){.pool = pool, .slot_count = slots, .shift = shift, .position = now >> shift};
    wheel->slots = calloc(slots, sizeof *wheel->slots);
    wheel->used = calloc(slots / 64, sizeof *wheel->used);
    return wheel->slots && wheel->used ? 0 : -ENOMEM;
}

void wheel_dispose(struct wheel *wheel)
{
    free(wheel->slots);
    free(wheel->used);
    wheel->slots = NULL;
    wheel->used = NULL;
}

static uint32_t chunk_get(struct wheel_pool *pool)
{
    uint32_t number = pool->free;

    if (number != 0) {
        pool->free = pool->chunks[number - 1].next;
        return number;
    }
    assert(pool->touched < pool->capacity);
    return ++pool->touched;
}

/*
 * The unit of time of `due`, between the wheel's position and its end: an entry beyond that (the thread was held up) is taken early. Units wrap
 * as ticks do, with fewer bits.
 */
static uint32_t unit_of(const struct wheel *wheel, uint32_t due)
{
    uint32_t ahead = (due >> wheel->shift) - wheel->position;
    uint32_t mask = UINT32_MAX >> wheel->shift;

    ahead &= mask;
    if (ahead > mask / 2)
        ahead = 0;
    if (ahead >= wheel->slot_count)
        ahead = wheel->slot_count - 1;
    return wheel->position + ahead;
}

uint32_t wheel_add(struct wheel *wheel, uint32_t due, uint32_t entry)
{
    uint32_t unit = unit_of(wheel, due), slot = unit & (wheel->slot_count - 1);
    uint32_t *first = &wheel->slots[slot];
    struct wheel_chunk *chunks = wheel->pool->chunks;

    if (*first == 0 || chunks[*first - 1].count == WHEEL_CHUNK_ENTRIES) {
        uint32_t number = chunk_get(wheel->pool);

        chunks[number - 1].next = *first;
        chunks[number - 1].count = 0;
        *first = number;
        wheel->used[slot / 64] |= UINT64_C(1) << slot % 64;
    }
    struct wheel_chunk *chunk = &chunks[*first - 1];
    chunk->entries[chunk->count++] = entry;
    wheel->entry_count++;
    return unit << wheel->shift;
}

/* How many units after the position the first slot with an entry is. There must be one. */
static uint32_t units_to_next(const struct wheel *wheel)
{
    uint32_t from = wheel->position & (wheel->slot_count - 1), word = from / 64, words = wheel->slot_count / 64;
    uint64_t bits = wheel->used[word] & UINT64_MAX << from % 64;

    while (bits == 0) {
        word = (word + 1) % words;
        bits = wheel->used[word];
    }
    return (word * 64 + (uint32_t)__builtin_ctzll(bits) - from) & (wheel->slot_count - 1);
}

static bool take_of_slot(struct wheel *wheel, uint32_t slot, uint32_t *entry)
{
    uint32_t *first = &wheel->slots[slot];
    struct wheel_chunk *chunk = &wheel->pool->chunks[*first - 1];
    uint32_t number = *first;

    *entry = chunk->entries[--chunk->count];
    wheel->entry_count--;
    if (chunk->count > 0)
        return true;
    *first = chunk->next;
    chunk->next = wheel->pool->free;
    wheel->pool->free = number;
    if (*first == 0)
        wheel->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    return true;
}

bool wheel_take(struct wheel *wheel, uint32_t now, uint32_t *entry)
{
    uint32_t mask = UINT32_MAX >> wheel->shift;
    uint32_t ahead = ((now >> wheel->shift) - wheel->position) & mask;

    if (ahead > mask / 2)
        return false; /* the clock of this call is older than the last one's */
    if (wheel->entry_count == 0) {
        wheel->position += ahead;
        return false;
    }
    uint32_t next = units_to_next(wheel);
    if (next > ahead) {
        wheel->position += ahead;
        return false;
    }
    wheel->position += next;
    return take_of_slot(wheel, wheel->position & (wheel->slot_count - 1), entry);
}

bool wheel_next(const struct wheel *wheel, uint32_t *due)
{
    if (wheel->entry_count == 0)
        return false;
    *due = (wheel->position + units_to_next(wheel)) << wheel->shift;
    return true;
}

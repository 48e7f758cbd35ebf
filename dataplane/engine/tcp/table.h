/*
 * The table of an engine's connections: from a packet's addresses to a slot number. Entries have 4 bytes, a slot number and 10 bits of the
 * hash; the table is at most half full. An entry lies in one of two buckets of 16 entries (one cache line each): in the first if that had
 * room, so that a look-up reads at most 32 entries, usually one or two. A few of a million connections find both of their buckets full: their
 * entries are in a short list that every look-up reads as long as it has any. The caller compares the connection's addresses.
 */
#ifndef DATAPLANE_ENGINE_TCP_TABLE_H
#define DATAPLANE_ENGINE_TCP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_SLOT_BITS 22
#define TABLE_SLOT_MASK ((1u << TABLE_SLOT_BITS) - 1)
#define TABLE_MAX_SLOTS TABLE_SLOT_MASK
#define TABLE_BUCKET    16
#define TABLE_OVERFLOW  128

struct table {
    uint32_t *entries; /* 0: free; else the slot number plus 1, above it the tag */
    size_t mapped_bytes;
    uint32_t bucket_mask;
    uint32_t overflow_count;
    uint32_t overflow[TABLE_OVERFLOW]; /* entries for which neither of their buckets had room */
};

/* Where a look-up goes on. */
struct table_search {
    uint64_t hash;
    unsigned step;
};

/* Maps a table for `slots` connections, at most TABLE_MAX_SLOTS; memory is touched as it is used. 0 or -ENOMEM. */
int table_init(struct table *table, uint32_t slots);
void table_dispose(struct table *table);

/* Adds slot number `slot`. False if neither the buckets nor the list have room, which half a table's load makes practically impossible. */
bool table_add(struct table *table, uint64_t hash, uint32_t slot);
void table_remove(struct table *table, uint64_t hash, uint32_t slot);

/* Fetches the first bucket into the cache. */
static inline void table_prefetch(const struct table *table, uint64_t hash)
{
    __builtin_prefetch(&table->entries[(hash & table->bucket_mask) * TABLE_BUCKET]);
}

/*
 * The slot number in the place where a look-up begins, if its tag is the one of the hash, as it nearly always is for a connection that is there;
 * else UINT32_MAX.
 */
static inline uint32_t table_guess(const struct table *table, uint64_t hash)
{
    uint32_t entry = table->entries[(hash & table->bucket_mask) * TABLE_BUCKET + (hash >> 48) % TABLE_BUCKET];
    uint32_t tag = (uint32_t)(hash >> (32 + TABLE_SLOT_BITS)) << TABLE_SLOT_BITS;

    return entry != 0 && ((entry ^ tag) & ~TABLE_SLOT_MASK) == 0 ? (entry & TABLE_SLOT_MASK) - 1 : UINT32_MAX;
}

/* Finds the next slot number whose hash may be the one of `search`, which begins with step 0. False if there is none. */
bool table_next(const struct table *table, struct table_search *search, uint32_t *slot);

#endif

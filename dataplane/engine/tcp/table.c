#include "engine/tcp/table.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>

#define STEPS (2 * TABLE_BUCKET)

int table_init(struct table *table, uint32_t slots)
{
    uint32_t buckets = 1;

    assert(slots <= TABLE_MAX_SLOTS);
    while (buckets * TABLE_BUCKET < 2 * (size_t)slots)
        buckets *= 2;
    table->bucket_mask = buckets - 1;
    table->overflow_count = 0;
    table->mapped_bytes = (size_t)buckets * TABLE_BUCKET * sizeof *table->entries;
    table->entries = mmap(NULL, table->mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table->entries != MAP_FAILED)
        return 0;
    table->entries = NULL;
    return -ENOMEM;
}

void table_dispose(struct table *table)
{
    if (table->entries)
        munmap(table->entries, table->mapped_bytes);
    table->entries = NULL;
}

static uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> (64 - (32 - TABLE_SLOT_BITS))) << TABLE_SLOT_BITS;
}

/* The first entry of the bucket in which a step lies. */
static uint32_t *bucket_of(const struct table *table, uint64_t hash, unsigned step)
{
    uint64_t bucket = step < TABLE_BUCKET ? hash : hash >> 22 ^ hash * 0x9e3779b97f4a7c15;

    return &table->entries[(bucket & table->bucket_mask) * TABLE_BUCKET];
}

/* The place of a step within its bucket: from one that other bits of the hash choose than the bucket. */
static unsigned place_in_bucket(uint64_t hash, unsigned step)
{
    return ((unsigned)(hash >> 48) + step) % TABLE_BUCKET;
}

/* The place of a step: the entries of the first bucket, then those of the second. */
static uint32_t *place(const struct table *table, uint64_t hash, unsigned step)
{
    return bucket_of(table, hash, step) + place_in_bucket(hash, step);
}

bool table_add(struct table *table, uint64_t hash, uint32_t slot)
{
    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t *entry = place(table, hash, step);

        if (*entry != 0)
            continue;
        *entry = tag_of(hash) | (slot + 1);
        return true;
    }
    if (table->overflow_count == TABLE_OVERFLOW)
        return false;
    table->overflow[table->overflow_count++] = tag_of(hash) | (slot + 1);
    return true;
}

static void remove_overflow(struct table *table, uint32_t wanted)
{
    uint32_t place = 0;

    while (place < table->overflow_count && table->overflow[place] != wanted)
        place++;
    assert(place < table->overflow_count);
    table->overflow[place] = table->overflow[--table->overflow_count];
}

void table_remove(struct table *table, uint64_t hash, uint32_t slot)
{
    uint32_t wanted = tag_of(hash) | (slot + 1);
    unsigned step = 0;

    while (step < STEPS && *place(table, hash, step) != wanted)
        step++;
    if (step < STEPS)
        *place(table, hash, step) = 0;
    else
        remove_overflow(table, wanted);
}

/* True if the entry, which is not free, has the tag. */
static bool has_tag(uint32_t entry, uint32_t tag)
{
    return (entry ^ tag) - 1 < TABLE_SLOT_MASK; /* a free entry is 0, all others have a slot number above 0 */
}

static bool next_in_buckets(const struct table *table, struct table_search *search, uint32_t tag, uint32_t *entry)
{
    while (search->step < STEPS) {
        const uint32_t *bucket = bucket_of(table, search->hash, search->step);

        do {
            *entry = bucket[place_in_bucket(search->hash, search->step++)];
            if (has_tag(*entry, tag))
                return true;
        } while (search->step % TABLE_BUCKET != 0);
    }
    return false;
}

static bool next_in_overflow(const struct table *table, struct table_search *search, uint32_t tag, uint32_t *entry)
{
    while (search->step < STEPS + table->overflow_count) {
        *entry = table->overflow[search->step++ - STEPS];
        if (has_tag(*entry, tag))
            return true;
    }
    return false;
}

bool table_next(const struct table *table, struct table_search *search, uint32_t *slot)
{
    uint32_t tag = tag_of(search->hash), entry;

    if (!next_in_buckets(table, search, tag, &entry) && !next_in_overflow(table, search, tag, &entry))
        return false;
    *slot = (entry & TABLE_SLOT_MASK) - 1;
    return true;
}

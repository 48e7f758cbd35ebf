/*
 * Finds connections by addresses and ports. Entries of 4 bytes: the number of a slot and 10 bits of the hash. Open addressing, at most half
 * full. The sender compares the whole key with the connection itself.
 */
#ifndef PERF_BYPASS_FLOOR_CONNECTION_TABLE_H
#define PERF_BYPASS_FLOOR_CONNECTION_TABLE_H

#define XXH_INLINE_ALL

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>

#define TABLE_NONE       UINT32_MAX /* a free entry, and no slot */
#define TABLE_SLOT_BITS  22
#define TABLE_MAX_PROBES 128 /* half full, a million finds no place within 32 */

/* Addresses and ports as they stand in a received packet. */
struct connection_key {
    uint32_t remote_ip, local_ip;
    uint16_t remote_port, local_port;
};

struct connection_table {
    uint32_t *entries;
    uint32_t mask;
    uint64_t seed;
};

/* 0 or -ENOMEM. connection_table_dispose frees it; a zeroed one is allowed. */
int connection_table_init(struct connection_table *table, uint32_t connections, uint64_t seed);
void connection_table_dispose(struct connection_table *table);

/* Adds a slot. False if TABLE_MAX_PROBES entries in a row are in use. */
bool connection_table_add(struct connection_table *table, const struct connection_key *key, uint32_t slot);

/*
 * `key`: the bytes of a struct connection_key. In an IPv4 packet without options they stand like that: copying them first costs more than the
 * hash, because it reads in larger steps than a copy of the fields was written.
 */
static inline uint64_t connection_table_hash(const struct connection_table *table, const void *key)
{
    return XXH3_64bits_withSeed(key, sizeof(struct connection_key), table->seed);
}

static inline const uint32_t *connection_table_entry(const struct connection_table *table, uint64_t hash)
{
    return &table->entries[hash & table->mask];
}

/* The first slot from the `probe`th entry on whose tag is right; TABLE_NONE if there is none. `probe` is set behind it. */
static inline uint32_t connection_table_find(const struct connection_table *table, uint64_t hash, uint32_t *probe)
{
    while (*probe < TABLE_MAX_PROBES) {
        uint32_t entry = table->entries[(hash + (*probe)++) & table->mask];

        if (entry == TABLE_NONE)
            break;
        if (entry >> TABLE_SLOT_BITS == hash >> (32 + TABLE_SLOT_BITS))
            return entry & ((UINT32_C(1) << TABLE_SLOT_BITS) - 1);
    }
    return TABLE_NONE;
}

#endif

#include "bypass_floor/connection_table.h"

#include "population/huge_memory.h"

#include <errno.h>
#include <string.h>

static size_t table_bytes(const struct connection_table *table)
{
    return (table->mask + (size_t)1) * sizeof *table->entries;
}

int connection_table_init(struct connection_table *table, uint32_t connections, uint64_t seed)
{
    uint32_t capacity = 64;

    while (capacity < 2 * connections)
        capacity *= 2;
    *table = (struct connection_table){.mask = capacity - 1, .seed = seed};
    table->entries = huge_memory_map(table_bytes(table));
    if (!table->entries)
        return -ENOMEM;
    memset(table->entries, 0xff, table_bytes(table));
    return 0;
}

void connection_table_dispose(struct connection_table *table)
{
    huge_memory_unmap(table->entries, table_bytes(table));
    *table = (struct connection_table){0};
}

bool connection_table_add(struct connection_table *table, const struct connection_key *key, uint32_t slot)
{
    uint64_t hash = connection_table_hash(table, key);

    for (uint32_t probe = 0; probe < TABLE_MAX_PROBES; probe++) {
        uint32_t *entry = &table->entries[(hash + probe) & table->mask];

        if (*entry != TABLE_NONE)
            continue;
        *entry = (uint32_t)(hash >> (32 + TABLE_SLOT_BITS)) << TABLE_SLOT_BITS | slot;
        return true;
    }
    return false;
}

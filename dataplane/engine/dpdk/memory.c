#include "engine/dpdk/memory.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memzone.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

/* Payloads in one huge page are contiguous for the card. */
#define ALIGNMENT ((size_t)2 << 20)

static int map(void *context, struct channel_memory *memory, size_t bytes)
{
    static _Atomic unsigned zones;
    const struct rte_memzone *zone;
    char name[RTE_MEMZONE_NAMESIZE];

    snprintf(name, sizeof name, "flashrelay-log-%u", atomic_fetch_add(&zones, 1));
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    zone = rte_memzone_reserve_aligned(name, bytes, (int)(intptr_t)context, 0, ALIGNMENT);
    if (!zone)
        return -rte_errno;
    *memory = (struct channel_memory){
        .base = zone->addr,
        .length = bytes,
        .populated_bytes = rte_eal_has_hugepages() ? bytes : 0,
        .pages = rte_eal_has_hugepages() ? CHANNEL_PAGES_HUGE : CHANNEL_PAGES_PLAIN,
        .descriptor = -1,
    };
    return 0;
}

/* What rte_memzone_walk looks for, and finds. */
struct search {
    const void *base;
    const struct rte_memzone *zone;
};

static void on_zone(const struct rte_memzone *zone, void *context)
{
    struct search *search = context;

    if (zone->addr == search->base)
        search->zone = zone;
}

static void unmap(void *context, struct channel_memory *memory)
{
    struct search search = {.base = memory->base};

    (void)context;
    rte_memzone_walk(on_zone, &search);
    rte_memzone_free(search.zone);
    memory->base = NULL;
}

struct channel_memory_source dpdk_memory_source(int socket)
{
    return (struct channel_memory_source){.map = map, .unmap = unmap, .context = (void *)(intptr_t)socket};
}

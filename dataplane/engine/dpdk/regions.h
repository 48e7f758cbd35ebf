/* The memory that payloads may be sent from by reference, and the addresses by which the device reads it (IOVA). */
#ifndef DATAPLANE_ENGINE_DPDK_REGIONS_H
#define DATAPLANE_ENGINE_DPDK_REGIONS_H

#include <rte_common.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGIONS           16
#define REGION_PAGE_SHIFT 21 /* physical addresses are contiguous within 2 MiB pages */
#define REGION_PAGE_BYTES ((uintptr_t)1 << REGION_PAGE_SHIFT)

struct region {
    uintptr_t base;
    size_t length;
    uintptr_t first_page; /* address of the page in which the region begins, in pages */
    rte_iova_t *pages;    /* IOVA of each page; NULL: the address itself is the IOVA */
};

struct regions {
    struct region items[REGIONS];
    unsigned count;
};

/*
 * Adds memory. `needs_iova`: the device reads memory by itself, so it must be memory of EAL, which alone is mapped for it. 0; -EFAULT if it
 * is not; -ENOSPC if there are REGIONS already; -ENOMEM.
 */
int regions_add(struct regions *regions, const void *base, size_t length, bool needs_iova);
void regions_dispose(struct regions *regions);

/* The region in which all `length` bytes lie, or NULL. */
static inline const struct region *regions_find(const struct regions *regions, const void *bytes, size_t length)
{
    for (unsigned i = 0; i < regions->count; i++)
        if ((uintptr_t)bytes - regions->items[i].base < regions->items[i].length)
            return (uintptr_t)bytes - regions->items[i].base + length <= regions->items[i].length ? &regions->items[i] : NULL;
    return NULL;
}

/* The IOVA of a byte of the region. */
static inline rte_iova_t region_iova(const struct region *region, const void *byte)
{
    uintptr_t address = (uintptr_t)byte;

    if (!region->pages)
        return address;
    return region->pages[(address >> REGION_PAGE_SHIFT) - region->first_page] + address % REGION_PAGE_BYTES;
}

/* How many of `length` bytes are contiguous for the device. */
static inline uint32_t region_contiguous(const struct region *region, const void *byte, uint32_t length)
{
    size_t to_border = REGION_PAGE_BYTES - (uintptr_t)byte % REGION_PAGE_BYTES;

    return !region->pages || length <= to_border ? length : (uint32_t)to_border;
}

#endif

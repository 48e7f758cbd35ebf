#include "engine/dpdk/regions.h"

#include <rte_eal.h>
#include <rte_memory.h>

#include <errno.h>
#include <stdlib.h>

/* Finds the IOVA of each page. The memory need not begin at a page's start: a page's IOVA is that of the byte at its start, in the region or not. */
static int find_pages(struct region *region)
{
    uintptr_t last_page = (region->base + region->length - 1) >> REGION_PAGE_SHIFT;
    size_t count = last_page - region->first_page + 1;

    region->pages = calloc(count, sizeof *region->pages);
    if (!region->pages)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        uintptr_t page = (region->first_page + i) << REGION_PAGE_SHIFT, byte = page < region->base ? region->base : page;
        rte_iova_t iova = rte_mem_virt2iova((const void *)byte);

        if (iova == RTE_BAD_IOVA)
            return -EFAULT;
        region->pages[i] = iova - (byte - page);
    }
    return 0;
}

/* With pages smaller than 2 MiB physical addresses are not contiguous. */
static bool has_large_pages(const struct rte_memseg_list *list)
{
    return list->page_sz >= REGION_PAGE_BYTES;
}

static int find_addresses(struct region *region)
{
    const struct rte_memseg_list *list = rte_mem_virt2memseg_list((const void *)region->base);

    if (!list || rte_mem_virt2memseg_list((const void *)(region->base + region->length - 1)) != list)
        return -EFAULT;
    if (rte_eal_iova_mode() == RTE_IOVA_VA)
        return 0;
    return has_large_pages(list) ? find_pages(region) : -EFAULT;
}

int regions_add(struct regions *regions, const void *base, size_t length, bool needs_iova)
{
    struct region region = {.base = (uintptr_t)base, .length = length, .first_page = (uintptr_t)base >> REGION_PAGE_SHIFT};
    int error = 0;

    if (regions->count == REGIONS)
        return -ENOSPC;
    if (needs_iova)
        error = find_addresses(&region);
    if (error != 0) {
        free(region.pages);
        return error;
    }
    regions->items[regions->count++] = region;
    return 0;
}

void regions_dispose(struct regions *regions)
{
    for (unsigned i = 0; i < regions->count; i++)
        free(regions->items[i].pages);
    regions->count = 0;
}

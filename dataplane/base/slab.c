#include "base/slab.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

/* Maps memory without huge pages: the first element would touch a whole one. If madvise fails, only memory is wasted. */
static void *map(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, length, MADV_NOHUGEPAGE);
    return memory;
}

int slab_init(struct slab *slab, size_t element_bytes, uint32_t capacity, uint32_t kept_free_elements)
{
    bool whole_pages = element_bytes % (size_t)sysconf(_SC_PAGESIZE) == 0;

    /* Memory goes back in whole pages, which smaller elements share with their neighbours. */
    *slab = (struct slab){.element_bytes = element_bytes,
                          .capacity = capacity,
                          .kept_free_elements = whole_pages ? kept_free_elements : UINT32_MAX};
    slab->memory = map(element_bytes * capacity);
    slab->free = map(sizeof *slab->free * capacity);
    if (slab->memory && slab->free)
        return 0;
    slab_dispose(slab);
    return -ENOMEM;
}

void slab_dispose(struct slab *slab)
{
    if (slab->memory)
        munmap(slab->memory, slab->element_bytes * slab->capacity);
    if (slab->free)
        munmap(slab->free, sizeof *slab->free * slab->capacity);
    *slab = (struct slab){0};
}

void *slab_take(struct slab *slab)
{
    uint32_t index;

    if (slab->free_count > 0)
        index = slab->free[--slab->free_count];
    else if (slab->touched < slab->capacity)
        index = slab->touched++;
    else
        return NULL;
    return slab->memory + slab->element_bytes * index;
}

void slab_give(struct slab *slab, void *element)
{
    size_t offset = (size_t)((uint8_t *)element - slab->memory);

    assert(offset % slab->element_bytes == 0 && offset / slab->element_bytes < slab->touched);
    if (slab->free_count >= slab->kept_free_elements)
        madvise(element, slab->element_bytes, MADV_DONTNEED);
    slab->free[slab->free_count++] = (uint32_t)(offset / slab->element_bytes);
}

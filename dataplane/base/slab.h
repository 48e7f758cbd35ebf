/*
 * A slab: elements of one size in one mapping. Memory is touched only for as many elements as were taken at once, since the element that
 * was given back last is taken first. One thread.
 */
#ifndef DATAPLANE_BASE_SLAB_H
#define DATAPLANE_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
    uint8_t *memory;
    uint32_t *free; /* numbers of the elements given back, the last on top */
    size_t element_bytes;
    uint32_t capacity;
    uint32_t touched, free_count;
    uint32_t kept_free_elements; /* most free elements that keep their memory; the system gets back that of others */
};

/*
 * Maps a slab of `capacity` elements. `kept_free_elements`: UINT32_MAX if all free elements keep their memory. All do where element_bytes
 * is no multiple of the page size, which is up to 64 KiB on arm64. 0 or -ENOMEM; slab_dispose unmaps the slab, a zeroed one is allowed
 * there.
 */
int slab_init(struct slab *slab, size_t element_bytes, uint32_t capacity, uint32_t kept_free_elements);
void slab_dispose(struct slab *slab);

/* Takes an element, which has the content that it had before, or zeroes; NULL if all are taken. */
void *slab_take(struct slab *slab);
void slab_give(struct slab *slab, void *element);

/* The number of an element that was taken, below the capacity; and the element of a number. */
static inline uint32_t slab_number(const struct slab *slab, const void *element)
{
    return (uint32_t)((size_t)((const uint8_t *)element - slab->memory) / slab->element_bytes);
}

static inline void *slab_element(const struct slab *slab, uint32_t number)
{
    return slab->memory + slab->element_bytes * number;
}

static inline uint32_t slab_used(const struct slab *slab)
{
    return slab->touched - slab->free_count;
}

#endif

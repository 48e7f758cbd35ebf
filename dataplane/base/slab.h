/*
 * Elements of one size in one mapping: memory is touched only as far as it was needed at once, and what was given back last is taken
 * first. One thread.
 */
#ifndef DATAPLANE_BASE_SLAB_H
#define DATAPLANE_BASE_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct slab {
    uint8_t *memory;
    uint32_t *free; /* elements given back, the last on top */
    size_t element_bytes;
    uint32_t capacity;
    uint32_t touched, free_count;
    uint32_t kept; /* free elements that keep their memory; beyond it the system gets it back */
};

/*
 * `kept`: UINT32_MAX where free elements always keep their memory, else element_bytes must be a multiple of the page size.
 * 0 or -ENOMEM; slab_dispose takes it back, also that of a zeroed slab.
 */
int slab_init(struct slab *slab, size_t element_bytes, uint32_t capacity, uint32_t kept);
void slab_dispose(struct slab *slab);

/* An element with whatever it held before, or NULL if all are taken. */
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

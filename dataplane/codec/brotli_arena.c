#include "codec/brotli_arena.h"
#include "flashrelay/brotli_codec.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Enough for a decoder's window of 16 MiB, or an encoder's ring of 8 MiB with its tables, for any message (RFC 7932, 9.1). */
#define ARENA_BYTES ((size_t)128 << 20)

enum { SMALLEST_CLASS = 6, CLASSES = 32 };

/* Stands before each block; links the free blocks of a class. */
struct block_header {
    _Alignas(16) struct block_header *next;
    unsigned class;
};

struct brotli_arena {
    uint8_t *base;
    size_t used;
    struct block_header *free[CLASSES];
};

int brotli_arena_create(struct brotli_arena **out)
{
    struct brotli_arena *arena = calloc(1, sizeof *arena);

    if (!arena)
        return -ENOMEM;
    arena->base = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena->base == MAP_FAILED) {
        free(arena);
        return -ENOMEM;
    }
    *out = arena;
    return 0;
}

void brotli_arena_destroy(struct brotli_arena *arena)
{
    if (!arena)
        return;
    munmap(arena->base, ARENA_BYTES);
    free(arena);
}

/* The smallest class whose blocks of 2^class bytes hold `bytes` and a header. */
static unsigned class_of(size_t bytes)
{
    unsigned class = SMALLEST_CLASS;

    while (((size_t)1 << class) < bytes + sizeof(struct block_header))
        class ++;
    return class;
}

void *brotli_arena_allocate(void *opaque, size_t bytes)
{
    struct brotli_arena *arena = opaque;
    struct block_header *block;
    unsigned class;

    if (bytes > ARENA_BYTES / 2)
        return NULL;
    class = class_of(bytes);
    block = arena->free[class];
    if (block) {
        arena->free[class] = block->next;
        return block + 1;
    }
    if (((size_t)1 << class) > ARENA_BYTES - arena->used)
        return NULL;
    block = (void *)(arena->base + arena->used);
    arena->used += (size_t)1 << class;
    block->class = class;
    return block + 1;
}

void brotli_arena_release(void *opaque, void *address)
{
    struct brotli_arena *arena = opaque;
    struct block_header *block;

    if (!address)
        return;
    block = (struct block_header *)address - 1;
    assert(block->class >= SMALLEST_CLASS && block->class < CLASSES);
    block->next = arena->free[block->class];
    arena->free[block->class] = block;
}

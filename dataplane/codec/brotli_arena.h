/* Memory for one libbrotli coder at a time: blocks of powers of two, cut from one reserved region and kept for the next coder. */
#ifndef DATAPLANE_CODEC_BROTLI_ARENA_H
#define DATAPLANE_CODEC_BROTLI_ARENA_H

#include <stddef.h>

/* brotli_alloc_func and brotli_free_func; `arena` is a struct brotli_arena. NULL where the region is used up. */
void *brotli_arena_allocate(void *arena, size_t bytes);
void brotli_arena_release(void *arena, void *block);

#endif

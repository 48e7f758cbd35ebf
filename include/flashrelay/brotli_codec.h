/*
 * Brotli (RFC 7932) of whole messages, over libbrotli, with working memory from an arena that is mapped once or from malloc. An arena
 * belongs to one thread; functions that are called without one may run on any thread.
 */
#ifndef FLASHRELAY_BROTLI_CODEC_H
#define FLASHRELAY_BROTLI_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * True if a message is JSON rather than brotli: its first byte after white space is '{' (dataplane/WIRE.md, "Telling encodings apart").
 */
bool message_is_json(const uint8_t *bytes, size_t length);

/*
 * Working memory for one encoder or decoder at a time, so that coding a message allocates nothing. Address space is reserved at creation,
 * memory is touched as needed.
 */
struct brotli_arena;

/* Creates an arena, which the caller frees with brotli_arena_destroy (NULL is allowed there). 0 or -ENOMEM. */
int brotli_arena_create(struct brotli_arena **out);
void brotli_arena_destroy(struct brotli_arena *arena);

/*
 * Decompresses `bytes` into `out` of `capacity` bytes. 0 and *out_length; -EMSGSIZE if the result does not fit; -EBADMSG if `bytes` are
 * no complete brotli stream or more than one; -ENOMEM. `arena` NULL: working memory comes from malloc.
 */
int brotli_arena_decompress(struct brotli_arena *arena, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                            size_t *out_length);

/* As brotli_arena_decompress, with working memory from malloc. */
int brotli_decompress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length);

/* Largest result, in bytes, of compressing `length` bytes. */
size_t brotli_compressed_limit(size_t length);

/*
 * Compresses `bytes` into `out` at quality 5, window 22, as the reference proxy does. 0 and *out_length; -EMSGSIZE if the result does not
 * fit (never with a capacity of brotli_compressed_limit); -ENOMEM. `arena` NULL: working memory comes from malloc.
 */
int brotli_arena_compress(struct brotli_arena *arena, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                          size_t *out_length);

/* As brotli_arena_compress, with working memory from malloc. */
int brotli_compress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length);

#endif

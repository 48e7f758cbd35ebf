/* Brotli (RFC 7932) of whole messages, over libbrotli, with working memory from an arena that is mapped once or from malloc. */
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
 * Working memory for one coder at a time, so that coding a message allocates nothing. Address space is reserved at creation
 * and touched as needed. One thread.
 */
struct brotli_arena;

/* 0 or -ENOMEM; brotli_arena_destroy takes it back (NULL is allowed there). */
int brotli_arena_create(struct brotli_arena **out);
void brotli_arena_destroy(struct brotli_arena *arena);

/*
 * Decompresses into `out` of `capacity` bytes. 0 and *out_length; -EMSGSIZE if it does not fit; -EBADMSG if it is no
 * complete brotli stream or has trailing bytes; -ENOMEM. `arena` NULL: malloc.
 */
int brotli_arena_decompress(struct brotli_arena *arena, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                            size_t *out_length);

/* The same with malloc. */
int brotli_decompress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length);

/* Largest result of brotli_compress for `length` bytes. */
size_t brotli_compressed_limit(size_t length);

/*
 * Compresses at quality 5, window 22, as the reference does. 0 and *out_length; -EMSGSIZE if it does not fit (never with a
 * capacity of brotli_compressed_limit); -ENOMEM. `arena` NULL: malloc.
 */
int brotli_arena_compress(struct brotli_arena *arena, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                          size_t *out_length);

/* The same with malloc. */
int brotli_compress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length);

#endif

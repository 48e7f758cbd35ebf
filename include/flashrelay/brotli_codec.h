/* Brotli (RFC 7932) of whole messages, over libbrotli, with its memory allocated once. */
#ifndef FLASHRELAY_BROTLI_CODEC_H
#define FLASHRELAY_BROTLI_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True if a message is JSON rather than brotli: its first byte after white space is '{' (wire.md, 1). */
bool message_is_json(const uint8_t *bytes, size_t length);

/*
 * Decompresses into `out` of `capacity` bytes. 0 and *out_length; -EMSGSIZE if it does not fit; -EBADMSG if it is no complete brotli
 * stream or has trailing bytes.
 */
int brotli_decompress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length);

/* Largest result of brotli_compress for `length` bytes. */
size_t brotli_compressed_limit(size_t length);

/* Compresses at quality 5, window 22, as the reference does. 0 and *out_length, or -ENOMEM. */
int brotli_compress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length);

#endif

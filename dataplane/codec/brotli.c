#include "codec/brotli_arena.h"
#include "flashrelay/brotli_codec.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <errno.h>

enum { QUALITY = 5, WINDOW_BITS = 22 };

bool message_is_json(const uint8_t *bytes, size_t length)
{
    size_t i = 0;

    while (i < length && (bytes[i] == ' ' || bytes[i] == '\t' || bytes[i] == '\n' || bytes[i] == '\r'))
        i++;
    return i < length && bytes[i] == '{';
}

/* libbrotli takes an allocator and a releaser, or neither of them. */
static brotli_alloc_func allocator_of(const struct brotli_arena *arena)
{
    return arena ? brotli_arena_allocate : NULL;
}

static brotli_free_func releaser_of(const struct brotli_arena *arena)
{
    return arena ? brotli_arena_release : NULL;
}

static bool is_out_of_memory(const BrotliDecoderState *decoder)
{
    BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(decoder);

    return code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES && code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES;
}

static int decode_error(const BrotliDecoderState *decoder, BrotliDecoderResult result, size_t unread)
{
    switch (result) {
    case BROTLI_DECODER_RESULT_SUCCESS:
        return unread ? -EBADMSG : 0;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
        return -EMSGSIZE;
    case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
        return -EBADMSG;
    case BROTLI_DECODER_RESULT_ERROR:
        break;
    }
    return is_out_of_memory(decoder) ? -ENOMEM : -EBADMSG;
}

int brotli_arena_decompress(struct brotli_arena *arena, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                            size_t *out_length)
{
    BrotliDecoderState *decoder = BrotliDecoderCreateInstance(allocator_of(arena), releaser_of(arena), arena);
    size_t room = capacity;
    BrotliDecoderResult result;
    int error;

    if (!decoder)
        return -ENOMEM;
    result = BrotliDecoderDecompressStream(decoder, &length, &bytes, &room, &out, NULL);
    error = decode_error(decoder, result, length);
    BrotliDecoderDestroyInstance(decoder);
    if (error == 0)
        *out_length = capacity - room;
    return error;
}

int brotli_decompress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length)
{
    return brotli_arena_decompress(NULL, bytes, length, out, capacity, out_length);
}

size_t brotli_compressed_limit(size_t length)
{
    return BrotliEncoderMaxCompressedSize(length);
}

static bool encode(BrotliEncoderState *encoder, const uint8_t *bytes, size_t length, uint8_t *out, size_t *room)
{
    /* The size hint makes libbrotli choose the same hash table as in a one-shot compression. */
    uint32_t hint = length < UINT32_MAX ? (uint32_t)length : UINT32_MAX;

    return BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, QUALITY) &&
           BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, WINDOW_BITS) &&
           BrotliEncoderSetParameter(encoder, BROTLI_PARAM_SIZE_HINT, hint) &&
           BrotliEncoderCompressStream(encoder, BROTLI_OPERATION_FINISH, &length, &bytes, room, &out, NULL);
}

int brotli_arena_compress(struct brotli_arena *arena, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                          size_t *out_length)
{
    BrotliEncoderState *encoder = BrotliEncoderCreateInstance(allocator_of(arena), releaser_of(arena), arena);
    size_t room = capacity;
    int error = 0;

    if (!encoder)
        return -ENOMEM;
    if (!encode(encoder, bytes, length, out, &room))
        error = -ENOMEM; /* its parameters are valid, so only an allocation can have failed */
    else if (!BrotliEncoderIsFinished(encoder))
        error = -EMSGSIZE;
    BrotliEncoderDestroyInstance(encoder);
    if (error == 0)
        *out_length = capacity - room;
    return error;
}

int brotli_compress(const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity, size_t *out_length)
{
    return brotli_arena_compress(NULL, bytes, length, out, capacity, out_length);
}

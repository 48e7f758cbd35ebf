/* Brotli as an encoding of JSON. */
#include "flashrelay/brotli_codec.h"
#include "flashrelay/encoder.h"
#include "flashrelay/log.h"

#include <string.h>

static int create(void **context)
{
    struct brotli_arena *arena;
    int error = brotli_arena_create(&arena);

    if (error == 0)
        *context = arena;
    return error;
}

static void destroy(void *context)
{
    brotli_arena_destroy(context);
}

/* Subscribers that take brotli take JSON too, so a message that can't be compressed is passed on as it came. */
static enum encoding_outcome encode(void *context, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                                    size_t *out_length)
{
    int error;

    if (!message_is_json(bytes, length))
        return ENCODING_PASSED_ON;
    error = brotli_arena_compress(context, bytes, length, out, capacity, out_length);
    if (error == 0)
        return ENCODING_ENCODED;
    log_line(LOG_WARN, "brotli", "passed on a message of %zu bytes uncompressed: %s", length, strerror(-error));
    return ENCODING_PASSED_ON;
}

const struct encoding brotli_encoding = {
    .name = "brotli",
    .create = create,
    .destroy = destroy,
    .output_limit = brotli_compressed_limit,
    .encode = encode,
};

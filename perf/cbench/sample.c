#include "cbench/sample.h"

#include "common/flashblock_generator.h"

#include <stdlib.h>
#include <string.h>

uint8_t *sample_flashblock(size_t length)
{
    const struct flashblock_generator_options options = {
        .seed = 1, .size_bytes = length + length / 50, .per_block = 1, .first_block_number = 1};
    struct flashblock_generator *generator;
    uint8_t *bytes = malloc(length + 1);

    if (!bytes || flashblock_generator_create(&generator, &options) != 0)
        abort();
    const struct flashblock *flashblock = flashblock_generator_next(generator);
    for (size_t done = 0; done < length;) {
        size_t piece = length - done < flashblock->length ? length - done : flashblock->length;
        memcpy(bytes + done, flashblock->text, piece);
        done += piece;
    }
    flashblock_generator_destroy(generator);
    return bytes;
}

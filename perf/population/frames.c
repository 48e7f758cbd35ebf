#include "population/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

int frames_init(struct frames *frames)
{
    *frames = (struct frames){.table = calloc(POPULATION_FRAMES, sizeof *frames->table)};
    return frames->table ? 0 : -ENOMEM;
}

void frames_dispose(struct frames *frames)
{
    free(frames->table);
    *frames = (struct frames){0};
}

static struct known_frame *slot_of(const struct frames *frames, uint32_t number)
{
    return &frames->table[number % POPULATION_FRAMES];
}

void frames_add(struct frames *frames, const uint8_t *bytes, uint32_t length)
{
    *slot_of(frames, frames->count++) = (struct known_frame){bytes, length, XXH3_64bits(bytes, length)};
}

const struct known_frame *frames_get(const struct frames *frames, uint32_t number)
{
    uint32_t age = frames->count - number;

    return age >= 1 && age <= POPULATION_FRAMES ? slot_of(frames, number) : NULL;
}

bool frames_find(const struct frames *frames, const uint8_t *bytes, uint32_t oldest, uint32_t *number)
{
    for (uint32_t candidate = frames->count - 1; (int32_t)(candidate - oldest) >= 0; candidate--) {
        const struct known_frame *frame = frames_get(frames, candidate);

        if (!frame)
            return false;
        if (frame->bytes == bytes) {
            *number = candidate;
            return true;
        }
    }
    return false;
}

bool frames_walk(const struct frames *frames, struct place *place, const uint8_t *bytes, uint32_t length)
{
    bool matches = true;

    while (length > 0) {
        const struct known_frame *frame = frames_get(frames, place->frame);

        if (!frame)
            return false;
        uint32_t step = RTE_MIN(length, frame->length - place->offset);
        if (bytes) {
            matches &= bytes == frame->bytes + place->offset;
            bytes += step;
        }
        length -= step;
        place->offset += step;
        if (place->offset == frame->length)
            *place = (struct place){place->frame + 1, 0};
    }
    return matches;
}

bool frames_match(const struct frames *frames, struct place place, const uint8_t *bytes, uint32_t length)
{
    while (length > 0) {
        const struct known_frame *frame = frames_get(frames, place.frame);

        if (!frame)
            return false;
        uint32_t step = RTE_MIN(length, frame->length - place.offset);
        if (memcmp(bytes, frame->bytes + place.offset, step) != 0)
            return false;
        bytes += step;
        length -= step;
        place = (struct place){place.frame + 1, 0};
    }
    return true;
}

bool frames_is_unchanged(const struct known_frame *frame)
{
    return XXH3_64bits(frame->bytes, frame->length) == frame->hash;
}

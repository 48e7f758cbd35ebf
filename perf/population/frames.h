/* The frames that clients are owed: where they lie in the log. A client's place is a frame's number and an offset in it. */
#ifndef PERF_POPULATION_FRAMES_H
#define PERF_POPULATION_FRAMES_H

#include "population/population.h"

struct known_frame {
    const uint8_t *bytes;
    uint32_t length;
    uint64_t hash; /* of the bytes, when the frame was added */
};

struct place {
    uint32_t frame;  /* the lower bits of its number */
    uint32_t offset; /* of the next byte; below the frame's length, unless the frame is not added yet */
};

struct frames {
    struct known_frame *table;
    uint32_t count; /* that were added: the number of the next one */
};

/* 0 or -ENOMEM. */
int frames_init(struct frames *frames);
void frames_dispose(struct frames *frames);

void frames_add(struct frames *frames, const uint8_t *bytes, uint32_t length);

/* The frame with that number; NULL if it is not added yet, or no longer known. */
const struct known_frame *frames_get(const struct frames *frames, uint32_t number);

/* Finds the newest frame that begins at `bytes`, from the number `oldest` on. False if there is none. */
bool frames_find(const struct frames *frames, const uint8_t *bytes, uint32_t oldest, uint32_t *number);

/*
 * Moves a place by `length` bytes, at most to the end of the newest frame. Returns whether these bytes lie at `bytes` (NULL: anywhere).
 */
bool frames_walk(const struct frames *frames, struct place *place, const uint8_t *bytes, uint32_t length);

/* Whether the `length` bytes from a place on are those at `bytes`, a copy. */
bool frames_match(const struct frames *frames, struct place place, const uint8_t *bytes, uint32_t length);

/* Whether the frame's bytes are what they were when it was added. */
bool frames_is_unchanged(const struct known_frame *frame);

#endif

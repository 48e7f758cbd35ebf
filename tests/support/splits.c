#include "support/splits.h"

static size_t split_nowhere(uint32_t *state, size_t left)
{
    (void)state;
    return left;
}

static size_t split_everywhere(uint32_t *state, size_t left)
{
    (void)state;
    (void)left;
    return 1;
}

static size_t split_at_random(uint32_t *state, size_t left)
{
    size_t piece;

    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    piece = 1 + (*state >> 4) % ((*state & 7) == 0 ? 500 : 9);
    return piece < left ? piece : left;
}

split *const splits[3] = {split_nowhere, split_everywhere, split_at_random};

/*
 * Which sequence numbers the connections of one thread still touch: a count for each number in a window, and the lowest number counted, so
 * that a shard finds its mark without a look at its connections. Adding takes constant time. Removing does too, except where the count of
 * the lowest number becomes 0: it then searches for the next number counted. One thread.
 */
#ifndef FLASHRELAY_HOLDS_H
#define FLASHRELAY_HOLDS_H

#include <stdint.h>

#define HOLDS_NONE UINT64_MAX

struct holds {
    uint32_t *counts; /* by sequence & mask */
    uint64_t mask;
    uint64_t lowest;  /* HOLDS_NONE while nothing is held */
    uint64_t highest; /* highest ever held since empty */
    uint64_t total;
};

/* `window`: a power of two, at least the entries of the channels. 0 or -ENOMEM; holds_dispose frees the counts. */
int holds_init(struct holds *holds, uint32_t window);
void holds_dispose(struct holds *holds);

/* Counts one connection more that touches `sequence`. All numbers counted at once must fit into the window. */
void holds_add(struct holds *holds, uint64_t sequence);
/* Takes back one holds_add of `sequence`. */
void holds_remove(struct holds *holds, uint64_t sequence);

/* The lowest sequence number held, or HOLDS_NONE. */
uint64_t holds_lowest(const struct holds *holds);

#endif

/* A small seeded generator (xoshiro256**) for back-off jitter, masks and start positions. Not for keys. A generator belongs to one thread. */
#ifndef FLASHRELAY_RANDOM_H
#define FLASHRELAY_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state[4];
};

/* Seeds by splitmix64; equal seeds give equal sequences. */
void random_seed(struct random *random, uint64_t seed);

/* A seed from the kernel (getrandom). Any thread. */
uint64_t random_system_seed(void);

/* The next 64 bits. */
uint64_t random_next(struct random *random);

/* Uniform in [0, bound); bound must not be 0. */
uint64_t random_below(struct random *random, uint64_t bound);

#endif

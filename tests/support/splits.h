/* Ways to split a stream into pieces. */
#ifndef TESTS_SUPPORT_SPLITS_H
#define TESTS_SUPPORT_SPLITS_H

#include <stddef.h>
#include <stdint.h>

/* Returns the length of the next piece of a stream of which `left` bytes (not 0) are left. `state` is never 0. */
typedef size_t split(uint32_t *state, size_t left);

/* Not at all, behind every byte, and at random: into mostly short pieces and sometimes long ones. */
extern split *const splits[3];

#endif

/* Messages to measure with. */
#ifndef CBENCH_SAMPLE_H
#define CBENCH_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* A flashblock in JSON of `length` bytes: mostly hex digits, as real ones are. The same for the same length. The caller frees it. */
uint8_t *sample_flashblock(size_t length);

#endif

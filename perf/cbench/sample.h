/* Sample messages for the benchmarks. */
#ifndef PERF_CBENCH_SAMPLE_H
#define PERF_CBENCH_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

/* The first `length` bytes of a made-up flashblock in JSON. The same for the same length. The caller frees it. */
uint8_t *sample_flashblock(size_t length);

#endif

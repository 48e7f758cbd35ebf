/* Records durations the way HdrHistogram does: 256 buckets per power of two, so every quantile is known to 0.4 %, up to 18 minutes. */
#ifndef PERF_FLASHBENCH_RECORDER_H
#define PERF_FLASHBENCH_RECORDER_H

#include <stdbool.h>
#include <stdint.h>

#define RECORDER_SUB_BUCKET_BITS 8
#define RECORDER_MAX_BITS        40
#define RECORDER_BUCKETS         ((RECORDER_MAX_BITS - RECORDER_SUB_BUCKET_BITS + 1) << RECORDER_SUB_BUCKET_BITS)

struct recorder {
    uint64_t count, minimum, maximum; /* minimum is meaningless while count is 0 */
    double sum;
    uint32_t buckets[RECORDER_BUCKETS];
};

/* Empties the recorder. */
void recorder_reset(struct recorder *recorder);

/* Counts one value. A value that is too large counts in the last bucket; `maximum` is exact. */
void recorder_add(struct recorder *recorder, uint64_t value);

/* The smallest recorded value (to bucket width) that at least the share `quantile` of all values does not exceed; 0 while empty. */
uint64_t recorder_quantile(const struct recorder *recorder, double quantile);

/* True if there are enough values for the quantile to be meaningful: 1,000 for 0.999. 0.5 and 1 need one value. */
bool recorder_supports(const struct recorder *recorder, double quantile);

double recorder_mean(const struct recorder *recorder);

#endif

#include "flashbench/recorder.h"

#include <math.h>
#include <string.h>

#define SUB_BUCKETS (UINT64_C(1) << RECORDER_SUB_BUCKET_BITS)

void recorder_reset(struct recorder *recorder)
{
    memset(recorder, 0, sizeof *recorder);
}

/* Values below SUB_BUCKETS have a bucket each; above, the leading bits after the first choose one of SUB_BUCKETS. */
static uint32_t bucket_of(uint64_t value)
{
    if (value >= UINT64_C(1) << RECORDER_MAX_BITS)
        return RECORDER_BUCKETS - 1;
    if (value < SUB_BUCKETS)
        return (uint32_t)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - RECORDER_SUB_BUCKET_BITS;
    return (uint32_t)((shift + 1) * SUB_BUCKETS + ((value >> shift) - SUB_BUCKETS));
}

static uint64_t upper_edge(uint32_t bucket)
{
    if (bucket < SUB_BUCKETS)
        return bucket;
    unsigned shift = bucket / (uint32_t)SUB_BUCKETS - 1;
    return ((SUB_BUCKETS + bucket % SUB_BUCKETS + 1) << shift) - 1;
}

void recorder_add(struct recorder *recorder, uint64_t value)
{
    if (recorder->count == 0 || value < recorder->minimum)
        recorder->minimum = value;
    if (value > recorder->maximum)
        recorder->maximum = value;
    recorder->count++;
    recorder->sum += (double)value;
    recorder->buckets[bucket_of(value)]++;
}

uint64_t recorder_quantile(const struct recorder *recorder, double quantile)
{
    uint64_t wanted = (uint64_t)ceil(quantile * (double)recorder->count), seen = 0;

    for (uint32_t i = 0; i < RECORDER_BUCKETS && recorder->count > 0; i++) {
        seen += recorder->buckets[i];
        if (seen >= wanted && seen > 0)
            return upper_edge(i) < recorder->maximum ? upper_edge(i) : recorder->maximum;
    }
    return recorder->maximum;
}

bool recorder_supports(const struct recorder *recorder, double quantile)
{
    if (quantile <= 0.5 || quantile >= 1)
        return recorder->count > 0;
    return recorder->count >= (uint64_t)llround(1 / (1 - quantile));
}

double recorder_mean(const struct recorder *recorder)
{
    return recorder->count > 0 ? recorder->sum / (double)recorder->count : 0;
}

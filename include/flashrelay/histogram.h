/* Histograms that one thread writes and any thread reads, without locks or locked instructions. */
#ifndef FLASHRELAY_HISTOGRAM_H
#define FLASHRELAY_HISTOGRAM_H

#include "flashrelay/counter.h"

/*
 * A histogram with logarithmic buckets: 8 per power of two, so a value is known to 12.5 %, from 0 to 2^40 - 1 (18 minutes in ns). Larger
 * values are counted in the last bucket. Begins zeroed.
 */
#define HISTOGRAM_SUB_BUCKET_BITS 3
#define HISTOGRAM_BUCKETS         ((40 - HISTOGRAM_SUB_BUCKET_BITS + 1) << HISTOGRAM_SUB_BUCKET_BITS)

struct histogram {
    counter buckets[HISTOGRAM_BUCKETS];
    counter sum;
    counter maximum;
    counter minimum_plus_one; /* 0 while empty */
};

/* Counts `value` `times` times. The owning thread. */
void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times);

/* Adds what `from` holds now to `into`, which the caller alone owns. Any thread. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * Adds the values that `later` has counted since `earlier`, an older copy of it, to `into`, which the caller alone owns. The least and the
 * greatest of them are known only to their buckets. Any thread.
 */
void histogram_difference(struct histogram *into, const struct histogram *later, const struct histogram *earlier);

/* How many values were counted. */
uint64_t histogram_count(const struct histogram *histogram);

/* How many counted values are at most `value` (exact at bucket edges, else whole buckets below it). */
uint64_t histogram_count_at_most(const struct histogram *histogram, uint64_t value);

/*
 * The value that the share `quantile` of all values does not exceed: the upper edge of its bucket, at most the greatest value; for a
 * `quantile` of 0 the least value. 0 while empty.
 */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

/* Upper edge (inclusive) of bucket `index`. */
uint64_t histogram_bucket_limit(unsigned index);

#endif

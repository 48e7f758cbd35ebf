#include "flashrelay/histogram.h"

#define SUB_BUCKETS (1u << HISTOGRAM_SUB_BUCKET_BITS)

static unsigned bucket_of(uint64_t value)
{
    unsigned shift;

    if (value < SUB_BUCKETS)
        return (unsigned)value;
    if (value >> 40)
        return HISTOGRAM_BUCKETS - 1;
    shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BUCKET_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BUCKET_BITS) + (unsigned)((value >> shift) & (SUB_BUCKETS - 1));
}

uint64_t histogram_bucket_limit(unsigned index)
{
    unsigned group = index >> HISTOGRAM_SUB_BUCKET_BITS;

    if (index >= HISTOGRAM_BUCKETS - 1)
        return UINT64_MAX;
    if (group == 0)
        return index;
    return ((uint64_t)(SUB_BUCKETS + (index & (SUB_BUCKETS - 1)) + 1) << (group - 1)) - 1;
}

static void widen_range(struct histogram *histogram, uint64_t maximum, uint64_t minimum_plus_one)
{
    uint64_t lowest = counter_read(&histogram->minimum_plus_one);

    if (maximum > counter_read(&histogram->maximum))
        counter_set(&histogram->maximum, maximum);
    if (lowest == 0 || minimum_plus_one < lowest)
        counter_set(&histogram->minimum_plus_one, minimum_plus_one);
}

void histogram_record(struct histogram *histogram, uint64_t value, uint64_t times)
{
    if (times == 0)
        return;
    counter_add(&histogram->buckets[bucket_of(value)], times);
    counter_add(&histogram->sum, value * times);
    widen_range(histogram, value, value == UINT64_MAX ? value : value + 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    uint64_t minimum_plus_one = counter_read(&from->minimum_plus_one);

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        counter_add(&into->buckets[i], counter_read(&from->buckets[i]));
    counter_add(&into->sum, counter_read(&from->sum));
    if (minimum_plus_one)
        widen_range(into, counter_read(&from->maximum), minimum_plus_one);
}

/* The least value that counts in bucket `index`. */
static uint64_t bucket_floor(unsigned index)
{
    return index == 0 ? 0 : histogram_bucket_limit(index - 1) + 1;
}

void histogram_difference(struct histogram *into, const struct histogram *later, const struct histogram *earlier)
{
    uint64_t maximum = counter_read(&later->maximum);

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t more = counter_read(&later->buckets[i]) - counter_read(&earlier->buckets[i]), limit = histogram_bucket_limit(i);

        if (more == 0)
            continue;
        counter_add(&into->buckets[i], more);
        widen_range(into, limit < maximum ? limit : maximum, bucket_floor(i) + 1);
    }
    counter_add(&into->sum, counter_read(&later->sum) - counter_read(&earlier->sum));
}

uint64_t histogram_count(const struct histogram *histogram)
{
    return histogram_count_at_most(histogram, UINT64_MAX);
}

uint64_t histogram_count_at_most(const struct histogram *histogram, uint64_t value)
{
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && histogram_bucket_limit(i) <= value; i++)
        count += counter_read(&histogram->buckets[i]);
    return count;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    uint64_t count = histogram_count(histogram), maximum = counter_read(&histogram->maximum), seen = 0;
    double rank = quantile * (double)count;

    if (count == 0)
        return 0;
    if (quantile <= 0)
        return counter_read(&histogram->minimum_plus_one) - 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += counter_read(&histogram->buckets[i]);
        if ((double)seen >= rank && seen > 0) {
            uint64_t limit = histogram_bucket_limit(i);
            return limit < maximum ? limit : maximum;
        }
    }
    return maximum;
}

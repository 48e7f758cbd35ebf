/* Histograms: buckets, merging, quantiles. */
#include "flashrelay/counter.h"
#include "flashrelay/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void bucket_limits_grow_by_an_eighth(void **state)
{
    (void)state;
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS - 1; i++) {
        uint64_t limit = histogram_bucket_limit(i), below = histogram_bucket_limit(i - 1);
        assert_true(limit > below);
        assert_true((limit - below) * 8 <= limit + 1 || limit < 8);
    }
    assert_int_equal(histogram_bucket_limit(HISTOGRAM_BUCKETS - 2), (UINT64_C(15) << 36) - 1);
    assert_true(histogram_bucket_limit(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

static void a_value_counts_in_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        struct histogram *h = calloc(1, sizeof *h);
        uint64_t limit = histogram_bucket_limit(i);
        histogram_record(h, limit, 1);
        histogram_record(h, limit + 1, 1);
        assert_int_equal(counter_read(&h->buckets[i]), 1);
        assert_int_equal(counter_read(&h->buckets[i + 1]), 1);
        assert_int_equal(histogram_count_at_most(h, limit), 1);
        if (limit > 0)
            assert_int_equal(histogram_count_at_most(h, limit - 1), 0);
        free(h);
    }
}

static void huge_values_count_in_the_last_bucket(void **state)
{
    struct histogram h = {0};

    (void)state;
    histogram_record(&h, UINT64_C(1) << 40, 2);
    histogram_record(&h, UINT64_MAX, 1);
    assert_int_equal(counter_read(&h.buckets[HISTOGRAM_BUCKETS - 1]), 3);
    assert_int_equal(histogram_count(&h), 3);
    assert_int_equal(histogram_count_at_most(&h, (UINT64_C(1) << 40) - 1), 0);
    assert_true(histogram_quantile(&h, 1) == UINT64_MAX);
}

static void empty_histogram(void **state)
{
    struct histogram h = {0}, other = {0};

    (void)state;
    assert_int_equal(histogram_count(&h), 0);
    assert_int_equal(histogram_quantile(&h, 0), 0);
    assert_int_equal(histogram_quantile(&h, 1), 0);
    histogram_record(&h, 5, 0);
    histogram_merge(&h, &other);
    assert_memory_equal(&h, &other, sizeof h);
}

static void quantiles_are_bucket_edges(void **state)
{
    struct histogram h = {0};

    (void)state;
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_record(&h, value, 1);
    assert_int_equal(histogram_quantile(&h, 0), 1);
    assert_int_equal(histogram_quantile(&h, 1), 1000);
    assert_in_range(histogram_quantile(&h, 0.5), 500, 563);
    assert_in_range(histogram_quantile(&h, 0.9), 900, 1000);
    assert_int_equal(counter_read(&h.sum), 500500);
}

static void merge_adds_everything(void **state)
{
    struct histogram a = {0}, b = {0}, both = {0}, sum = {0};

    (void)state;
    histogram_record(&a, 10, 3);
    histogram_record(&both, 10, 3);
    histogram_record(&b, 5000, 2);
    histogram_record(&both, 5000, 2);
    histogram_record(&b, 2, 1);
    histogram_record(&both, 2, 1);
    histogram_merge(&sum, &a);
    histogram_merge(&sum, &b);
    assert_memory_equal(&sum, &both, sizeof sum);
    assert_int_equal(histogram_quantile(&sum, 0), 2);
    assert_int_equal(histogram_quantile(&sum, 1), 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_limits_grow_by_an_eighth),
        cmocka_unit_test(a_value_counts_in_the_first_bucket_that_holds_it),
        cmocka_unit_test(huge_values_count_in_the_last_bucket),
        cmocka_unit_test(empty_histogram),
        cmocka_unit_test(quantiles_are_bucket_edges),
        cmocka_unit_test(merge_adds_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

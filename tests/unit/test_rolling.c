/* Rolling histograms: quantiles forget values that are older than three windows of 20 s, even if nothing reads them meanwhile. */
#include "metrics/rolling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_NS (7 * NS_PER_S)

static struct rolling rolling;
static struct histogram counted;

static int begin(void **state)
{
    (void)state;
    rolling_init(&rolling, START_NS);
    counted = (struct histogram){0};
    return 0;
}

static int end(void **state)
{
    (void)state;
    rolling_dispose(&rolling);
    return 0;
}

static uint64_t recent_quantile(double quantile)
{
    struct histogram recent = {0};

    rolling_recent(&rolling, &counted, &recent);
    return histogram_quantile(&recent, quantile);
}

static uint64_t recent_count(void)
{
    struct histogram recent = {0};

    rolling_recent(&rolling, &counted, &recent);
    return histogram_count(&recent);
}

static uint64_t turn(uint64_t seconds)
{
    return (rolling_turn(&rolling, &counted, START_NS + seconds * NS_PER_S) - START_NS) / NS_PER_S;
}

static void what_was_just_counted_is_there(void **state)
{
    (void)state;
    assert_int_equal(recent_quantile(1), 0);
    histogram_record(&counted, 1000, 3);
    histogram_record(&counted, 5000, 1);
    assert_int_equal(recent_count(), 4);
    assert_in_range(recent_quantile(0), 875, 1000);
    assert_in_range(recent_quantile(0.5), 1000, 1125);
    assert_int_equal(recent_quantile(1), 5000);
}

static void three_windows_are_remembered(void **state)
{
    (void)state;
    histogram_record(&counted, 1000000, 1);
    assert_int_equal(turn(19), 20);
    assert_int_equal(turn(20), 40);
    histogram_record(&counted, 2000, 1);
    assert_int_equal(turn(40), 60);
    histogram_record(&counted, 3000, 1);
    assert_int_equal(turn(59), 60);
    assert_int_equal(recent_count(), 3);
    assert_int_equal(recent_quantile(1), 1000000);
    assert_int_equal(turn(60), 80); /* the first 20 seconds are gone */
    assert_int_equal(recent_count(), 2);
    assert_in_range(recent_quantile(1), 3000, 3375);
    assert_int_equal(turn(80), 100);
    assert_int_equal(recent_count(), 1);
    assert_int_equal(turn(100), 120);
    assert_int_equal(recent_count(), 0);
    assert_int_equal(recent_quantile(0.5), 0);
}

static void a_turn_that_comes_late_forgets_as_much(void **state)
{
    (void)state;
    histogram_record(&counted, 1000, 1);
    assert_int_equal(turn(59), 60);
    assert_int_equal(recent_count(), 1);
    histogram_record(&counted, 2000, 1);
    assert_int_equal(turn(500), 520);
    assert_int_equal(recent_count(), 0);
    histogram_record(&counted, 3000, 1);
    assert_int_equal(recent_count(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_just_counted_is_there, begin, end),
        cmocka_unit_test_setup_teardown(three_windows_are_remembered, begin, end),
        cmocka_unit_test_setup_teardown(a_turn_that_comes_late_forgets_as_much, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

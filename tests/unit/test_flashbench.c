/* flashbench's books: which message came to whom and when, and the quantiles of that. */
#include "flashbench/messages.h"
#include "flashbench/recorder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SUBSCRIBERS 4
#define OFFERED_NS  1000000000u
#define PATIENCE_NS 500000000u
#define US          1000u

static struct messages messages;

static int set_up(void **state)
{
    (void)state;
    return messages_init(&messages, SUBSCRIBERS);
}

static int tear_down(void **state)
{
    (void)state;
    messages_dispose(&messages);
    return 0;
}

static struct bench_message *offer(void)
{
    struct bench_message *message = messages_next(&messages, OFFERED_NS);

    messages_offer(&messages, OFFERED_NS, SUBSCRIBERS, true);
    return message;
}

static void arrive(struct bench_message *message, uint32_t subscriber, uint64_t stamped_us, uint64_t read_us)
{
    messages_arrived(&messages, message, subscriber, &(struct arrival){OFFERED_NS + stamped_us * US, OFFERED_NS + read_us * US});
}

/* Within the width of a recorder's bucket, 1 in 256. */
static void assert_quantile(const struct recorder *recorder, double quantile, uint64_t us)
{
    uint64_t found = recorder_quantile(recorder, quantile);

    assert_true(found >= us * US - us * US / 256 - 8 && found <= us * US + us * US / 256);
}

static void both_times_of_arrival_have_latencies_of_their_own(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *message = offer();

    (void)state;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        arrive(message, i, 100 + 100 * i, 5000 - 1000 * i); /* read in the opposite order */
    assert_true(messages_settle(&messages, OFFERED_NS + 5000 * US, PATIENCE_NS));
    assert_quantile(&totals->stamped.first, 0.5, 100);
    assert_quantile(&totals->stamped.last, 0.5, 400);
    assert_quantile(&totals->stamped.spread, 0.5, 300);
    assert_quantile(&totals->stamped.delivery, 1, 400);
    assert_quantile(&totals->read.first, 0.5, 2000);
    assert_quantile(&totals->read.last, 0.5, 5000);
    assert_quantile(&totals->read.spread, 0.5, 3000);
    assert_quantile(&totals->read.delivery, 1, 5000);
    assert_int_equal(totals->stamped.delivery.count, SUBSCRIBERS);
    assert_int_equal(totals->read.delivery.count, SUBSCRIBERS);
    assert_true(messages.rank_sums[0] == 0 && messages.rank_sums[SUBSCRIBERS - 1] == 1); /* by the stamps */
}

static void what_is_lost_counts_with_the_time_it_was_missing(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *message = offer();

    (void)state;
    for (uint32_t i = 1; i < SUBSCRIBERS; i++)
        arrive(message, i, 100, 200);
    assert_false(messages_settle(&messages, OFFERED_NS + PATIENCE_NS - 1, PATIENCE_NS));
    assert_true(messages_settle(&messages, OFFERED_NS + PATIENCE_NS, PATIENCE_NS));
    assert_int_equal(totals->lost, 1);
    assert_int_equal(totals->deliveries, SUBSCRIBERS - 1);
    assert_quantile(&totals->stamped.delivery, 1, PATIENCE_NS / US);
    assert_quantile(&totals->read.delivery, 1, PATIENCE_NS / US);
    assert_quantile(&totals->stamped.last, 1, 100);
    assert_quantile(&totals->read.last, 1, 200);
}

static void what_comes_twice_or_too_late_is_no_delivery(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *message = offer();

    (void)state;
    arrive(message, 0, 0, 0); /* as early as it can be: still one that came */
    arrive(message, 0, 100, 100);
    assert_int_equal(totals->repeated, 1);
    assert_true(messages_settle(&messages, OFFERED_NS + PATIENCE_NS, PATIENCE_NS));
    arrive(message, 1, 900000, 900000);
    assert_int_equal(totals->late, 1);
    assert_int_equal(totals->deliveries, 1);
    assert_int_equal(totals->lost, SUBSCRIBERS - 1);
}

static void a_slot_that_is_used_again_is_empty(void **state)
{
    const struct message_totals *totals = &messages.totals;

    (void)state;
    for (unsigned round = 0; round < 2 * MESSAGES_KEPT; round++) {
        struct bench_message *message = offer();
        for (uint32_t i = 0; i < SUBSCRIBERS; i++)
            arrive(message, i, 100, 100);
        assert_true(messages_settle(&messages, OFFERED_NS + US, PATIENCE_NS));
    }
    assert_int_equal(totals->deliveries, 2 * MESSAGES_KEPT * SUBSCRIBERS);
    assert_int_equal(totals->repeated + totals->lost + totals->late, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_times_of_arrival_have_latencies_of_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_lost_counts_with_the_time_it_was_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_twice_or_too_late_is_no_delivery, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slot_that_is_used_again_is_empty, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

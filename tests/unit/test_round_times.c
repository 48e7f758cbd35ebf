/* When the measurement of a round ends, and what it records. */
#include "flashrelay/clock.h"
#include "shard/round_times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct histogram first_send, last_send, spread;

struct round {
    struct round_times times;
    uint32_t ids[2];
};

/* Begins the round of frame 1, which came at 1 s and is offered to two subscribers. */
static int begin_round(void **state)
{
    static const uint64_t ingest_ns = NS_PER_S;
    static struct round round;

    memset(&first_send, 0, sizeof first_send);
    memset(&last_send, 0, sizeof last_send);
    memset(&spread, 0, sizeof spread);
    round = (struct round){.times = {.histograms = {.first_send = &first_send, .last_send = &last_send, .spread = &spread}}};
    round_times_begin(&round.times, 1, &ingest_ns, 1);
    for (unsigned i = 0; i < 2; i++)
        round.ids[i] = round_times_wait(&round.times);
    round_times_offered(&round.times);
    *state = &round;
    return 0;
}

static const struct round_service whole = {.next_untaken = 2, .took_bytes = true, .whole = true};
static const struct round_service refusal = {.next_untaken = 1, .blocked = true};

static void a_round_ends_with_its_last_subscriber(void **state)
{
    struct round *round = *state;

    assert_true(round_times_served(&round->times, round->ids[0], &whole, NS_PER_S + 1000));
    assert_int_equal(histogram_count(&first_send), 1);
    assert_int_equal(histogram_count(&last_send), 0);
    assert_true(round_times_served(&round->times, round->ids[1], &whole, NS_PER_S + 3000));
    assert_int_equal(counter_read(&first_send.sum), 1000);
    assert_int_equal(counter_read(&last_send.sum), 3000);
    assert_int_equal(counter_read(&spread.sum), 2000);
}

static void a_subscriber_that_refuses_is_not_waited_for(void **state)
{
    struct round *round = *state;

    round_times_served(&round->times, round->ids[0], &whole, NS_PER_S + 1000);
    assert_true(round_times_served(&round->times, round->ids[1], &refusal, NS_PER_S + 3000));
    assert_int_equal(counter_read(&last_send.sum), 1000);
}

static void a_round_ends_when_the_last_awaited_subscriber_leaves(void **state)
{
    struct round *round = *state;

    round_times_served(&round->times, round->ids[0], &whole, NS_PER_S + 1000);
    round_times_leave(&round->times, round->ids[1]);
    assert_int_equal(histogram_count(&last_send), 1);
    assert_int_equal(counter_read(&last_send.sum), 1000);
}

static void a_round_that_reached_nobody_records_nothing(void **state)
{
    struct round *round = *state;

    round_times_leave(&round->times, round->ids[0]);
    round_times_leave(&round->times, round->ids[1]);
    assert_int_equal(histogram_count(&first_send) + histogram_count(&last_send) + histogram_count(&spread), 0);
    assert_false(round_times_served(&round->times, round->ids[1], &whole, NS_PER_S + 3000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_round_ends_with_its_last_subscriber, begin_round),
        cmocka_unit_test_setup(a_subscriber_that_refuses_is_not_waited_for, begin_round),
        cmocka_unit_test_setup(a_round_ends_when_the_last_awaited_subscriber_leaves, begin_round),
        cmocka_unit_test_setup(a_round_that_reached_nobody_records_nothing, begin_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void timers_end_in_the_order_in_which_they_began(void **state)
{
    struct timer_queue queue;
    struct timer a, b;

    (void)state;
    timer_queue_init(&queue, 100);
    timer_init(&a);
    timer_init(&b);
    assert_true(timer_queue_deadline(&queue) == CLOCK_NEVER);
    timer_start(&queue, &a, 1000);
    timer_start(&queue, &b, 1050);
    assert_true(timer_queue_deadline(&queue) == 1100);
    assert_null(timer_queue_take_ended(&queue, 1099));
    assert_ptr_equal(timer_queue_take_ended(&queue, 1100), &a);
    assert_false(timer_is_running(&a));
    assert_null(timer_queue_take_ended(&queue, 1149));
    assert_ptr_equal(timer_queue_take_ended(&queue, 2000), &b);
    assert_null(timer_queue_take_ended(&queue, 2000));
}

static void a_timer_started_again_begins_anew(void **state)
{
    struct timer_queue queue, other;
    struct timer a, b;

    (void)state;
    timer_queue_init(&queue, 100);
    timer_queue_init(&other, 10);
    timer_init(&a);
    timer_init(&b);
    timer_start(&queue, &a, 0);
    timer_start(&queue, &b, 10);
    timer_start(&queue, &a, 50);
    assert_ptr_equal(timer_queue_take_ended(&queue, 150), &b);
    timer_start(&other, &a, 60);
    assert_true(timer_queue_deadline(&queue) == CLOCK_NEVER);
    assert_true(timer_queue_deadline(&other) == 70);
}

static void a_stopped_timer_does_not_end(void **state)
{
    struct timer_queue queue;
    struct timer a;

    (void)state;
    timer_queue_init(&queue, 100);
    timer_init(&a);
    timer_stop(&a);
    timer_start(&queue, &a, 0);
    timer_stop(&a);
    assert_null(timer_queue_take_ended(&queue, 1000));
}

static void without_a_duration_timers_only_wait_in_line(void **state)
{
    struct timer_queue queue;
    struct timer a;

    (void)state;
    timer_queue_init(&queue, CLOCK_NEVER);
    timer_init(&a);
    timer_start(&queue, &a, 12345);
    assert_true(timer_is_running(&a));
    assert_true(timer_queue_deadline(&queue) == CLOCK_NEVER);
    assert_null(timer_queue_take_ended(&queue, CLOCK_NEVER - 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_end_in_the_order_in_which_they_began),
        cmocka_unit_test(a_timer_started_again_begins_anew),
        cmocka_unit_test(a_stopped_timer_does_not_end),
        cmocka_unit_test(without_a_duration_timers_only_wait_in_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

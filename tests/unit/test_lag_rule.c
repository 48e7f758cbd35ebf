#include "flashrelay/clock.h"
#include "shard/lag_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct lag_limit limit = {.frames = 8, .grace_ns = 100 * NS_PER_MS};

static struct lag_state state_of(uint64_t frames)
{
    return (struct lag_state){.blocked = true, .blocked_since_ns = 10 * NS_PER_S, .frames = frames};
}

static void only_who_refuses_bytes_and_is_beyond_the_limit_lags(void **state)
{
    struct lag_state lagging = state_of(9), keeping_up = state_of(8), served = state_of(9);
    const struct lag_limit none = {.grace_ns = limit.grace_ns};

    (void)state;
    served.blocked = false;
    assert_int_equal(lag_decide(&limit, &lagging, 11 * NS_PER_S), LAG_CUT_OFF);
    assert_int_equal(lag_decide(&limit, &keeping_up, 11 * NS_PER_S), LAG_KEEP);
    assert_int_equal(lag_decide(&limit, &served, 11 * NS_PER_S), LAG_KEEP);
    assert_int_equal(lag_decide(&none, &lagging, 11 * NS_PER_S), LAG_KEEP);
}

static void a_grace_is_waited_for(void **state)
{
    struct lag_state lagging = state_of(9);
    uint64_t end_ns = lagging.blocked_since_ns + limit.grace_ns;

    (void)state;
    assert_int_equal(lag_decide(&limit, &lagging, lagging.blocked_since_ns), LAG_DECIDE_LATER);
    assert_int_equal(lag_decide(&limit, &lagging, end_ns - 1), LAG_DECIDE_LATER);
    assert_int_equal(lag_decide(&limit, &lagging, end_ns), LAG_CUT_OFF);
}

/* In a turn that could not report everything, the time by which everything is known may be before the subscriber was blocked. */
static void a_subscriber_that_refuses_since_the_last_report_is_within_the_grace(void **state)
{
    struct lag_state lagging = state_of(9);

    (void)state;
    assert_int_equal(lag_decide(&limit, &lagging, lagging.blocked_since_ns - 1), LAG_DECIDE_LATER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_refuses_bytes_and_is_beyond_the_limit_lags),
        cmocka_unit_test(a_grace_is_waited_for),
        cmocka_unit_test(a_subscriber_that_refuses_since_the_last_report_is_within_the_grace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

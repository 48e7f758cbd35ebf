/* How many file descriptors stay reserved. */
#include "descriptors.h"
#include "http/server.h"
#include "support/skip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>

#include <cmocka.h>

enum { UPSTREAMS = 60, FEW = 200 };

/* Skips the test where so few descriptors are allowed that the reserve is half of them. */
static unsigned reserve_for(unsigned upstreams, bool metrics)
{
    const struct options options = {.upstreams.count = upstreams, .metrics = metrics};
    struct descriptor_plan plan = descriptors_plan(&options);

    if (plan.reserved >= plan.limit / 2)
        skip_because("the limit of open files is too low");
    return plan.reserved;
}

/* An upstream needs one for its connection, and at least one to look up its name. */
static void each_upstream_has_descriptors_of_its_own(void **state)
{
    (void)state;
    assert_true(reserve_for(UPSTREAMS + 1, false) >= reserve_for(1, false) + 2 * UPSTREAMS);
}

static void each_scrape_has_a_descriptor_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(reserve_for(1, true), reserve_for(1, false) + HTTP_SERVER_MAX_CONNECTIONS);
}

/* To be run last: the process can't raise its limit again. */
static void half_of_few_descriptors_is_left_for_connections(void **state)
{
    const struct options options = {.upstreams.count = UPSTREAMS, .metrics = true, .shards = 1};
    const struct rlimit few = {.rlim_cur = FEW, .rlim_max = FEW};
    struct descriptor_plan plan;

    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    plan = descriptors_plan(&options);
    assert_int_equal(plan.limit, FEW);
    assert_int_equal(plan.reserved, FEW / 2);
    assert_true(descriptors_share(&plan, &options).room > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_upstream_has_descriptors_of_its_own),
        cmocka_unit_test(each_scrape_has_a_descriptor_of_its_own),
        cmocka_unit_test(half_of_few_descriptors_is_left_for_connections),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The heartbeat: when it pings, when it gives up, and what excuses a late pong. */
#include "ingest/heartbeat.h"

#include "flashrelay/clock.h"
#include "flashrelay/ingest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct heartbeat start(uint64_t interval_s, uint64_t timeout_s)
{
    struct heartbeat heartbeat;

    heartbeat_start(&heartbeat, interval_s * NS_PER_S, timeout_s * NS_PER_S, 0);
    return heartbeat;
}

static enum heartbeat_action poll_at(struct heartbeat *heartbeat, uint64_t ms)
{
    return heartbeat_poll(heartbeat, ms * NS_PER_MS);
}

/* Polls at every deadline; returns when the heartbeat gives up, in ms. Pongs come `delay_ms` after a ping, none after `last_pong_ms`. */
static uint64_t run(struct heartbeat *heartbeat, uint64_t delay_ms, uint64_t last_pong_ms)
{
    uint64_t pong_ns = CLOCK_NEVER;

    for (;;) {
        uint64_t now = heartbeat_deadline(heartbeat);

        if (pong_ns <= now) {
            heartbeat_pong(heartbeat, pong_ns);
            pong_ns = CLOCK_NEVER;
            continue;
        }
        switch (heartbeat_poll(heartbeat, now)) {
        case HEARTBEAT_NONE:
            fail_msg("nothing is due at the deadline");
            break;
        case HEARTBEAT_PING:
            if (now / NS_PER_MS + delay_ms <= last_pong_ms && pong_ns == CLOCK_NEVER)
                pong_ns = now + delay_ms * NS_PER_MS;
            break;
        case HEARTBEAT_DEAD:
            return now / NS_PER_MS;
        }
    }
}

static void the_first_ping_is_at_once_and_then_every_interval(void **state)
{
    struct heartbeat heartbeat = start(2, 4);

    (void)state;
    assert_int_equal(heartbeat_deadline(&heartbeat), 0);
    assert_int_equal(poll_at(&heartbeat, 0), HEARTBEAT_PING);
    assert_int_equal(poll_at(&heartbeat, 1999), HEARTBEAT_NONE);
    assert_int_equal(heartbeat_deadline(&heartbeat), 2 * NS_PER_S);
    assert_int_equal(poll_at(&heartbeat, 2000), HEARTBEAT_PING);
    assert_int_equal(poll_at(&heartbeat, 2000), HEARTBEAT_NONE);
}

static void the_first_pong_has_the_grace(void **state)
{
    struct heartbeat heartbeat = start(2, 4);

    (void)state;
    assert_int_equal(run(&heartbeat, 0, 0), 4000); /* one pong at 0, then the time-out */
    heartbeat = start(2, 4);
    assert_int_equal(run(&heartbeat, 1, 0), INGEST_PONG_GRACE_NS / NS_PER_MS);
    heartbeat = start(2, 9);
    assert_int_equal(run(&heartbeat, 1, 0), 9000);
}

static void an_upstream_that_falls_silent_is_given_up_a_time_out_after_the_last_pong(void **state)
{
    struct heartbeat heartbeat = start(2, 4);

    (void)state;
    assert_int_equal(run(&heartbeat, 100, 60100), 64100);
}

static void an_interval_above_the_time_out_does_not_kill(void **state)
{
    struct heartbeat heartbeat = start(10, 4);

    (void)state;
    assert_int_equal(run(&heartbeat, 100, 60100), 74000);
}

static void our_own_sleep_is_not_held_against_it(void **state)
{
    struct heartbeat heartbeat = start(2, 4);

    (void)state;
    assert_int_equal(poll_at(&heartbeat, 0), HEARTBEAT_PING);
    heartbeat_pong(&heartbeat, 1 * NS_PER_MS);
    assert_int_equal(poll_at(&heartbeat, 60000), HEARTBEAT_PING);
    assert_int_equal(poll_at(&heartbeat, 61999), HEARTBEAT_NONE);
    assert_int_equal(poll_at(&heartbeat, 62000), HEARTBEAT_DEAD);
}

static void an_excuse_gives_the_whole_time_out_again(void **state)
{
    struct heartbeat heartbeat = start(2, 4);

    (void)state;
    assert_int_equal(poll_at(&heartbeat, 0), HEARTBEAT_PING);
    heartbeat_extend(&heartbeat, 30 * NS_PER_S);
    assert_int_equal(poll_at(&heartbeat, 33999), HEARTBEAT_PING);
    assert_int_equal(poll_at(&heartbeat, 34000), HEARTBEAT_DEAD);
}

static void patience_is_had_once_until_a_pong_comes(void **state)
{
    struct heartbeat heartbeat = start(2, 4);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t begin_ms = i * 100000;

        heartbeat_pong(&heartbeat, begin_ms * NS_PER_MS);
        assert_int_equal(poll_at(&heartbeat, begin_ms), HEARTBEAT_PING);
        assert_int_equal(poll_at(&heartbeat, begin_ms + 4000), HEARTBEAT_DEAD);
        assert_true(heartbeat_extend_once(&heartbeat, (begin_ms + 4000) * NS_PER_MS));
        assert_int_equal(poll_at(&heartbeat, begin_ms + 7999), HEARTBEAT_PING);
        assert_int_equal(poll_at(&heartbeat, begin_ms + 8000), HEARTBEAT_DEAD);
        assert_false(heartbeat_extend_once(&heartbeat, (begin_ms + 8000) * NS_PER_MS));
        assert_int_equal(poll_at(&heartbeat, begin_ms + 8000), HEARTBEAT_DEAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_ping_is_at_once_and_then_every_interval),
        cmocka_unit_test(the_first_pong_has_the_grace),
        cmocka_unit_test(an_upstream_that_falls_silent_is_given_up_a_time_out_after_the_last_pong),
        cmocka_unit_test(an_interval_above_the_time_out_does_not_kill),
        cmocka_unit_test(our_own_sleep_is_not_held_against_it),
        cmocka_unit_test(an_excuse_gives_the_whole_time_out_again),
        cmocka_unit_test(patience_is_had_once_until_a_pong_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

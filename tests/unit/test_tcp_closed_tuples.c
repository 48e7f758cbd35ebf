#include "engine/tcp/closed_tuples.h"

#include "engine/tcp/sequence.h"
#include "flashrelay/random.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MINUTE TICKS_OF_MS(60000)

static struct closed_tuples closed;

static int begin(void **state)
{
    (void)state;
    return closed_tuples_init(&closed);
}

static int end(void **state)
{
    (void)state;
    closed_tuples_dispose(&closed);
    return 0;
}

/* Number `number` of many peers: several addresses with many ports. */
static struct closed_tuple tuple_of(uint32_t number, uint32_t closed_at)
{
    struct closed_tuple tuple = {.remote = ip_of("192.0.2.0"), .nxt = number, .closed_at = closed_at};

    tuple.remote.bytes[15] = (uint8_t)(number % 7);
    tuple.remote_port = (uint16_t)(number / 7 + 1);
    return tuple;
}

static struct closed_tuple *find(uint32_t number, uint32_t now)
{
    struct closed_tuple tuple = tuple_of(number, 0);

    return closed_tuples_find(&closed, &tuple.remote, tuple.remote_port, tuple.local, now);
}

static void add(uint32_t number, uint32_t closed_at)
{
    struct closed_tuple tuple = tuple_of(number, closed_at);

    closed_tuples_add(&closed, &tuple);
}

static void a_tuple_is_known_for_a_minute(void **state)
{
    uint32_t now = UINT32_MAX - MINUTE / 2; /* ticks wrap meanwhile */

    (void)state;
    add(3, now);
    assert_int_equal(find(3, now)->nxt, 3);
    assert_non_null(find(3, now + MINUTE - 1));
    assert_null(find(3, now + MINUTE));
}

static void address_port_and_own_address_must_agree(void **state)
{
    struct closed_tuple tuple = tuple_of(1, 0);
    struct ip_address other = ip_of("2001:db8::1");

    (void)state;
    closed_tuples_add(&closed, &tuple);
    assert_non_null(closed_tuples_find(&closed, &tuple.remote, tuple.remote_port, 0, 1));
    assert_null(closed_tuples_find(&closed, &tuple.remote, tuple.remote_port, 1, 1));
    assert_null(closed_tuples_find(&closed, &tuple.remote, tuple.remote_port + 1, 0, 1));
    assert_null(closed_tuples_find(&closed, &other, tuple.remote_port, 0, 1));
}

static void one_that_was_opened_again_is_forgotten_until_it_ends_again(void **state)
{
    (void)state;
    add(1, 0);
    find(1, 1)->is_live = false;
    assert_null(find(1, 2));
    add(1, 3);
    assert_int_equal(find(1, 4)->closed_at, 3);
}

/* Round after round: the ring holds the last 4,096, whatever their chains. */
static void the_oldest_is_overwritten(void **state)
{
    (void)state;
    for (uint32_t number = 0; number < 5 * CLOSED_TUPLES + 100; number++) {
        add(number, 0);
        assert_int_equal(find(number, 1)->nxt, number);
        if (number >= CLOSED_TUPLES)
            assert_null(find(number - CLOSED_TUPLES, 1));
        if (number >= CLOSED_TUPLES - 1)
            assert_int_equal(find(number - CLOSED_TUPLES + 1, 1)->nxt, number - CLOSED_TUPLES + 1);
    }
}

/* Some end again and again: the newest end counts. */
static void the_newest_end_of_a_tuple_counts(void **state)
{
    struct random random;
    static uint32_t last[500];

    (void)state;
    random_seed(&random, 2);
    for (uint32_t now = 1; now < 40000; now++) {
        uint32_t number = (uint32_t)random_below(&random, 500), other = (uint32_t)random_below(&random, 500);

        add(number, now);
        last[number] = now;
        if (last[other] != 0 && now - last[other] < CLOSED_TUPLES)
            assert_int_equal(find(other, now)->closed_at, last[other]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tuple_is_known_for_a_minute, begin, end),
        cmocka_unit_test_setup_teardown(address_port_and_own_address_must_agree, begin, end),
        cmocka_unit_test_setup_teardown(one_that_was_opened_again_is_forgotten_until_it_ends_again, begin, end),
        cmocka_unit_test_setup_teardown(the_oldest_is_overwritten, begin, end),
        cmocka_unit_test_setup_teardown(the_newest_end_of_a_tuple_counts, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

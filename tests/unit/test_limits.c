/* Limits: their order, that a refusal takes nothing, and the table of addresses against a plain count. */
#include "access/limits.h"
#include "flashrelay/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct access_app apps[] = {
    {.name = (char[]){"none"}, .key = (char[]){"0"}, .connection_limit = 0},
    {.name = (char[]){"two"}, .key = (char[]){"2"}, .connection_limit = 2},
    {.name = (char[]){"many"}, .key = (char[]){"m"}, .connection_limit = UINT32_MAX},
};
enum { APPS = sizeof apps / sizeof apps[0] };

static struct ip_address address(uint32_t number)
{
    struct ip_address ip = {{0x20, 0x01}};

    memcpy(ip.bytes + 12, &number, sizeof number);
    return ip;
}

static struct access_table *table;

static struct limits *create(uint32_t instance, uint32_t per_ip)
{
    struct limits_options options = {.instance_limit = instance, .ip_limit = per_ip, .apps = APPS, .seed = 1};
    struct limits *limits;

    assert_int_equal(limits_create(&limits, &options), 0);
    return limits;
}

static enum admission_verdict enter(struct limits *limits, uint32_t ip, uint16_t app)
{
    struct ip_address from = address(ip);
    return limits_enter(limits, table, &from, app);
}

static void leave(struct limits *limits, uint32_t ip, uint16_t app)
{
    struct ip_address from = address(ip);
    limits_leave(limits, &from, app);
}

static void the_instance_limit_can_be_lowered_at_first(void **state)
{
    struct limits *limits = create(2, 0);

    (void)state;
    limits_lower_instance_limit(limits, 1);
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 2, ADMISSION_NO_APP), ADMISSION_REFUSED_INSTANCE);
    leave(limits, 1, ADMISSION_NO_APP);
    limits_destroy(limits);
}

static void instance_limit_holds(void **state)
{
    struct limits *limits = create(2, 0);

    (void)state;
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 2, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 3, ADMISSION_NO_APP), ADMISSION_REFUSED_INSTANCE);
    leave(limits, 1, ADMISSION_NO_APP);
    assert_int_equal(enter(limits, 3, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(limits_connections(limits), 2);
    limits_destroy(limits);
}

static void instance_limit_of_zero_refuses_everybody(void **state)
{
    struct limits *limits = create(0, 0);

    (void)state;
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_REFUSED_INSTANCE);
    limits_destroy(limits);
}

static void ip_limit_holds(void **state)
{
    struct limits *limits = create(100, 2);

    (void)state;
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_REFUSED_IP);
    assert_int_equal(enter(limits, 2, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    leave(limits, 1, ADMISSION_NO_APP);
    assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(limits_addresses(limits), 2);
    limits_destroy(limits);
}

static void ip_limit_of_zero_is_none(void **state)
{
    struct limits *limits = create(1000, 0);

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(enter(limits, 1, ADMISSION_NO_APP), ADMISSION_ADMITTED);
    assert_int_equal(limits_addresses(limits), 0); /* addresses are not counted without a limit per address */
    limits_destroy(limits);
}

static void app_limits(void **state)
{
    struct limits *limits = create(100, 0);

    (void)state;
    assert_int_equal(enter(limits, 1, 0), ADMISSION_REFUSED_APP);
    assert_int_equal(enter(limits, 1, 1), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 2, 1), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 3, 1), ADMISSION_REFUSED_APP);
    leave(limits, 2, 1);
    assert_int_equal(enter(limits, 3, 1), ADMISSION_ADMITTED);
    for (int i = 0; i < 50; i++)
        assert_int_equal(enter(limits, 4, 2), ADMISSION_ADMITTED);
    limits_destroy(limits);
}

static void order_is_instance_then_ip_then_app(void **state)
{
    struct limits *limits = create(1, 1);

    (void)state;
    assert_int_equal(enter(limits, 1, 2), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 1, 0), ADMISSION_REFUSED_INSTANCE);
    limits_destroy(limits);
    limits = create(2, 1);
    assert_int_equal(enter(limits, 1, 2), ADMISSION_ADMITTED);
    assert_int_equal(enter(limits, 1, 0), ADMISSION_REFUSED_IP);
    limits_destroy(limits);
}

static void a_refusal_takes_nothing(void **state)
{
    struct limits *limits = create(3, 1);

    (void)state;
    assert_int_equal(enter(limits, 1, 1), ADMISSION_ADMITTED);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(enter(limits, 1, 1), ADMISSION_REFUSED_IP);
        assert_int_equal(enter(limits, 2, 0), ADMISSION_REFUSED_APP);
    }
    assert_int_equal(limits_connections(limits), 1);
    assert_int_equal(limits_addresses(limits), 1);
    assert_int_equal(enter(limits, 2, 1), ADMISSION_ADMITTED);
    limits_destroy(limits);
}

/* An app's number stays valid after the app was removed: connections that entered with it leave with it. */
static void an_app_that_is_gone_admits_nobody_and_lets_leave(void **state)
{
    struct limits *limits = create(100, 0);
    struct access_table *whole = table;
    struct access_app fewer[APPS];

    (void)state;
    memcpy(fewer, apps, sizeof fewer);
    fewer[1] = (struct access_app){0};
    assert_int_equal(enter(limits, 1, 1), ADMISSION_ADMITTED);
    assert_int_equal(access_table_create(&table, fewer, APPS, false), 0);
    assert_int_equal(enter(limits, 2, 1), ADMISSION_REFUSED_APP);
    assert_int_equal(enter(limits, 2, 2), ADMISSION_ADMITTED);
    leave(limits, 1, 1);
    assert_int_equal(limits_connections(limits), 1);
    access_table_destroy(table);
    table = whole;
    limits_destroy(limits);
}

/* Connections from 200 addresses enter and leave at random; the limits are compared with counts in a plain array. */
static void against_a_plain_count(void **state)
{
    enum { ADDRESSES = 200, LIMIT = 150, PER_IP = 3 };
    struct limits *limits = create(LIMIT, PER_IP);
    uint32_t counts[ADDRESSES] = {0}, total = 0, addresses = 0;
    struct random random;

    (void)state;
    random_seed(&random, 42);
    for (int step = 0; step < 200000; step++) {
        uint32_t ip = (uint32_t)random_below(&random, ADDRESSES);

        if (random_below(&random, 2) && counts[ip]) {
            leave(limits, ip, ADMISSION_NO_APP);
            total--;
            addresses -= --counts[ip] == 0;
        } else {
            enum admission_verdict expected = total == LIMIT         ? ADMISSION_REFUSED_INSTANCE
                                              : counts[ip] == PER_IP ? ADMISSION_REFUSED_IP
                                                                     : ADMISSION_ADMITTED;
            assert_int_equal(enter(limits, ip, ADMISSION_NO_APP), expected);
            if (expected == ADMISSION_ADMITTED) {
                total++;
                addresses += counts[ip]++ == 0;
            }
        }
        assert_int_equal(limits_connections(limits), total);
        assert_int_equal(limits_addresses(limits), addresses);
    }
    limits_destroy(limits);
}

static int create_table(void **state)
{
    (void)state;
    return access_table_create(&table, apps, APPS, false);
}

static int destroy_table(void **state)
{
    (void)state;
    access_table_destroy(table);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instance_limit_holds),
        cmocka_unit_test(the_instance_limit_can_be_lowered_at_first),
        cmocka_unit_test(instance_limit_of_zero_refuses_everybody),
        cmocka_unit_test(ip_limit_holds),
        cmocka_unit_test(ip_limit_of_zero_is_none),
        cmocka_unit_test(app_limits),
        cmocka_unit_test(order_is_instance_then_ip_then_app),
        cmocka_unit_test(a_refusal_takes_nothing),
        cmocka_unit_test(an_app_that_is_gone_admits_nobody_and_lets_leave),
        cmocka_unit_test(against_a_plain_count),
    };
    return cmocka_run_group_tests(tests, create_table, destroy_table);
}

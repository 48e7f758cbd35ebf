/* Round-trip times against RFC 6298, windows against values computed from RFC 9438. */
#include "engine/tcp/congestion.h"

#include "support/ip.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MSS 1460u
#define RTT TICKS_OF_MS(100)

static struct tcp_engine *engine;
static struct tcp_connection connection;

static int begin(void **state)
{
    (void)state;
    engine = aligned_alloc(_Alignof(struct tcp_engine), sizeof *engine);
    if (!engine)
        return -1;
    memset(engine, 0, sizeof *engine);
    engine->now = UINT32_MAX - TICKS_OF_MS(1500); /* ticks wrap meanwhile */
    connection = (struct tcp_connection){.remote = ip_of("192.0.2.2"), .mss_class = 6};
    congestion_init(&connection, engine);
    return 0;
}

static int end(void **state)
{
    (void)state;
    free(engine);
    return 0;
}

static void assert_near(double value, double expected, double tolerance)
{
    if (fabs(value - expected) > tolerance)
        fail_msg("%.3f is not within %.3f of %.3f", value, tolerance, expected);
}

static double in_segments(uint32_t bytes)
{
    return (double)bytes / MSS;
}

/* --- segment sizes --- */

static void classes_of_segments(void **state)
{
    static const struct {
        uint16_t mss, mtu;
        bool is_v6;
        uint16_t expected;
    } cases[] = {
        {1460, 1500, false, 1460}, {1459, 1500, false, 1440}, {1460, 1499, false, 1440}, {0, 1500, false, 536},
        {536, 1500, false, 536},   {100, 1500, false, 536},   {1220, 1500, false, 1220}, {9000, 9000, false, 8960},
        {9000, 8999, false, 1460}, {1460, 576, false, 536},   {1440, 1500, true, 1440},  {1439, 1500, true, 1420},
        {0, 1500, true, 1200},     {1220, 1280, true, 1200},  {8940, 9000, true, 8940},  {65535, 1500, true, 1440},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        connection.remote = ip_of(cases[i].is_v6 ? "2001:db8::2" : "192.0.2.2");
        connection.is_v6 = cases[i].is_v6;
        connection.mss_class = mss_class_of(cases[i].mss, cases[i].mtu, cases[i].is_v6) & 7u;
        assert_int_equal(tcp_mss(&connection), cases[i].expected);
    }
}

/* --- RFC 6298 --- */

static void the_first_sample_sets_both_estimates(void **state)
{
    (void)state;
    assert_int_equal(congestion_timeout(&connection), TICKS_OF_MS(1000));
    congestion_measured(engine, &connection, RTT);
    assert_int_equal(connection.srtt, RTT);
    assert_int_equal(connection.rttvar, RTT / 2);
    assert_int_equal(connection.min_rtt, RTT);
    assert_int_equal(congestion_timeout(&connection), RTT + 4 * (RTT / 2));
}

static void estimates_follow_the_formulas(void **state)
{
    double srtt = RTT, rttvar = RTT / 2.0;
    struct random random;

    (void)state;
    random_seed(&random, 4);
    congestion_measured(engine, &connection, RTT);
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t sample = (uint32_t)(RTT / 2 + random_below(&random, RTT * 3));

        rttvar = 0.75 * rttvar + 0.25 * fabs(srtt - sample);
        srtt = 0.875 * srtt + 0.125 * sample;
        congestion_measured(engine, &connection, sample);
        assert_near(connection.srtt, srtt, 0.001 * RTT);
        assert_near(connection.rttvar, rttvar, 0.001 * RTT);
    }
    assert_true(connection.min_rtt < RTT);
    assert_int_equal(histogram_count(&engine->counters.rtt_us), 126); /* one in 8 */
}

static void the_time_out_has_a_least_and_a_greatest_value(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        congestion_measured(engine, &connection, 50);
    assert_in_range(congestion_timeout(&connection), TICKS_OF_MS(200), TICKS_OF_MS(200) + 60);
    for (unsigned i = 1; i < 9; i++) {
        uint32_t before = congestion_timeout(&connection);

        connection.backoff = (uint8_t)i;
        assert_int_equal(congestion_timeout(&connection), before * 2 < TICKS_OF_MS(60000) ? before * 2 : TICKS_OF_MS(60000));
    }
    connection.backoff = 255;
    assert_int_equal(congestion_timeout(&connection), TICKS_OF_MS(60000));
    congestion_measured(engine, &connection, 50);
    assert_int_equal(connection.backoff, 0);
}

static void a_round_trip_below_a_tick_is_one(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++)
        congestion_measured(engine, &connection, 0);
    assert_int_equal(connection.srtt, 1);
    assert_int_equal(connection.min_rtt, 1);
}

/* --- windows --- */

/* A round-trip time passes, in which the whole window was acknowledged in segments. */
static void pass_round(void)
{
    uint32_t window = connection.cwnd;

    for (uint32_t bytes = 0; bytes + MSS <= window; bytes += MSS) {
        engine->now += (uint32_t)((uint64_t)RTT * MSS / window);
        congestion_acknowledged(engine, &connection, MSS);
    }
}

static void slow_start_doubles_per_round_trip(void **state)
{
    (void)state;
    assert_int_equal(connection.cwnd, 10 * MSS);
    connection.cwnd_limited = true;
    pass_round();
    assert_int_equal(connection.cwnd, 20 * MSS);
    pass_round();
    assert_int_equal(connection.cwnd, 40 * MSS);
}

static void a_window_that_is_not_used_does_not_grow(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        pass_round();
    assert_int_equal(connection.cwnd, 10 * MSS);
    connection.ssthresh = connection.cwnd;
    for (unsigned i = 0; i < 100; i++)
        pass_round();
    assert_int_equal(connection.cwnd, 10 * MSS);
}

/* Loss at `segments` segments, and a recovery that leaves the window at ssthresh. */
static void lose_at(uint32_t segments)
{
    connection.srtt = RTT;
    connection.cwnd = segments * MSS;
    congestion_lost(&connection);
    connection.cwnd = connection.ssthresh;
    connection.cwnd_limited = true;
}

static void loss_takes_three_tenths(void **state)
{
    (void)state;
    lose_at(100);
    assert_near(in_segments(connection.ssthresh), 70, 0.01);
    assert_int_equal(connection.cubic_maximum, 100);
    lose_at(80); /* below the last maximum: (1 + beta) / 2 of it is left to others */
    assert_int_equal(connection.cubic_maximum, 68);
    lose_at(1);
    assert_int_equal(connection.ssthresh, 2 * MSS);
}

/* W(t) = 0.4 (t - K)^3 + 100 with K = cbrt(30 / 0.4) = 4.217 s; the window is to be W one round trip later. */
static void cubic_grows_as_computed(void **state)
{
    static const double times[] = {0.5, 1.0, 2.0, 3.0, 5.0, 6.0};
    uint32_t begin_at = engine->now;

    (void)state;
    lose_at(100);
    congestion_acknowledged(engine, &connection, 1);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        double k = cbrt(30 / 0.4), distance;

        while ((double)(engine->now - begin_at) / TICKS_PER_S < times[i])
            pass_round();
        distance = (double)(engine->now - begin_at) / TICKS_PER_S - k;
        /* Between the value of now and that of a round trip later. */
        assert_true(in_segments(connection.cwnd) >= 0.4 * distance * distance * distance + 100 - 1);
        distance += 0.1;
        assert_true(in_segments(connection.cwnd) <= 0.4 * distance * distance * distance + 100 + 1);
    }
}

/* Where Reno would grow faster, the window grows as Reno's: by 0.529 segments per round trip (RFC 9438, 4.3). */
static void short_round_trips_grow_as_reno_does(void **state)
{
    uint32_t begin_at = engine->now;

    (void)state;
    lose_at(10);
    connection.srtt = TICKS_OF_MS(10);
    while (engine->now - begin_at < TICKS_OF_MS(1000)) {
        uint32_t window = connection.cwnd;

        engine->now += TICKS_OF_MS(10);
        congestion_acknowledged(engine, &connection, window);
    }
    /* 0.529 segments per round trip from 7 back to 10, then one. */
    assert_near(in_segments(connection.cwnd), 10 + (100 - 3 / 0.529), 2);
}

static void time_in_which_the_window_was_not_used_does_not_count(void **state)
{
    uint32_t before;

    (void)state;
    lose_at(100);
    pass_round();
    before = connection.cwnd;
    connection.cwnd_limited = false;
    engine->now += TICKS_OF_MS(600000); /* CUBIC would grow by its cube */
    congestion_acknowledged(engine, &connection, MSS);
    connection.cwnd_limited = true;
    pass_round();
    assert_true(connection.cwnd < before + 5 * MSS);
}

static void growth_is_at_most_half_a_window_per_round_trip(void **state)
{
    uint32_t before;

    (void)state;
    lose_at(100);
    pass_round();
    engine->now += TICKS_OF_MS(60000);
    before = connection.cwnd;
    congestion_acknowledged(engine, &connection, before);
    assert_true(connection.cwnd <= before + before / 2);
}

static void the_window_has_an_end(void **state)
{
    (void)state;
    connection.cwnd_limited = true;
    connection.cwnd = 1 << 29;
    for (unsigned i = 0; i < 3; i++)
        congestion_acknowledged(engine, &connection, 1 << 29);
    assert_int_equal(connection.cwnd, 1 << 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(classes_of_segments, begin, end),
        cmocka_unit_test_setup_teardown(the_first_sample_sets_both_estimates, begin, end),
        cmocka_unit_test_setup_teardown(estimates_follow_the_formulas, begin, end),
        cmocka_unit_test_setup_teardown(the_time_out_has_a_least_and_a_greatest_value, begin, end),
        cmocka_unit_test_setup_teardown(a_round_trip_below_a_tick_is_one, begin, end),
        cmocka_unit_test_setup_teardown(slow_start_doubles_per_round_trip, begin, end),
        cmocka_unit_test_setup_teardown(a_window_that_is_not_used_does_not_grow, begin, end),
        cmocka_unit_test_setup_teardown(loss_takes_three_tenths, begin, end),
        cmocka_unit_test_setup_teardown(cubic_grows_as_computed, begin, end),
        cmocka_unit_test_setup_teardown(short_round_trips_grow_as_reno_does, begin, end),
        cmocka_unit_test_setup_teardown(time_in_which_the_window_was_not_used_does_not_count, begin, end),
        cmocka_unit_test_setup_teardown(growth_is_at_most_half_a_window_per_round_trip, begin, end),
        cmocka_unit_test_setup_teardown(the_window_has_an_end, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

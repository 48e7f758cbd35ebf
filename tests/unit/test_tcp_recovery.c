/* The scoreboard of selective acknowledgements against a map of segments, and what RFC 8985 and RFC 2883 ask of it. */
#include "engine/tcp/recovery.h"

#include "engine/tcp/congestion.h"
#include "flashrelay/random.h"
#include "support/ip.h"
#include "support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MSS      1220u
#define SEGMENTS 200u
#define START    (UINT32_MAX - 50 * MSS) /* sequence numbers wrap on the way */

static struct tcp_engine *engine;
static struct tcp_connection connection;
static struct packet packet;
static bool has[SEGMENTS]; /* segments that the peer has */

static int begin_with_blocks(uint32_t blocks)
{
    engine = aligned_alloc(_Alignof(struct tcp_engine), sizeof *engine);
    must(engine != NULL);
    memset(engine, 0, sizeof *engine);
    must(slab_init(&engine->recoveries, sizeof(struct tcp_recovery), blocks, UINT32_MAX) == 0);
    engine->now = 1000000;
    connection = (struct tcp_connection){
        .remote = ip_of("192.0.2.2"), .mss_class = 1, .una = START, .nxt = START, .recovery = NO_SLOT, .sack = true};
    congestion_init(&connection, engine);
    connection.cwnd = 1 << 20;
    congestion_measured(engine, &connection, TICKS_OF_MS(20));
    recovery_begin_flight(engine, &connection);
    connection.nxt += SEGMENTS * MSS;
    recovery_note_sent(engine, &connection);
    engine->now += TICKS_OF_MS(20);
    memset(has, 0, sizeof has);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    return begin_with_blocks(1);
}

static int begin_without_blocks(void **state)
{
    int result = begin_with_blocks(1);

    (void)state;
    must(slab_take(&engine->recoveries) != NULL);
    return result;
}

static int end(void **state)
{
    (void)state;
    slab_dispose(&engine->recoveries);
    free(engine);
    return 0;
}

static const struct tcp_recovery *block(void)
{
    assert_int_not_equal(connection.recovery, NO_SLOT);
    return slab_element(&engine->recoveries, connection.recovery);
}

/* An acknowledgement of all segments before `next`, with up to two ranges of segments [start, end). */
static void acknowledge(uint32_t next, unsigned count, const uint32_t ranges[][2])
{
    uint32_t acknowledgement = START + next * MSS, advanced = acknowledgement - connection.una;

    packet = (struct packet){.acknowledgement = acknowledgement, .sack_count = (uint8_t)count};
    for (unsigned i = 0; i < count; i++)
        packet.sacks[i] = (struct sack_block){START + ranges[i][0] * MSS, START + ranges[i][1] * MSS};
    connection.una = acknowledgement;
    recovery_measure(engine, &connection);
    recovery_acknowledged(engine, &connection, &packet, advanced);
}

static bool is_in_hole(uint32_t segment)
{
    uint32_t sequence = START + segment * MSS;

    for (unsigned i = 0; i < block()->hole_count; i++)
        if (!sequence_before(sequence, block()->holes[i].start) && sequence_before(sequence, block()->holes[i].end))
            return true;
    return false;
}

/* Holes lie in order between una and the highest byte, none is empty or adjacent to the next, and [start, next) lies within. */
static void check_form(void)
{
    uint32_t before = connection.una - 1;

    assert_true(block()->hole_count <= RECOVERY_HOLES);
    for (unsigned i = 0; i < block()->hole_count; i++) {
        const struct tcp_hole *hole = &block()->holes[i];

        assert_true(sequence_after(hole->start, before));
        assert_true(sequence_before(hole->start, hole->end));
        assert_true(!sequence_before(hole->next, hole->start) && !sequence_after(hole->next, hole->end));
        before = hole->end;
    }
    assert_true(block()->hole_count == 0 || sequence_before(before, block()->high));
}

static void holes_are_what_lies_between_acknowledged_ranges(void **state)
{
    (void)state;
    acknowledge(1, 2, (const uint32_t[][2]){{5, 7}, {3, 4}});
    assert_int_equal(block()->hole_count, 2);
    check_form();
    for (uint32_t segment = 1; segment < 8; segment++)
        assert_int_equal(is_in_hole(segment), segment < 3 || segment == 4);
    assert_true(connection.recovering); /* three segments above the first hole: RFC 8985, 6.2 step 4 */
    acknowledge(1, 1, (const uint32_t[][2]){{4, 5}});
    assert_int_equal(block()->hole_count, 1);
    acknowledge(2, 0, NULL);
    assert_int_equal(block()->holes[0].start, START + 2 * MSS);
    check_form();
    acknowledge(7, 0, NULL);
    assert_true(connection.recovery == NO_SLOT || block()->hole_count == 0);
}

/* Blocks come with the newest first (RFC 2018, 4); that the older one is read later does not mean that it came later. */
static void blocks_of_one_acknowledgement_are_no_reordering(void **state)
{
    (void)state;
    acknowledge(0, 3, (const uint32_t[][2]){{9, 10}, {2, 3}, {5, 7}});
    assert_false(connection.reordering_seen);
    acknowledge(0, 1, (const uint32_t[][2]){{1, 2}});
    assert_true(connection.reordering_seen);
}

/* A range in the middle of a hole makes two of it, one over its edges makes it shorter. */
static void holes_are_split_and_trimmed(void **state)
{
    (void)state;
    acknowledge(0, 1, (const uint32_t[][2]){{20, 21}});
    acknowledge(0, 1, (const uint32_t[][2]){{8, 10}});
    assert_int_equal(block()->hole_count, 2);
    acknowledge(0, 1, (const uint32_t[][2]){{18, 20}});
    acknowledge(0, 1, (const uint32_t[][2]){{10, 12}});
    acknowledge(0, 1, (const uint32_t[][2]){{0, 2}});
    assert_int_equal(block()->holes[0].start, START + 2 * MSS);
    assert_int_equal(block()->holes[0].end, START + 8 * MSS);
    assert_int_equal(block()->holes[1].start, START + 12 * MSS);
    assert_int_equal(block()->holes[1].end, START + 18 * MSS);
    check_form();
}

static void an_eleventh_hole_is_merged_where_least_is_sent_twice(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t begin = i * 8 + 4, end = begin + (i == 6 ? 1 : 4); /* after hole number 6 the fewest bytes have arrived */

        acknowledge(0, 1, (const uint32_t[][2]){{begin, end}});
        memset(&has[begin], true, end - begin);
    }
    assert_int_equal(block()->hole_count, 10);
    acknowledge(0, 1, (const uint32_t[][2]){{90, 91}});
    assert_int_equal(block()->hole_count, 10);
    check_form();
    has[6 * 8 + 4] = false; /* may be sent twice */
    for (uint32_t segment = 0; segment < 90; segment++)
        assert_int_equal(is_in_hole(segment), !has[segment]);
}

/* Whatever arrives in which order: no missing byte is forgotten; with few enough holes, none is thought missing that has arrived. */
static void no_missing_segment_is_forgotten(void **state)
{
    struct random random;

    (void)state;
    random_seed(&random, 9);
    for (unsigned round = 0; round < 300; round++) {
        uint32_t una = 0, high = 0, most_holes = 0;

        if (engine) {
            slab_dispose(&engine->recoveries);
            free(engine);
        }
        begin_with_blocks(1);
        for (unsigned step = 0; step < 60 && una < SEGMENTS; step++) {
            uint32_t range = random_below(&random, 20) == 0 ? SEGMENTS : 40, holes = 0;
            uint32_t start = una + 1 + (uint32_t)random_below(&random, range),
                     stop = start + 1 + (uint32_t)random_below(&random, 4);

            if (stop > SEGMENTS)
                continue;
            memset(&has[start], true, stop - start);
            high = stop > high ? stop : high;
            if (random_below(&random, 5) == 0)
                has[una] = true;
            while (una < SEGMENTS && has[una])
                una++;
            high = una > high ? una : high;
            if (stop <= una)
                acknowledge(una, 0, NULL);
            else
                acknowledge(una, 1, (const uint32_t[][2]){{start < una ? una : start, stop}});
            if (connection.recovery == NO_SLOT)
                continue;
            check_form();
            for (uint32_t segment = una; segment < high; segment++)
                holes += !has[segment] && (segment == una || has[segment - 1]);
            most_holes = holes > most_holes ? holes : most_holes;
            for (uint32_t segment = una; segment < high; segment++)
                if (!has[segment])
                    assert_true(is_in_hole(segment));
                else if (most_holes <= RECOVERY_HOLES - 1)
                    assert_false(is_in_hole(segment));
        }
        recovery_release(engine, &connection);
        assert_int_equal(slab_used(&engine->recoveries), 0);
    }
}

static void ranges_that_cannot_be_are_ignored(void **state)
{
    (void)state;
    acknowledge(10, 1, (const uint32_t[][2]){{SEGMENTS - 1, SEGMENTS + 1}}); /* beyond what was sent */
    assert_int_equal(connection.recovery, NO_SLOT);
    acknowledge(10, 1, (const uint32_t[][2]){{14, 13}});
    assert_int_equal(connection.recovery, NO_SLOT);
    acknowledge(10, 1, (const uint32_t[][2]){{13, 13}});
    assert_int_equal(connection.recovery, NO_SLOT);
    acknowledge(10, 1, (const uint32_t[][2]){{8, 12}}); /* over una, which it says is missing */
    assert_int_equal(connection.recovery, NO_SLOT);
}

/* RFC 2883: bytes that arrived twice widen the reordering window, once per recovery; a recovery without such a report narrows it. */
static void reports_of_duplicates_widen_the_reordering_window(void **state)
{
    (void)state;
    acknowledge(1, 1, (const uint32_t[][2]){{5, 9}});
    assert_true(connection.recovering);
    acknowledge(2, 2, (const uint32_t[][2]){{0, 1}, {5, 9}});
    assert_int_equal(connection.reorder_steps, 1);
    acknowledge(3, 2, (const uint32_t[][2]){{1, 2}, {5, 9}});
    assert_int_equal(connection.reorder_steps, 1);
    acknowledge(SEGMENTS, 0, NULL);
    assert_false(connection.recovering);
    assert_int_equal(connection.reorder_steps, 1);
}

/* What arrives behind a gap takes bytes out of the network. */
static void bytes_in_flight_are_those_that_were_neither_lost_nor_delivered(void **state)
{
    (void)state;
    assert_int_equal(recovery_in_flight(engine, &connection), SEGMENTS * MSS);
    acknowledge(0, 1, (const uint32_t[][2]){{1, 2}});
    assert_false(connection.recovering); /* it may have been reordered */
    assert_int_equal(recovery_in_flight(engine, &connection), (SEGMENTS - 1) * MSS);
    acknowledge(0, 1, (const uint32_t[][2]){{2, 5}});
    assert_true(connection.recovering);
    assert_int_equal(recovery_in_flight(engine, &connection), (SEGMENTS - 5) * MSS);
    assert_true(recovery_is_due(engine, &connection));
}

static void a_loss_lowers_the_window_once(void **state)
{
    uint32_t before = connection.cwnd;

    (void)state;
    acknowledge(0, 1, (const uint32_t[][2]){{1, 5}});
    assert_int_equal(connection.ssthresh, (uint32_t)(before * 0.7));
    acknowledge(0, 1, (const uint32_t[][2]){{7, 9}});
    acknowledge(6, 1, (const uint32_t[][2]){{7, 9}});
    assert_int_equal(connection.ssthresh, (uint32_t)(before * 0.7));
    assert_int_equal(engine->counters.recoveries, 1);
    acknowledge(SEGMENTS, 0, NULL);
    assert_in_range(connection.cwnd, connection.ssthresh, connection.ssthresh + MSS); /* it grows from there */
    assert_int_equal(connection.recovery, NO_SLOT);
}

/* Karn: an acknowledgement in a recovery may be of either transmission. */
static void nothing_is_measured_in_a_recovery(void **state)
{
    uint64_t before = histogram_count(&engine->counters.rtt_us);

    (void)state;
    acknowledge(0, 1, (const uint32_t[][2]){{1, 5}});
    acknowledge(SEGMENTS, 0, NULL);
    assert_int_equal(histogram_count(&engine->counters.rtt_us), before);
}

static void without_a_block_to_take_the_shortage_is_counted(void **state)
{
    (void)state;
    acknowledge(0, 1, (const uint32_t[][2]){{1, 2}});
    assert_int_equal(connection.recovery, NO_SLOT);
    assert_int_equal(engine->counters.recovery_blocks_missing, 1);
    assert_int_equal(connection.duplicate_acks, 1);
}

/* --- transmit times --- */

static void more_than_four_bursts_merge_under_the_later_time(void **state)
{
    static const uint32_t gaps_ms[] = {30, 20, 5, 40};

    (void)state;
    connection.una = connection.nxt;
    recovery_begin_flight(engine, &connection);
    for (unsigned i = 0; i < 5; i++) {
        connection.nxt += MSS;
        recovery_note_sent(engine, &connection);
        if (i < 4)
            engine->now += TICKS_OF_MS(gaps_ms[i]);
    }
    assert_int_equal(connection.burst_count, TCP_BURSTS);
    for (unsigned i = 0; i < 4; i++) {
        static const uint32_t ends[] = {1, 2, 4, 5}, ages_ms[] = {95, 65, 40, 0};

        assert_int_equal(connection.bursts[i].end - connection.una, ends[i] * MSS);
        assert_in_range(engine->now - connection.bursts[i].sent_at + 3, TICKS_OF_MS(ages_ms[i]), TICKS_OF_MS(ages_ms[i]) + 6);
    }
}

static void what_is_sent_within_a_millisecond_is_one_burst(void **state)
{
    (void)state;
    connection.una = connection.nxt;
    recovery_begin_flight(engine, &connection);
    for (unsigned i = 0; i < 2; i++) {
        connection.nxt += MSS;
        recovery_note_sent(engine, &connection);
        engine->now += TICKS_OF_MS(1) - 1;
    }
    assert_int_equal(connection.burst_count, 1);
    engine->now++;
    connection.nxt += MSS;
    recovery_note_sent(engine, &connection);
    assert_int_equal(connection.burst_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(holes_are_what_lies_between_acknowledged_ranges, begin, end),
        cmocka_unit_test_setup_teardown(blocks_of_one_acknowledgement_are_no_reordering, begin, end),
        cmocka_unit_test_setup_teardown(holes_are_split_and_trimmed, begin, end),
        cmocka_unit_test_setup_teardown(an_eleventh_hole_is_merged_where_least_is_sent_twice, begin, end),
        cmocka_unit_test_setup_teardown(no_missing_segment_is_forgotten, begin, end),
        cmocka_unit_test_setup_teardown(ranges_that_cannot_be_are_ignored, begin, end),
        cmocka_unit_test_setup_teardown(reports_of_duplicates_widen_the_reordering_window, begin, end),
        cmocka_unit_test_setup_teardown(bytes_in_flight_are_those_that_were_neither_lost_nor_delivered, begin, end),
        cmocka_unit_test_setup_teardown(a_loss_lowers_the_window_once, begin, end),
        cmocka_unit_test_setup_teardown(nothing_is_measured_in_a_recovery, begin, end),
        cmocka_unit_test_setup_teardown(without_a_block_to_take_the_shortage_is_counted, begin_without_blocks, end),
        cmocka_unit_test_setup_teardown(more_than_four_bursts_merge_under_the_later_time, begin, end),
        cmocka_unit_test_setup_teardown(what_is_sent_within_a_millisecond_is_one_burst, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

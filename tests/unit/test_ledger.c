/* The ledger: which messages it counts as delivered, lost, repeated and corrupt. */
#include "common/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MESSAGES 5

static const char *const messages[MESSAGES] = {"{1 first}", "{2 second}", "{3 third, the longest}", "{4 fourth}", "{5 fifth}"};

struct ledger_reading {
    struct ledger ledger;
    struct ledger_cursor cursor;
};

static int set_up(void **state)
{
    struct ledger_reading *reading = calloc(1, sizeof *reading);

    ledger_init(&reading->ledger);
    for (unsigned i = 0; i < MESSAGES; i++)
        assert_int_equal(ledger_append(&reading->ledger, messages[i], strlen(messages[i]), 100 * (i + 1)), i + 1);
    reading->cursor.expected = 1;
    *state = reading;
    return 0;
}

static int tear_down(void **state)
{
    struct ledger_reading *reading = *state;

    ledger_dispose(&reading->ledger);
    free(reading);
    return 0;
}

/* Receives `text` in pieces of at most `piece` bytes. */
static void receive(struct ledger_reading *reading, const char *text, size_t piece)
{
    size_t length = strlen(text);

    for (size_t at = 0; at < length; at += piece) {
        size_t part = length - at < piece ? length - at : piece;

        ledger_check(&reading->ledger, &reading->cursor, (const uint8_t *)text + at, part, at + part == length, 1000);
    }
}

static void expect(const struct ledger_reading *reading, uint64_t deliveries, uint64_t lost, uint64_t repeated, uint64_t corrupt)
{
    const struct ledger_tally *tally = ledger_tally_get(&reading->ledger);

    assert_int_equal(tally->deliveries, deliveries);
    assert_int_equal(tally->lost, lost);
    assert_int_equal(tally->repeated, repeated);
    assert_int_equal(tally->corrupt, corrupt);
}

static void whole_and_in_pieces(void **state)
{
    struct ledger_reading *reading = *state;

    for (unsigned i = 0; i < MESSAGES; i++)
        receive(reading, messages[i], i == 0 ? 100 : i);
    ledger_settle(&reading->ledger, &reading->cursor, MESSAGES);
    expect(reading, MESSAGES, 0, 0, 0);
}

static void gap_is_lost(void **state)
{
    struct ledger_reading *reading = *state;

    receive(reading, messages[0], 1);
    receive(reading, messages[3], 1); /* begins like the expected message, and differs from its second piece on */
    expect(reading, 2, 2, 0, 0);
    receive(reading, messages[4], 100);
    expect(reading, 3, 2, 0, 0);
}

static void end_is_lost(void **state)
{
    struct ledger_reading *reading = *state;

    receive(reading, messages[0], 100);
    ledger_settle(&reading->ledger, &reading->cursor, MESSAGES);
    expect(reading, 1, MESSAGES - 1, 0, 0);
}

static void repeat(void **state)
{
    struct ledger_reading *reading = *state;

    receive(reading, messages[0], 100);
    receive(reading, messages[1], 100);
    receive(reading, messages[0], 100);
    receive(reading, messages[2], 100);
    expect(reading, 4, 0, 1, 0);
}

static void corrupt_messages_are_counted(void **state)
{
    struct ledger_reading *reading = *state;

    receive(reading, "{1 fir?t}", 4);
    receive(reading, "{1 first}?", 4); /* too long */
    receive(reading, "{1 firs", 4);    /* too short */
    expect(reading, 0, 0, 0, 3);
    receive(reading, messages[0], 4);
    expect(reading, 1, 0, 0, 3);
}

static void newcomer_takes_up_anywhere(void **state)
{
    struct ledger_reading *reading = *state;

    reading->cursor.expected = 0;
    receive(reading, messages[2], 2);
    receive(reading, messages[3], 2);
    ledger_settle(&reading->ledger, &reading->cursor, 4);
    expect(reading, 2, 0, 0, 0);
}

static void guest_is_checked_and_not_timed(void **state)
{
    struct ledger_reading *reading = *state;
    struct ledger_entry entry;

    reading->cursor.guest = true;
    receive(reading, messages[1], 100);
    expect(reading, 0, 1, 0, 0);
    assert_int_equal(ledger_tally_get(&reading->ledger)->guest_deliveries, 1);
    assert_true(ledger_find(&reading->ledger, 2, &entry));
    assert_int_equal(entry.deliveries, 0);
}

static void latency_is_recorded(void **state)
{
    struct ledger_reading *reading = *state;
    struct histogram latency = {0};
    struct ledger_entry entry;

    receive(reading, messages[0], 100); /* offered at 100, received at 1000 */
    ledger_take_latency(&reading->ledger, &latency);
    assert_int_equal(histogram_count(&latency), 1);
    assert_int_equal(histogram_quantile(&latency, 1), 900);
    ledger_take_latency(&reading->ledger, &latency);
    assert_int_equal(histogram_count(&latency), 1);
    assert_true(ledger_find(&reading->ledger, 1, &entry));
    assert_int_equal(entry.deliveries, 1);
    assert_int_equal(entry.last_ns, 1000);
}

static void forgets_the_oldest(void **state)
{
    struct ledger_reading *reading = *state;
    struct ledger_entry entry;
    char text[32];

    for (unsigned i = MESSAGES; i < MESSAGES + LEDGER_ENTRIES; i++) {
        snprintf(text, sizeof text, "{%u more}", i + 1);
        ledger_append(&reading->ledger, text, strlen(text), 0);
    }
    assert_false(ledger_find(&reading->ledger, MESSAGES, &entry));
    assert_true(ledger_find(&reading->ledger, MESSAGES + 1, &entry));
    receive(reading, messages[0], 100);
    expect(reading, 0, 0, 0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_and_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(gap_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(end_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(repeat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(corrupt_messages_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(newcomer_takes_up_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(guest_is_checked_and_not_timed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(latency_is_recorded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(forgets_the_oldest, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The budget of one upstream: what the ingest takes from it per turn and per second. */
#include "ingest/budget.h"

#include "flashrelay/ingest.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MOMENT (10 * NS_PER_MS)

static void frames_are_given_anew_each_turn(void **state)
{
    struct budget budget;

    (void)state;
    budget_init(&budget);
    for (unsigned turn = 0; turn < 3; turn++) {
        for (unsigned i = 0; i < INGEST_FRAMES_PER_TURN; i++) {
            assert_false(budget_is_spent(&budget));
            budget_spend_frame(&budget);
        }
        assert_true(budget_is_spent(&budget));
        assert_int_equal(budget_deadline(&budget), 0);
        budget_spend_frame(&budget);
        budget_begin_turn(&budget, 0);
    }
}

static void one_large_message_spends_a_turn(void **state)
{
    struct budget budget;

    (void)state;
    budget_init(&budget);
    budget_spend_message(&budget, INGEST_UNPACKED_BYTES_PER_TURN - 1);
    assert_false(budget_is_spent(&budget));
    budget_spend_message(&budget, SIZE_MAX);
    assert_true(budget_is_spent(&budget));
    assert_int_equal(budget_deadline(&budget), 0);
    budget_begin_turn(&budget, 0);
    assert_false(budget_is_spent(&budget));
}

/* Begins a turn at `now_ns` and takes messages until the budget is spent; returns how many messages were taken. */
static unsigned spend_all(struct budget *budget, uint64_t now_ns)
{
    unsigned messages = 0;

    budget_begin_turn(budget, now_ns);
    for (; !budget_is_spent(budget); messages++)
        budget_spend_message(budget, 0);
    return messages;
}

static void messages_are_limited_per_second(void **state)
{
    struct budget budget;
    uint64_t now_ns = NS_PER_S;
    unsigned messages = 0;

    (void)state;
    budget_init(&budget);
    assert_int_equal(spend_all(&budget, now_ns), INGEST_MESSAGES_AT_ONCE);
    assert_int_equal(spend_all(&budget, now_ns), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_in_range(budget_deadline(&budget), now_ns + 1, now_ns + MOMENT);
        now_ns = budget_deadline(&budget);
        messages += spend_all(&budget, now_ns);
    }
    assert_in_range(messages, (now_ns - NS_PER_S) * INGEST_MESSAGES_PER_S / NS_PER_S * 9 / 10,
                    (now_ns - NS_PER_S) * INGEST_MESSAGES_PER_S / NS_PER_S);
    now_ns += 60 * NS_PER_S; /* a longer pause saves up no more messages */
    assert_int_equal(spend_all(&budget, now_ns), INGEST_MESSAGES_AT_ONCE);
}

static void what_is_saved_up_grows_while_there_are_no_turns(void **state)
{
    struct budget budget;

    (void)state;
    budget_init(&budget);
    spend_all(&budget, NS_PER_S);
    assert_in_range(spend_all(&budget, NS_PER_S + 10 * MOMENT), INGEST_MESSAGES_PER_S / 11, INGEST_MESSAGES_PER_S / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_given_anew_each_turn),
        cmocka_unit_test(one_large_message_spends_a_turn),
        cmocka_unit_test(messages_are_limited_per_second),
        cmocka_unit_test(what_is_saved_up_grows_while_there_are_no_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

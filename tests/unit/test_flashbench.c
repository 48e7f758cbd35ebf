/* flashbench's accounting: which message reached which subscriber and when, and the quantiles of these times. */
#include "flashbench/member.h"
#include "flashbench/messages.h"
#include "flashbench/recorder.h"
#include "flashrelay/ws_upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SUBSCRIBERS 4
#define OFFERED_NS  1000000000u
#define PATIENCE_NS 500000000u
#define US          1000u

static struct messages messages;

static int set_up(void **state)
{
    (void)state;
    return messages_init(&messages, SUBSCRIBERS);
}

static int tear_down(void **state)
{
    (void)state;
    messages_dispose(&messages);
    return 0;
}

static struct bench_message *offer(void)
{
    struct bench_message *message = messages_next(&messages, OFFERED_NS);

    messages_offer(&messages, OFFERED_NS, SUBSCRIBERS, true);
    return message;
}

static void arrive(struct bench_message *message, uint32_t subscriber, uint64_t stamped_us, uint64_t read_us)
{
    messages_arrived(&messages, message, subscriber, &(struct arrival){OFFERED_NS + stamped_us * US, OFFERED_NS + read_us * US});
}

/* Asserts that the quantile is `us` microseconds, up to the width of a recorder's bucket (1/256). */
static void assert_quantile(const struct recorder *recorder, double quantile, uint64_t us)
{
    uint64_t found = recorder_quantile(recorder, quantile);

    assert_true(found >= us * US - us * US / 256 - 8 && found <= us * US + us * US / 256);
}

static void both_times_of_arrival_have_latencies_of_their_own(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *message = offer();

    (void)state;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        arrive(message, i, 100 + 100 * i, 5000 - 1000 * i); /* read in the opposite order */
    assert_true(messages_settle(&messages, OFFERED_NS + 5000 * US, PATIENCE_NS));
    assert_quantile(&totals->stamped.first, 0.5, 100);
    assert_quantile(&totals->stamped.last, 0.5, 400);
    assert_quantile(&totals->stamped.spread, 0.5, 300);
    assert_quantile(&totals->stamped.delivery, 1, 400);
    assert_quantile(&totals->read.first, 0.5, 2000);
    assert_quantile(&totals->read.last, 0.5, 5000);
    assert_quantile(&totals->read.spread, 0.5, 3000);
    assert_quantile(&totals->read.delivery, 1, 5000);
    assert_int_equal(totals->stamped.delivery.count, SUBSCRIBERS);
    assert_int_equal(totals->read.delivery.count, SUBSCRIBERS);
    assert_true(messages.rank_sums[0] == 0 && messages.rank_sums[SUBSCRIBERS - 1] == 1); /* ranks go by the time stamps */
}

static void what_is_lost_counts_with_the_time_it_was_missing(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *message = offer();

    (void)state;
    for (uint32_t i = 1; i < SUBSCRIBERS; i++)
        arrive(message, i, 100, 200);
    assert_false(messages_settle(&messages, OFFERED_NS + PATIENCE_NS - 1, PATIENCE_NS));
    assert_true(messages_settle(&messages, OFFERED_NS + PATIENCE_NS, PATIENCE_NS));
    assert_int_equal(totals->lost, 1);
    assert_int_equal(totals->deliveries, SUBSCRIBERS - 1);
    assert_quantile(&totals->stamped.delivery, 1, PATIENCE_NS / US);
    assert_quantile(&totals->read.delivery, 1, PATIENCE_NS / US);
    assert_quantile(&totals->stamped.last, 1, 100);
    assert_quantile(&totals->read.last, 1, 200);
}

static void what_comes_twice_or_too_late_is_no_delivery(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *message = offer();

    (void)state;
    arrive(message, 0, 0, 0); /* without any latency: counts as arrived all the same */
    arrive(message, 0, 100, 100);
    assert_int_equal(totals->repeated, 1);
    assert_true(messages_settle(&messages, OFFERED_NS + PATIENCE_NS, PATIENCE_NS));
    arrive(message, 1, 900000, 900000);
    assert_int_equal(totals->late, 1);
    assert_int_equal(totals->deliveries, 1);
    assert_int_equal(totals->lost, SUBSCRIBERS - 1);
}

static void a_slot_that_is_used_again_is_empty(void **state)
{
    const struct message_totals *totals = &messages.totals;

    (void)state;
    for (unsigned round = 0; round < 2 * MESSAGES_KEPT; round++) {
        struct bench_message *message = offer();
        for (uint32_t i = 0; i < SUBSCRIBERS; i++)
            arrive(message, i, 100, 100);
        assert_true(messages_settle(&messages, OFFERED_NS + US, PATIENCE_NS));
    }
    assert_int_equal(totals->deliveries, 2 * MESSAGES_KEPT * SUBSCRIBERS);
    assert_int_equal(totals->repeated + totals->lost + totals->late, 0);
}

static void only_what_all_have_counts_after_an_interruption(void **state)
{
    const struct message_totals *totals = &messages.totals;
    struct bench_message *on_its_way = offer(), *complete = offer();

    (void)state;
    arrive(on_its_way, 0, 100, 100);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        arrive(complete, i, 100, 100);
    assert_false(messages_settle(&messages, OFFERED_NS + US, PATIENCE_NS));
    messages_abandon(&messages, OFFERED_NS + US);
    assert_int_equal(totals->messages, 1);
    assert_int_equal(totals->deliveries, SUBSCRIBERS);
    assert_int_equal(totals->owed, SUBSCRIBERS);
    assert_int_equal(totals->lost, 0);
    assert_false(messages_settle(&messages, OFFERED_NS + PATIENCE_NS, PATIENCE_NS));
}

static void a_quantile_needs_a_value_beyond_it(void **state)
{
    static const struct {
        double quantile;
        uint64_t values;
    } rows[] = {{0.5, 1}, {0.9, 10}, {0.99, 100}, {0.999, 1000}, {0.9999, 10000}, {0.99999, 100000}, {1, 1}};
    struct recorder *recorder = calloc(1, sizeof *recorder);

    (void)state;
    assert_non_null(recorder);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        recorder_reset(recorder);
        for (uint64_t n = 1; n < rows[i].values; n++)
            recorder_add(recorder, n);
        assert_false(recorder_supports(recorder, rows[i].quantile));
        recorder_add(recorder, 1);
        assert_true(recorder_supports(recorder, rows[i].quantile));
    }
    free(recorder);
}

/* Writes the frame in which the proxy sends `message`; returns its length. */
static size_t write_frame(uint8_t *frame, const struct bench_message *message)
{
    size_t header = ws_write_header(frame, WS_BINARY, message->length, NULL);

    memcpy(frame + header, message->bytes + message->header_length, message->length);
    return header + message->length;
}

static void receive_message(struct crowd_member *member, const struct crowd_member_rules *rules,
                            const struct bench_message *message)
{
    uint8_t frame[256];
    struct ws_event event;
    enum crowd_member_outcome outcome;
    size_t length = write_frame(frame, message);

    assert_int_equal(crowd_member_take(member, rules, frame, length, &(struct arrival){OFFERED_NS, OFFERED_NS}, &event, &outcome),
                     length);
    assert_int_equal(outcome, CROWD_MEMBER_WANTS_MORE);
}

/* Makes a message whose first bytes no other message has, and offers it; it is owed to `owed` subscribers. */
static struct bench_message *offer_text(unsigned number, uint32_t owed)
{
    char text[128];
    struct bench_message *message = messages_next(&messages, OFFERED_NS);

    free(message->bytes);
    message->length = (size_t)snprintf(text, sizeof text, "{\"index\":%u,\"pad\":\"%064u\"}", number, number);
    message->header_length = 0;
    message->bytes = malloc(message->length);
    assert_non_null(message->bytes);
    memcpy(message->bytes, text, message->length);
    messages_offer(&messages, OFFERED_NS, owed, true);
    return message;
}

static uint64_t draw_nothing(void *context)
{
    (void)context;
    return 0;
}

static const struct ws_client_options client_options = {.max_message_bytes = 1 << 20, .next_random = draw_nothing};

/* Starts the member's client and answers its request to upgrade, so that the member is open. */
static void upgrade(struct crowd_member *member)
{
    char accept[WS_ACCEPT_TEXT_BYTES], text[256];
    struct ws_client_answer answer;
    size_t length;

    ws_accept_key((struct http_text){"AAAAAAAAAAAAAAAAAAAAAA==", 24}, accept);
    length = ws_write_upgrade_answer(text, sizeof text, accept);
    ws_client_start(&member->client, &client_options, NULL);
    assert_int_equal(ws_client_read_answer(&member->client, (const uint8_t *)text, length, &answer), length);
    assert_int_equal(member->client.state, WS_CLIENT_OPEN);
    crowd_member_begin(member, &messages);
}

static void what_was_settled_before_a_subscriber_came_is_not_late(void **state)
{
    const struct crowd_member_rules rules = {&messages, 8192, 1};
    const struct message_totals *totals = &messages.totals;
    struct crowd_member member = {.fd = -1, .client = {.state = WS_CLIENT_OPEN}};
    struct bench_message *offered[4];

    (void)state;
    ws_reader_init(&member.client.reader, WS_CLIENT, UINT64_MAX);
    offer_text(0, 0);
    upgrade(&member); /* the member is owed nothing before the first message that it receives */
    for (unsigned i = 0; i < 3; i++)
        offered[i] = offer_text(i + 1, 0);
    for (unsigned i = 0; i < 4; i++)
        assert_true(messages_settle(&messages, OFFERED_NS, PATIENCE_NS)); /* no other subscriber is owed them */
    offered[3] = offer_text(4, 0);
    for (unsigned i = 0; i < 4; i++)
        receive_message(&member, &rules, offered[i]);
    assert_true(messages_settle(&messages, OFFERED_NS, PATIENCE_NS));
    assert_int_equal(totals->late + totals->repeated + totals->reordered + totals->lost + totals->corrupt, 0);
    assert_int_equal(totals->deliveries, 1);
    struct bench_message *missed = offer_text(5, 1);
    assert_true(messages_settle(&messages, OFFERED_NS + PATIENCE_NS, PATIENCE_NS));
    receive_message(&member, &rules, missed);
    assert_int_equal(totals->late, 1);
    assert_int_equal(totals->lost, 1);
    crowd_member_reset(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_times_of_arrival_have_latencies_of_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_lost_counts_with_the_time_it_was_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_twice_or_too_late_is_no_delivery, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slot_that_is_used_again_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_settled_before_a_subscriber_came_is_not_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_all_have_counts_after_an_interruption, set_up, tear_down),
        cmocka_unit_test(a_quantile_needs_a_value_beyond_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

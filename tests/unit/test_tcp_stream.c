/*
 * What was sent and is not acknowledged, against a model: a list of frames and control bytes with their sequence numbers. The log is real;
 * connections get all frames or only selected ones, frames are skipped, control bytes lie between them, and acknowledgements end anywhere.
 */
#include "engine/tcp/stream.h"

#include "engine/extents.h"
#include "flashrelay/random.h"
#include "flashrelay/selection.h"
#include "support/must.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRIES 256u
#define ITEMS   64u

/* A frame or control run as the test knows it. */
struct expected {
    uint32_t begin, length;
    uint64_t frame; /* 0: control bytes */
    uint8_t bytes[700];
};

static struct tcp_engine *engine;
static struct channel *channel;
static struct channel_marks marks;
static struct holds holds;
static struct selection odd_frames;
static struct tcp_connection connection;
static struct random generator;
static uint64_t head;
static struct expected items[ITEMS];
static uint64_t acknowledged_frame;   /* the last one */
static unsigned first_item, end_item; /* numbers modulo ITEMS of those that are not acknowledged whole */

static bool is_odd(const void *context, const struct channel_frame *frame)
{
    (void)context;
    return (frame->bytes[frame->header_length] & 1) == 1;
}

static int begin(void **state)
{
    const struct channel_options options = {
        .name = "frames", .arena_bytes = 1 << 20, .entries = ENTRIES, .selections = 1, .marks = &marks};

    (void)state;
    head = 0;
    first_item = end_item = 0;
    acknowledged_frame = 0;
    random_seed(&generator, 12);
    engine = aligned_alloc(_Alignof(struct tcp_engine), sizeof *engine);
    must(engine != NULL);
    memset(engine, 0, sizeof *engine);
    channel_marks_init(&marks, 1);
    must(channel_create(&channel, &options) == 0 && holds_init(&holds, ENTRIES) == 0);
    selection_init(&odd_frames, 1, is_odd, NULL);
    channel_set_selection(channel, 1, &odd_frames);
    channel_reader_join(channel, 0);
    engine->base.channels = calloc(1, sizeof *engine->base.channels);
    must(engine->base.channels != NULL);
    engine->base.channels[0] = (struct engine_channel){channel, &holds};
    engine->base.channel_count = 1;
    must(slab_init(&engine->runs, sizeof(struct control_run), 8, UINT32_MAX) == 0);
    connection = (struct tcp_connection){.una = UINT32_MAX - 2000, .nxt = UINT32_MAX - 2000, .una_end = UINT32_MAX - 2000};
    extents_init(&connection.base);
    return 0;
}

static int end(void **state)
{
    (void)state;
    stream_release(engine, &connection);
    must(holds.total == 0 && slab_used(&engine->runs) == 0);
    for (uint32_t i = 0; i < engine->runs.touched; i++)
        free(((struct control_run *)slab_element(&engine->runs, i))->bytes);
    slab_dispose(&engine->runs);
    free(engine->base.channels);
    free(engine);
    holds_dispose(&holds);
    channel_destroy(channel);
    return 0;
}

/* --- the log --- */

static void publish(void)
{
    uint8_t payload[600];
    uint32_t length = 1 + (uint32_t)random_below(&generator, sizeof payload);
    uint64_t lowest = holds_lowest(&holds);

    head++;
    for (uint32_t i = 0; i < length; i++)
        payload[i] = (uint8_t)random_next(&generator);
    payload[0] = (uint8_t)head;
    channel_mark_set(&marks, 0, lowest < head ? lowest : head);
    channel_reclaim(channel);
    if (random_below(&generator, 10) == 0) {
        selection_note(&odd_frames, head, false);
        must(channel_append_gap(channel, head) == 0);
        return;
    }
    selection_note(&odd_frames, head, (head & 1) == 1);
    must(channel_append(channel, head, 2, payload, length, 0) == 0);
}

/* --- the model --- */

static struct expected *item_at(unsigned number)
{
    return &items[number % ITEMS];
}

static void add_item(uint32_t length, uint64_t frame, const uint8_t *bytes)
{
    struct expected *item = item_at(end_item++);

    must(end_item - first_item <= ITEMS && length <= sizeof item->bytes);
    *item = (struct expected){.begin = connection.nxt, .length = length, .frame = frame};
    memcpy(item->bytes, bytes, length);
    connection.nxt += length;
}

static bool is_frame_sent(uint64_t frame)
{
    struct channel_frame found;

    channel_frame_get(channel, frame, &found);
    return found.length > 0 && (connection.base.selection == 0 || (frame & 1) == 1);
}

/* Sends frame `frame` if it is one that the connection gets. False if a mark is missing. */
static bool send_frame(uint64_t frame)
{
    struct channel_frame found;

    if (!is_frame_sent(frame))
        return true;
    if (!stream_may_begin_frame(engine, &connection, frame))
        return false;
    channel_frame_get(channel, frame, &found);
    stream_begin_frame(engine, &connection, frame, found.length);
    add_item(found.length, frame, found.bytes);
    return true;
}

static bool send_control(void)
{
    uint8_t bytes[300];
    uint32_t length = 1 + (uint32_t)random_below(&generator, random_below(&generator, 4) == 0 ? 300 : 40);
    int error;

    for (uint32_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_next(&generator);
    error = stream_keep_control(engine, &connection, bytes, length);
    assert_true(error == 0 || error == -ENOBUFS);
    if (error == 0)
        add_item(length, 0, bytes);
    return error == 0;
}

static void acknowledge(uint32_t bytes)
{
    connection.una += bytes;
    for (; first_item != end_item; first_item++) {
        const struct expected *item = item_at(first_item);

        if (sequence_after(item->begin + item->length, connection.una))
            break;
        if (item->frame != 0)
            acknowledged_frame = item->frame;
    }
    if (!sequence_before(connection.una, connection.una_end))
        stream_advance(engine, &connection);
}

/* --- checks --- */

/* Every byte that is not acknowledged is found, and is what was sent. */
static void check_bytes(void)
{
    for (unsigned i = first_item; i != end_item; i++) {
        const struct expected *item = item_at(i);

        for (uint32_t offset = 0; offset < item->length; offset += 1 + offset / 3) {
            uint32_t sequence = item->begin + offset;
            struct stream_item found;

            if (sequence_before(sequence, connection.una))
                continue;
            stream_find(engine, &connection, sequence, &found);
            assert_true(!sequence_before(sequence, found.sequence) && sequence_before(sequence, found.end));
            assert_int_equal(found.is_control, item->frame == 0);
            assert_int_equal(found.bytes[sequence - found.sequence], item->bytes[offset]);
            if (item->frame != 0) {
                assert_int_equal(found.frame, item->frame);
                assert_int_equal(found.sequence, item->begin);
                assert_int_equal(found.end, item->begin + item->length);
            }
        }
    }
}

/*
 * What is pinned is the lowest frame that is not acknowledged whole; or, while control bytes before it are not acknowledged, one of those
 * that were skipped before it.
 */
static void check_pin(void)
{
    uint64_t lowest = HOLDS_NONE, pinned = connection.base.pinned_sequence;

    for (unsigned i = first_item; i != end_item && lowest == HOLDS_NONE; i++)
        if (item_at(i)->frame != 0)
            lowest = item_at(i)->frame;
    assert_int_equal(holds_lowest(&holds), pinned);
    if (lowest == HOLDS_NONE || item_at(first_item)->frame != 0)
        assert_int_equal(pinned, lowest);
    else
        assert_true(pinned > acknowledged_frame && pinned <= lowest);
    if (connection.una == connection.nxt)
        assert_int_equal(connection.mark_count, 0);
}

static void run(uint16_t selection)
{
    uint64_t next = 1;
    unsigned sent = 0, waited = 0;

    connection.base.selection = selection;
    for (unsigned step = 0; step < 30000; step++) {
        switch (random_below(&generator, 8)) {
        case 0:
            if (end_item - first_item < ITEMS / 2)
                waited += !send_control();
            break;
        case 1:
            next += random_below(&generator, 4); /* frames are skipped */
            break;
        case 2:
        case 3:
            acknowledge((uint32_t)random_below(&generator, connection.nxt - connection.una + 1));
            break;
        case 4:
            acknowledge(connection.nxt - connection.una);
            break;
        default:
            while (head < next)
                publish();
            if (end_item - first_item >= ITEMS / 2)
                break;
            if (send_frame(next))
                next++, sent++;
            else
                waited++;
            break;
        }
        check_bytes();
        check_pin();
    }
    assert_true(sent > 1000 && waited > 10);
}

static void everything_in_flight_is_found_in_any_order(void **state)
{
    (void)state;
    run(0);
}

static void a_selection_of_frames_is_found_too(void **state)
{
    (void)state;
    run(1);
}

/* A fourth mark waits for an acknowledgement; frames that follow each other need none. */
static void three_marks_are_enough_for_frames_and_three_jumps(void **state)
{
    (void)state;
    while (head < 40)
        publish();
    for (uint64_t frame = 1; frame < 10; frame++)
        assert_true(send_frame(frame));
    assert_int_equal(connection.mark_count, 0);
    for (uint64_t frame = 12; frame <= 40 && connection.mark_count < 3; frame += 3)
        assert_true(send_frame(frame));
    assert_int_equal(connection.mark_count, 3);
    assert_int_equal(stream_keep_control(engine, &connection, (const uint8_t *)"x", 1), -ENOBUFS);
    check_bytes();
    acknowledge(connection.nxt - connection.una);
    assert_int_equal(connection.mark_count, 0);
    assert_true(send_control());
}

/* Pongs that follow each other share one run, until it is full. */
static void control_bytes_in_a_row_share_a_run(void **state)
{
    const uint8_t pong[20] = {1, 2, 3};

    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        assert_int_equal(stream_keep_control(engine, &connection, pong, sizeof pong), 0);
        add_item(sizeof pong, 0, pong);
        assert_int_equal(connection.mark_count, 1);
    }
    check_bytes();
    assert_int_equal(stream_keep_control(engine, &connection, pong, sizeof pong), 0);
    add_item(sizeof pong, 0, pong);
    assert_int_equal(connection.mark_count, 2);
    acknowledge(5);
    check_bytes();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_in_flight_is_found_in_any_order, begin, end),
        cmocka_unit_test_setup_teardown(a_selection_of_frames_is_found_too, begin, end),
        cmocka_unit_test_setup_teardown(three_marks_are_enough_for_frames_and_three_jumps, begin, end),
        cmocka_unit_test_setup_teardown(control_bytes_in_a_row_share_a_run, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

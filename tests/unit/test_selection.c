#include "flashrelay/channel.h"
#include "flashrelay/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAMES = 3 * SELECTION_WINDOW, ENTRIES = 4 * SELECTION_WINDOW, EVERY = 3 };

static struct channel_marks marks;
static _Atomic unsigned evaluations;

/* Selects every third frame by its payload, which is the sequence number. */
static bool is_third(const void *context, const struct channel_frame *frame)
{
    uint64_t sequence;

    (void)context;
    memcpy(&sequence, frame->bytes + frame->header_length, sizeof sequence);
    atomic_fetch_add_explicit(&evaluations, 1, memory_order_relaxed);
    return sequence % EVERY == 0;
}

static struct channel *open_channel(unsigned readers)
{
    struct channel_options options = {
        .name = "test", .arena_bytes = 1 << 20, .entries = ENTRIES, .selections = 2, .marks = &marks};
    struct channel *channel;

    channel_marks_init(&marks, readers);
    assert_int_equal(channel_create(&channel, &options), 0);
    return channel;
}

/* Notes a sequence number in the selection and appends its frame; every tenth number is a gap. */
static void append_and_note(struct channel *channel, struct selection *selection, uint64_t sequence)
{
    bool is_gap = sequence % 10 == 0;

    selection_note(selection, sequence, !is_gap && sequence % EVERY == 0);
    if (is_gap)
        assert_int_equal(channel_append_gap(channel, sequence), 0);
    else
        assert_int_equal(channel_append(channel, sequence, 2, &sequence, sizeof sequence, 0), 0);
}

static bool is_expected(uint64_t sequence)
{
    return sequence % EVERY == 0 && sequence % 10 != 0;
}

static void what_is_older_than_the_bits_is_evaluated_again(void **state)
{
    struct channel *channel = open_channel(1);
    struct selection selection;

    (void)state;
    channel_reader_join(channel, 0);
    selection_init(&selection, 1, is_third, NULL);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        append_and_note(channel, &selection, sequence);
    atomic_store(&evaluations, 0);
    for (uint64_t sequence = FRAMES - SELECTION_WINDOW + 1; sequence <= FRAMES; sequence++)
        assert_int_equal(selection_has(&selection, channel, sequence), is_expected(sequence));
    assert_int_equal(evaluations, 0);
    for (uint64_t sequence = 1; sequence <= FRAMES - SELECTION_WINDOW; sequence++)
        assert_int_equal(selection_has(&selection, channel, sequence), is_expected(sequence));
    assert_int_not_equal(evaluations, 0);
    channel_destroy(channel);
}

static void what_is_older_than_the_selection_is_evaluated(void **state)
{
    struct channel *channel = open_channel(1);
    struct selection early, late;

    (void)state;
    channel_reader_join(channel, 0);
    selection_init(&early, 1, is_third, NULL);
    for (uint64_t sequence = 1; sequence <= 20; sequence++)
        append_and_note(channel, &early, sequence);
    selection_init(&late, 21, is_third, NULL);
    atomic_store(&evaluations, 0);
    for (uint64_t sequence = 1; sequence <= 20; sequence++)
        assert_int_equal(selection_has(&late, channel, sequence), is_expected(sequence));
    assert_int_equal(evaluations, 18);
    channel_destroy(channel);
}

static void runs_and_counts_leave_out_what_is_not_selected(void **state)
{
    struct channel *channel = open_channel(1);
    const struct selection *found;
    struct selection selection;
    uint64_t from = 1, skipped;
    uint32_t skip = 0;
    const uint8_t *bytes;

    (void)state;
    channel_reader_join(channel, 0);
    selection_init(&selection, 1, is_third, NULL);
    channel_set_selection(channel, 2, &selection);
    for (uint64_t sequence = 1; sequence <= 40; sequence++)
        append_and_note(channel, &selection, sequence);
    found = channel_selection(channel, 2);
    assert_ptr_equal(found, &selection);
    assert_null(channel_selection(channel, 0));
    assert_int_equal(channel_count_frames(channel, NULL, 1, 41), 36);
    assert_int_equal(channel_count_frames(channel, NULL, 10, 11), 0);
    assert_int_equal(channel_count_frames(channel, NULL, 5, 5), 0);
    assert_int_equal(channel_count_frames(channel, found, 1, 41), 12);
    for (uint64_t sequence = 3; sequence <= 39; sequence += EVERY) {
        if (!is_expected(sequence))
            continue;
        assert_int_equal(channel_run(channel, found, from, 41, skip, SIZE_MAX, &bytes), 10);
        memcpy(&skipped, bytes + 2, sizeof skipped);
        assert_int_equal(skipped, sequence);
        assert_int_equal(channel_advance(channel, found, &from, 41, &skip, 4).frames, 0);
        assert_int_equal(skip, 4);
        assert_int_equal(channel_run(channel, found, from, 41, skip, SIZE_MAX, &bytes), 6);
        struct channel_progress advanced = channel_advance(channel, found, &from, 41, &skip, 6);
        assert_int_equal(advanced.frames, 1);
        assert_int_equal(advanced.payload_bytes, 8);
    }
    assert_int_equal(channel_run(channel, found, from, 41, skip, SIZE_MAX, &bytes), 0);
    channel_destroy(channel);
}

static struct selection shared;
static struct channel *shared_channel;

/* A reader that asks about random frames of the whole log while the bits are reused for newer ones; returns how many answers are wrong. */
static void *ask(void *argument)
{
    struct random random;
    unsigned wrong = 0;

    (void)argument;
    random_seed(&random, 3);
    for (uint64_t head = 0; head < FRAMES;) {
        head = channel_head(shared_channel);
        if (head == 0)
            continue;
        uint64_t sequence = 1 + random_below(&random, head);
        wrong += selection_has(&shared, shared_channel, sequence) != is_expected(sequence);
    }
    return (void *)(uintptr_t)wrong;
}

static void readers_are_never_told_of_another_frame(void **state)
{
    pthread_t reader;
    void *wrong;

    (void)state;
    shared_channel = open_channel(1);
    channel_reader_join(shared_channel, 0);
    selection_init(&shared, 1, is_third, NULL);
    assert_int_equal(pthread_create(&reader, NULL, ask, NULL), 0);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        append_and_note(shared_channel, &shared, sequence);
    pthread_join(reader, &wrong);
    assert_null(wrong);
    channel_destroy(shared_channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_older_than_the_bits_is_evaluated_again),
        cmocka_unit_test(what_is_older_than_the_selection_is_evaluated),
        cmocka_unit_test(runs_and_counts_leave_out_what_is_not_selected),
        cmocka_unit_test(readers_are_never_told_of_another_frame),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

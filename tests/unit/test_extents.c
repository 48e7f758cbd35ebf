#include "engine/base.h"
#include "engine/extents.h"
#include "flashrelay/channel.h"
#include "flashrelay/random.h"
#include "support/channels.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ARENA = 1 << 21, ENTRIES = 64, FRAME_BYTES = 100 };

struct extents_world {
    struct channel_marks marks;
    struct channel *channel;
    struct holds holds;
    struct engine engine;
    struct connection connection;
};

static void ignore_channel(struct engine *engine, const struct channel *channel)
{
    (void)engine;
    (void)channel;
}

static const struct engine_ops no_ops = {.add_channel = ignore_channel};

/* Makes an engine that does no I/O, one connection, and a channel with ten frames of FRAME_BYTES, each filled with its sequence number. */
static int open_world(void **state)
{
    struct extents_world *f = aligned_alloc(64, sizeof *f);
    struct engine_options options = {0};

    memset(f, 0, sizeof *f);
    f->channel = make_channel(&f->marks, 1, ARENA, ENTRIES);
    assert_int_equal(holds_init(&f->holds, ENTRIES), 0);
    channel_reader_join(f->channel, 0);
    for (uint64_t sequence = 1; sequence <= 10; sequence++)
        assert_int_equal(append_filled(f->channel, sequence, FRAME_BYTES - 2, 0), 0);
    engine_init(&f->engine, &no_ops, &options, NULL);
    assert_int_equal(engine_add_channel(&f->engine, f->channel, &f->holds), 0);
    extents_init(&f->connection);
    *state = f;
    return 0;
}

static int close_world(void **state)
{
    struct extents_world *f = *state;

    extents_pin(&f->engine, &f->connection, HOLDS_NONE);
    extents_release(&f->engine, &f->connection);
    assert_int_equal(holds_lowest(&f->holds), HOLDS_NONE);
    engine_dispose(&f->engine);
    holds_dispose(&f->holds);
    channel_destroy(f->channel);
    free(f);
    return 0;
}

static size_t next_run(struct extents_world *f, size_t limit, const uint8_t **bytes)
{
    return extents_next_run(&f->engine, &f->connection, limit, bytes);
}

static struct engine_progress take(struct extents_world *f, size_t bytes)
{
    struct engine_progress progress;

    extents_take(&f->engine, &f->connection, bytes, &progress);
    return progress;
}

static void frames_come_out_in_order_and_are_let_go(void **state)
{
    struct extents_world *f = *state;
    struct engine_progress progress;
    const uint8_t *bytes;

    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 2, 4), 0);
    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 4, 5), 0);
    assert_int_equal(f->connection.extent_count, 1);
    assert_int_equal(holds_lowest(&f->holds), 2);
    assert_int_equal(next_run(f, 1000, &bytes), 3 * FRAME_BYTES);
    assert_int_equal(bytes[2], 2);
    assert_int_equal(bytes[2 * FRAME_BYTES + 2], 4);

    progress = take(f, FRAME_BYTES + 10);
    assert_int_equal(progress.frames, 1);
    assert_true(progress.began_frame);
    assert_int_equal(f->connection.taken_bytes, 10);
    assert_int_equal(holds_lowest(&f->holds), 3);

    progress = take(f, 20);
    assert_int_equal(progress.frames, 0);
    assert_false(progress.began_frame);

    progress = take(f, FRAME_BYTES - 30);
    assert_int_equal(progress.frames, 1);
    assert_false(progress.began_frame);

    progress = take(f, FRAME_BYTES);
    assert_int_equal(progress.frames, 1);
    assert_true(progress.began_frame);
    assert_int_equal(f->connection.extent_count, 0);
    assert_int_equal(holds_lowest(&f->holds), HOLDS_NONE);
    assert_int_equal(next_run(f, 1000, &bytes), 0);
}

static void control_runs_share_a_block_and_long_ones_have_their_own(void **state)
{
    struct extents_world *f = *state;
    char text[1000];
    const uint8_t *bytes;

    memset(text, 'x', sizeof text);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, "ping", 4), 0);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, "pong", 4), 0);
    assert_int_equal(f->connection.extent_count, 1);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, text, CONTROL_RUN_BYTES - 8), 0);
    assert_int_equal(f->connection.extent_count, 1);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, text, sizeof text), 0);
    assert_int_equal(f->connection.extent_count, 2);
    assert_int_equal(next_run(f, 6, &bytes), 6);
    assert_memory_equal(bytes, "pingpo", 6);
    take(f, 6);
    assert_int_equal(next_run(f, 1000, &bytes), CONTROL_RUN_BYTES - 6);
    take(f, CONTROL_RUN_BYTES - 6);
    assert_int_equal(f->engine.control_blocks.count, 1);
    assert_int_equal(next_run(f, 2000, &bytes), sizeof text);
    take(f, sizeof text);
    assert_int_equal(f->engine.control_blocks.count, 1);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, "again", 5), 0);
    assert_int_equal(f->engine.control_blocks.count, 0);
}

static void four_extents_are_all_there_are(void **state)
{
    struct extents_world *f = *state;
    uint8_t text[CONTROL_RUN_BYTES] = {0};

    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 1, 2), 0);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, text, sizeof text), 0);
    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 5, 6), 0);
    assert_true(engine_has_room(&f->connection));
    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 8, 9), 0);
    assert_false(engine_has_room(&f->connection));
    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 10, 11), -ENOBUFS);
    assert_int_equal(extents_append_bytes(&f->engine, &f->connection, text, 1), -ENOBUFS);
    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 9, 10), 0);
    assert_int_equal(extents_append_frames(&f->engine, &f->connection, 0, 10, 10), 0);
}

static void dropping_spares_what_has_begun(void **state)
{
    struct extents_world *f = *state;
    uint64_t resume_from;

    extents_append_frames(&f->engine, &f->connection, 0, 1, 6);
    extents_append_bytes(&f->engine, &f->connection, "pong", 4);
    take(f, FRAME_BYTES + 1);
    extents_drop_unbegun(&f->engine, &f->connection, &resume_from);
    assert_int_equal(resume_from, 3);
    assert_int_equal(f->connection.extent_count, 1);
    assert_int_equal(f->connection.extents[0].from + f->connection.extents[0].count, 3);
    extents_drop_unbegun(&f->engine, &f->connection, &resume_from);
    assert_int_equal(resume_from, HOLDS_NONE);
    assert_int_equal(take(f, FRAME_BYTES - 1).frames, 1);
    assert_int_equal(f->connection.extent_count, 0);
}

static void dropping_spares_what_is_on_its_way(void **state)
{
    struct extents_world *f = *state;
    uint64_t resume_from;

    extents_append_frames(&f->engine, &f->connection, 0, 1, 6);
    f->connection.offered_bytes = 2 * FRAME_BYTES + 50;
    extents_drop_unbegun(&f->engine, &f->connection, &resume_from);
    assert_int_equal(resume_from, 4);
    f->connection.offered_bytes = 2 * FRAME_BYTES;
    extents_drop_unbegun(&f->engine, &f->connection, &resume_from);
    assert_int_equal(resume_from, 3);
    f->connection.offered_bytes = 0;
    extents_drop_unbegun(&f->engine, &f->connection, &resume_from);
    assert_int_equal(resume_from, 1);
    assert_int_equal(f->connection.extent_count, 0);
    assert_int_equal(holds_lowest(&f->holds), HOLDS_NONE);
}

static void dropping_nothing_but_control_bytes_names_no_frame(void **state)
{
    struct extents_world *f = *state;
    uint64_t resume_from;

    extents_append_bytes(&f->engine, &f->connection, "pong", 4);
    extents_drop_unbegun(&f->engine, &f->connection, &resume_from);
    assert_int_equal(resume_from, HOLDS_NONE);
    assert_int_equal(f->connection.extent_count, 0);
    assert_int_equal(f->engine.control_blocks.count, 1);
}

static void gaps_are_passed_over(void **state)
{
    struct extents_world *f = *state;
    const uint8_t *bytes;

    assert_int_equal(channel_append_gap(f->channel, 11), 0);
    assert_int_equal(channel_append_gap(f->channel, 12), 0);
    extents_append_frames(&f->engine, &f->connection, 0, 11, 13);
    extents_append_bytes(&f->engine, &f->connection, "pong", 4);
    assert_int_equal(holds_lowest(&f->holds), 11);
    assert_int_equal(next_run(f, 100, &bytes), 4);
    assert_int_equal(holds_lowest(&f->holds), HOLDS_NONE);
    take(f, 4);
    extents_append_frames(&f->engine, &f->connection, 0, 10, 13);
    assert_int_equal(next_run(f, 1000, &bytes), FRAME_BYTES);
    assert_int_equal(take(f, FRAME_BYTES).frames, 1);
    assert_int_equal(f->connection.extent_count, 0);
}

static void runs_of_several_extents_come_together(void **state)
{
    struct extents_world *f = *state;
    struct iovec runs[4];
    struct engine_progress progress;

    assert_int_equal(channel_append_gap(f->channel, 11), 0);
    extents_append_frames(&f->engine, &f->connection, 0, 2, 4);
    extents_append_frames(&f->engine, &f->connection, 0, 11, 12);
    extents_append_bytes(&f->engine, &f->connection, "pong", 4);
    extents_append_frames(&f->engine, &f->connection, 0, 8, 9);
    take(f, 30);
    assert_int_equal(extents_next_runs(&f->engine, &f->connection, 1000, runs, 4), 3);
    assert_int_equal(runs[0].iov_len, 2 * FRAME_BYTES - 30);
    assert_int_equal(runs[1].iov_len, 4);
    assert_memory_equal(runs[1].iov_base, "pong", 4);
    assert_int_equal(runs[2].iov_len, FRAME_BYTES);
    assert_int_equal(((uint8_t *)runs[2].iov_base)[2], 8);
    assert_int_equal(extents_next_runs(&f->engine, &f->connection, 1000, runs, 2), 2);
    assert_int_equal(extents_next_runs(&f->engine, &f->connection, 2 * FRAME_BYTES - 28, runs, 4), 2);
    assert_int_equal(runs[1].iov_len, 2);

    assert_int_equal(extents_next_runs(&f->engine, &f->connection, 1000, runs, 4), 3);
    extents_take_runs(&f->engine, &f->connection, runs, 2 * FRAME_BYTES - 30 + 4 + 1, &progress);
    assert_int_equal(progress.bytes, 2 * FRAME_BYTES - 30 + 4 + 1);
    assert_int_equal(progress.frames, 2);
    assert_int_equal(progress.payload_bytes, 2 * (FRAME_BYTES - 2));
    assert_true(progress.began_frame);
    assert_int_equal(holds_lowest(&f->holds), 8);
    assert_int_equal(extents_next_runs(&f->engine, &f->connection, 1000, runs, 4), 1);
    assert_int_equal(runs[0].iov_len, FRAME_BYTES - 1);
    extents_take_runs(&f->engine, &f->connection, runs, 0, &progress);
    assert_int_equal(progress.bytes, 0);
    extents_take_runs(&f->engine, &f->connection, runs, FRAME_BYTES - 1, &progress);
    assert_false(progress.began_frame);
    assert_int_equal(extents_next_runs(&f->engine, &f->connection, 1000, runs, 4), 0);
}

static void a_pin_outlives_the_extents(void **state)
{
    struct extents_world *f = *state;

    extents_append_frames(&f->engine, &f->connection, 0, 3, 6);
    extents_pin(&f->engine, &f->connection, 3);
    take(f, 3 * FRAME_BYTES);
    assert_int_equal(holds_lowest(&f->holds), 3);
    extents_release(&f->engine, &f->connection);
    assert_int_equal(f->connection.held_sequence, 3);
    extents_pin(&f->engine, &f->connection, HOLDS_NONE);
    assert_int_equal(f->connection.held_sequence, HOLDS_NONE);
}

/* Takes a random part of up to three runs and copies it to `got`; returns how many bytes were taken. */
static size_t take_some_runs(struct extents_world *f, struct random *random, uint8_t *got)
{
    struct engine_progress progress;
    struct iovec runs[3];
    unsigned count =
        extents_next_runs(&f->engine, &f->connection, 1 + random_below(random, 900), runs, 1 + (unsigned)random_below(random, 3));
    size_t length = 0;

    for (unsigned i = 0; i < count; i++) {
        memcpy(got + length, runs[i].iov_base, runs[i].iov_len);
        length += runs[i].iov_len;
    }
    length = length > 0 ? 1 + random_below(random, length) : 0;
    if (length > 0)
        extents_take_runs(&f->engine, &f->connection, runs, length, &progress);
    assert_true(length == 0 || progress.bytes == length);
    return length;
}

/* Any mix of appends and takes yields exactly the bytes appended, in order. */
static void random_streams_are_whole(void **state)
{
    struct extents_world *f = *state;
    static uint8_t expected[1 << 20], got[1 << 20];
    size_t expected_bytes = 0, got_bytes = 0;
    struct random random;

    random_seed(&random, 7);
    while (expected_bytes < sizeof expected - 4096) {
        if (random_below(&random, 2) == 0) {
            uint64_t from = 1 + random_below(&random, 9), to = from + 1 + random_below(&random, 11 - from);

            if (extents_append_frames(&f->engine, &f->connection, 0, from, to) == 0) {
                for (uint64_t sequence = from; sequence < to; sequence++) {
                    struct channel_frame frame;

                    channel_frame_get(f->channel, sequence, &frame);
                    memcpy(expected + expected_bytes, frame.bytes, frame.length);
                    expected_bytes += frame.length;
                }
            }
        } else {
            size_t length = 1 + random_below(&random, 400);

            for (size_t i = 0; i < length; i++)
                expected[expected_bytes + i] = (uint8_t)random_next(&random);
            if (extents_append_bytes(&f->engine, &f->connection, expected + expected_bytes, length) == 0)
                expected_bytes += length;
        }
        while (random_below(&random, 4) != 0) {
            const uint8_t *bytes;
            size_t length;

            if (random_below(&random, 2) == 0) {
                got_bytes += take_some_runs(f, &random, got + got_bytes);
                continue;
            }
            length = next_run(f, 1 + random_below(&random, 300), &bytes);
            length = length > 0 ? 1 + random_below(&random, length) : 0;
            memcpy(got + got_bytes, bytes, length);
            got_bytes += length;
            take(f, length);
        }
        assert_true(got_bytes <= expected_bytes);
    }
    assert_memory_equal(got, expected, got_bytes);
    assert_true(got_bytes > sizeof got / 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        TEST(frames_come_out_in_order_and_are_let_go),
        TEST(control_runs_share_a_block_and_long_ones_have_their_own),
        TEST(four_extents_are_all_there_are),
        TEST(dropping_spares_what_has_begun),
        TEST(dropping_spares_what_is_on_its_way),
        TEST(dropping_nothing_but_control_bytes_names_no_frame),
        TEST(gaps_are_passed_over),
        TEST(runs_of_several_extents_come_together),
        TEST(a_pin_outlives_the_extents),
        TEST(random_streams_are_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

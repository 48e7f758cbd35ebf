#include "channel/memory.h"
#include "flashrelay/channel.h"
#include "flashrelay/random.h"
#include "flashrelay/ws.h"
#include "support/channels.h"
#include "support/skip.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum { ARENA = 4096, ENTRIES = 16 };

static struct channel_marks marks;
static uint8_t payload[ARENA];

static struct channel *open_channel(uint32_t entries, unsigned readers)
{
    return make_channel(&marks, readers, ARENA, entries);
}

/* Appends a frame of `frame_bytes` in all, filled with its sequence number. */
static int append(struct channel *channel, uint64_t sequence, size_t frame_bytes)
{
    size_t header_bytes = frame_bytes > 127 ? 4 : 2;

    return append_filled(channel, sequence, frame_bytes - header_bytes, sequence * 10);
}

static struct channel_figures figures_of(const struct channel *channel)
{
    struct channel_figures figures;

    channel_figures_get(channel, &figures);
    return figures;
}

static const uint8_t *bytes_of(const struct channel *channel, uint64_t sequence)
{
    struct channel_frame frame;

    channel_frame_get(channel, sequence, &frame);
    return frame.bytes;
}

static void bad_options_are_refused(void **state)
{
    struct channel *channel;
    struct channel_options options = {.name = "test", .arena_bytes = ARENA, .entries = 12, .marks = &marks};

    (void)state;
    assert_int_equal(channel_create(&channel, &options), -EINVAL);
    options.entries = 0;
    assert_int_equal(channel_create(&channel, &options), -EINVAL);
    options = (struct channel_options){.name = "test", .arena_bytes = 4096, .entries = 16};
    assert_int_equal(channel_create(&channel, &options), -EINVAL);
}

static void a_large_arena_is_whole_huge_pages(void **state)
{
    struct channel_options options = {.name = "test", .arena_bytes = (2u << 20) + 1, .entries = 16, .marks = &marks};
    struct channel *channel;
    const uint8_t *base;
    size_t length;

    (void)state;
    channel_marks_init(&marks, 0);
    assert_int_equal(channel_create(&channel, &options), 0);
    channel_memory(channel, &base, &length);
    assert_int_equal(length, 4 << 20);
    assert_int_equal((uintptr_t)base % (2u << 20), 0);
    assert_int_equal(figures_of(channel).arena_bytes, length);
    channel_destroy(channel);
}

static void a_frame_is_its_header_and_its_payload(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    struct channel_frame frame;

    (void)state;
    assert_int_equal(channel_head(channel), 0);
    assert_int_equal(channel_append(channel, 1, WS_BINARY, "flash", 5, 77), 0);
    assert_int_equal(channel_head(channel), 1);
    channel_frame_get(channel, 1, &frame);
    assert_int_equal(frame.length, 7);
    assert_int_equal(frame.header_length, 2);
    assert_int_equal(frame.ingest_ns, 77);
    assert_memory_equal(frame.bytes,
                        "\x82\x05"
                        "flash",
                        7);
    channel_destroy(channel);
}

static void an_empty_message_is_a_frame(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    const uint8_t *bytes;

    (void)state;
    channel_reader_join(channel, 0);
    assert_int_equal(channel_append(channel, 1, WS_BINARY, NULL, 0, 0), 0);
    assert_int_equal(channel_run(channel, NULL, 1, 2, 0, SIZE_MAX, &bytes), 2);
    assert_memory_equal(bytes, "\x82\x00", 2);
    channel_destroy(channel);
}

static void consecutive_frames_are_one_run(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    const uint8_t *bytes;

    (void)state;
    channel_reader_join(channel, 0);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        assert_int_equal(append(channel, sequence, 100), 0);
    assert_int_equal(channel_run(channel, NULL, 1, 4, 0, SIZE_MAX, &bytes), 300);
    assert_ptr_equal(bytes, bytes_of(channel, 1));
    assert_int_equal(channel_run(channel, NULL, 1, 3, 0, SIZE_MAX, &bytes), 200);
    assert_int_equal(channel_run(channel, NULL, 1, 4, 60, SIZE_MAX, &bytes), 240);
    assert_ptr_equal(bytes, bytes_of(channel, 1) + 60);
    assert_int_equal(channel_run(channel, NULL, 1, 4, 60, 150, &bytes), 150);
    assert_int_equal(channel_run(channel, NULL, 1, 4, 60, 10, &bytes), 10);
    assert_int_equal(channel_run(channel, NULL, 2, 2, 0, SIZE_MAX, &bytes), 0);
    channel_destroy(channel);
}

static void a_gap_has_no_bytes_and_ends_no_run(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    struct channel_frame frame;
    const uint8_t *bytes;

    (void)state;
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 3, 100), 0); /* 1 and 2 are skipped */
    assert_int_equal(channel_append_gap(channel, 4), 0);
    assert_int_equal(append(channel, 5, 100), 0);
    assert_int_equal(channel_append_gap(channel, 6), 0);
    channel_frame_get(channel, 2, &frame);
    assert_int_equal(frame.length, 0);
    assert_int_equal(channel_run(channel, NULL, 1, 7, 0, SIZE_MAX, &bytes), 200);
    assert_ptr_equal(bytes, bytes_of(channel, 3));
    assert_int_equal(channel_run(channel, NULL, 1, 3, 0, SIZE_MAX, &bytes), 0);
    assert_int_equal(channel_run(channel, NULL, 6, 7, 0, SIZE_MAX, &bytes), 0);
    assert_int_equal(figures_of(channel).frames, 2);
    assert_int_equal(figures_of(channel).held_bytes, 200);
    channel_destroy(channel);
}

static void advance_counts_whole_frames_and_passes_gaps(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    uint64_t from = 1;
    uint32_t skip = 0;

    (void)state;
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 2, 100), 0);
    assert_int_equal(append(channel, 3, 50), 0);
    assert_int_equal(channel_append_gap(channel, 4), 0);
    assert_int_equal(append(channel, 5, 10), 0);
    assert_int_equal(channel_append_gap(channel, 6), 0);

    assert_int_equal(channel_advance(channel, NULL, &from, 7, &skip, 99).frames, 0);
    assert_int_equal(from, 2);
    assert_int_equal(skip, 99);
    assert_int_equal(channel_advance(channel, NULL, &from, 7, &skip, 1).frames, 1);
    assert_int_equal(from, 3);
    assert_int_equal(skip, 0);
    assert_int_equal(channel_advance(channel, NULL, &from, 7, &skip, 55).frames, 1);
    assert_int_equal(from, 5);
    assert_int_equal(skip, 5);
    assert_int_equal(channel_advance(channel, NULL, &from, 7, &skip, 5).frames, 1);
    assert_int_equal(from, 7);
    assert_int_equal(skip, 0);

    from = 2;
    assert_int_equal(channel_advance(channel, NULL, &from, 5, &skip, 150).frames, 2);
    assert_int_equal(from, 5);
    channel_destroy(channel);
}

static void a_frame_never_wraps_around_the_end(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    const uint8_t *base, *bytes;
    uint64_t from = 2;
    uint32_t skip = 400;
    size_t length;

    (void)state;
    channel_memory(channel, &base, &length);
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 1, 1500), 0);
    assert_int_equal(append(channel, 2, 1500), 0);
    channel_mark_set(&marks, 0, 2);
    assert_int_equal(append(channel, 3, 1400), 0); /* 1,096 bytes are left at the end */
    assert_ptr_equal(bytes_of(channel, 3), base);
    assert_int_equal(figures_of(channel).wraps, 1);

    assert_int_equal(channel_run(channel, NULL, 2, 4, 400, SIZE_MAX, &bytes), 1100);
    assert_int_equal(channel_advance(channel, NULL, &from, 4, &skip, 1100).frames, 1);
    assert_int_equal(channel_advance(channel, NULL, &from, 4, &skip, 7).frames, 0);
    assert_int_equal(from, 3);
    assert_int_equal(skip, 7);
    assert_int_equal(channel_run(channel, NULL, from, 4, skip, SIZE_MAX, &bytes), 1393);
    assert_ptr_equal(bytes, base + 7);
    channel_destroy(channel);
}

static void an_arena_is_filled_to_the_last_byte(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    const uint8_t *bytes;

    (void)state;
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 1, 2048), 0);
    assert_int_equal(append(channel, 2, 2048), 0);
    assert_int_equal(append(channel, 3, 2), -ENOSPC);
    channel_mark_set(&marks, 0, 2);
    assert_int_equal(append(channel, 3, 2048), 0);
    assert_int_equal(figures_of(channel).held_bytes, ARENA);
    assert_int_equal(channel_run(channel, NULL, 2, 4, 0, SIZE_MAX, &bytes), 2048);
    channel_destroy(channel);
}

static void an_empty_log_begins_again_at_its_start(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);
    const uint8_t *base;
    size_t length;

    (void)state;
    channel_memory(channel, &base, &length);
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 1, 100), 0);
    channel_mark_set(&marks, 0, 2);
    assert_int_equal(append(channel, 2, ARENA), 0); /* only an empty log has room for this */
    assert_ptr_equal(bytes_of(channel, 2), base);
    channel_destroy(channel);
}

static void what_can_never_fit_is_refused_for_good(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);

    (void)state;
    assert_int_equal(append(channel, 1, ARENA - 1), 0);
    assert_int_equal(channel_append(channel, 2, WS_BINARY, payload, ARENA - 3, 0), -EMSGSIZE);
    assert_int_equal(channel_append(channel, 2, WS_BINARY, payload, SIZE_MAX - 8, 0), -EMSGSIZE);
    assert_false(channel_is_waiting(channel));
    assert_int_equal(append(channel, 2, ARENA), 0);
    channel_destroy(channel);
}

static void the_floor_is_raised_just_as_far_as_needed(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 2);

    (void)state;
    channel_reader_join(channel, 0);
    channel_reader_join(channel, 1);
    for (uint64_t sequence = 1; sequence <= 4; sequence++)
        assert_int_equal(append(channel, sequence, 1000), 0);
    channel_mark_set(&marks, 1, 5);
    assert_false(channel_is_waiting(channel));
    assert_true(channel_floor(channel) <= 1);

    assert_int_equal(append(channel, 5, 1500), -ENOSPC);
    assert_int_equal(channel_head(channel), 4);
    assert_int_equal(channel_floor(channel), 3);
    assert_true(channel_is_waiting(channel));
    assert_int_equal(figures_of(channel).append_refusals, 1);

    channel_mark_set(&marks, 0, 2);
    assert_int_equal(append(channel, 5, 1500), -ENOSPC);
    assert_int_equal(channel_floor(channel), 3);
    channel_mark_set(&marks, 0, 3);
    assert_int_equal(append(channel, 5, 1500), 0);
    assert_false(channel_is_waiting(channel));
    assert_int_equal(figures_of(channel).tail, 3);
    channel_destroy(channel);
}

static void the_floor_never_passes_what_was_published(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);

    (void)state;
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 1, 10), 0);
    assert_int_equal(append(channel, 2, 10), 0);
    assert_int_equal(append(channel, 3, ARENA), -ENOSPC);
    assert_int_equal(channel_floor(channel), 3);
    channel_mark_set(&marks, 0, 3);
    assert_int_equal(append(channel, 3, ARENA), 0);
    channel_destroy(channel);
}

static void entries_run_short_too(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);

    (void)state;
    channel_reader_join(channel, 0);
    for (uint64_t sequence = 1; sequence <= ENTRIES; sequence++)
        assert_int_equal(append(channel, sequence, 10), 0);
    assert_int_equal(append(channel, ENTRIES + 1, 10), -ENOSPC);
    assert_int_equal(channel_floor(channel), 2);
    assert_int_equal(channel_append_gap(channel, ENTRIES + 3), -ENOSPC);
    assert_int_equal(channel_floor(channel), 4);
    channel_mark_set(&marks, 0, 4);
    assert_int_equal(channel_append_gap(channel, ENTRIES + 3), 0);
    channel_destroy(channel);
}

static void frames_are_freed_below_the_lowest_mark_only(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 2);

    (void)state;
    channel_reader_join(channel, 0);
    channel_reader_join(channel, 1);
    for (uint64_t sequence = 1; sequence <= 4; sequence++)
        assert_int_equal(append(channel, sequence, 10), 0);
    channel_mark_set(&marks, 0, 4);
    channel_reclaim(channel);
    assert_int_equal(figures_of(channel).tail, 1);
    channel_mark_set(&marks, 1, 3);
    channel_reclaim(channel);
    assert_int_equal(figures_of(channel).tail, 3);
    assert_int_equal(figures_of(channel).frames, 2);
    assert_int_equal(figures_of(channel).held_bytes, 20);
    channel_mark_set(&marks, 1, CHANNEL_MARK_NONE);
    channel_reclaim(channel);
    assert_int_equal(figures_of(channel).tail, 4);
    channel_mark_set(&marks, 0, CHANNEL_MARK_NONE);
    channel_reclaim(channel);
    assert_int_equal(figures_of(channel).tail, 5);
    assert_int_equal(figures_of(channel).frames, 0);
    assert_int_equal(figures_of(channel).held_bytes, 0);
    channel_destroy(channel);
}

static void a_reader_joins_behind_the_head(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1);

    (void)state;
    assert_int_equal(append(channel, 1, 10), 0);
    assert_int_equal(channel_reader_join(channel, 0), 2);
    assert_int_equal(append(channel, 2, 10), 0);
    channel_reclaim(channel);
    assert_int_equal(figures_of(channel).tail, 2);
    channel_destroy(channel);
}

/* --- a random run against a model that keeps every frame's length and place --- */

enum { MODEL_READERS = 3, MODEL_STEPS = 100000, MODEL_WINDOW = 1024 };

struct model {
    struct channel *channel;
    struct random random;
    const uint8_t *arena;
    uint64_t head, tail;
    uint32_t lengths[MODEL_WINDOW]; /* by sequence, 0: a gap */
    size_t offsets[MODEL_WINDOW];
};

static uint64_t mark_of(unsigned reader)
{
    return atomic_load(&marks.marks[reader].sequence);
}

static uint64_t lowest_mark(void)
{
    uint64_t lowest = CHANNEL_MARK_NONE;

    for (unsigned i = 0; i < MODEL_READERS; i++)
        lowest = mark_of(i) < lowest ? mark_of(i) : lowest;
    return lowest;
}

/* The frame's bytes must overlap no frame that some reader may touch. */
static void check_new_frame(const struct model *model, uint64_t sequence)
{
    size_t from = model->offsets[sequence % MODEL_WINDOW], to = from + model->lengths[sequence % MODEL_WINDOW];

    assert_true(to <= ARENA);
    for (uint64_t other = model->tail; other < sequence; other++) {
        size_t other_from = model->offsets[other % MODEL_WINDOW];
        size_t other_to = other_from + model->lengths[other % MODEL_WINDOW];
        assert_true(other_from == other_to || to <= other_from || other_to <= from);
    }
}

static void check_frames(const struct model *model)
{
    struct channel_figures figures = figures_of(model->channel);
    uint64_t held = 0, frames = 0;

    for (uint64_t sequence = model->tail; sequence <= model->head; sequence++) {
        struct channel_frame frame;
        uint32_t length = model->lengths[sequence % MODEL_WINDOW];
        channel_frame_get(model->channel, sequence, &frame);
        assert_int_equal(frame.length, length);
        for (uint32_t i = frame.header_length; i < length; i++)
            if (frame.bytes[i] != (uint8_t)sequence)
                fail_msg("frame %llu changed at %u", (unsigned long long)sequence, i);
        held += length;
        frames += length > 0;
    }
    assert_int_equal(figures.head, model->head);
    assert_int_equal(figures.tail, model->tail);
    assert_int_equal(figures.held_bytes, held);
    assert_int_equal(figures.frames, frames);
}

static int model_try(struct model *model, uint64_t sequence, uint32_t length)
{
    int result = length > 0 ? append(model->channel, sequence, length) : channel_append_gap(model->channel, sequence);
    uint64_t lowest = lowest_mark();

    model->tail = lowest < model->head + 1 ? lowest : model->head + 1;
    if (result != 0)
        return result;
    for (uint64_t skipped = model->head + 1; skipped < sequence; skipped++)
        model->lengths[skipped % MODEL_WINDOW] = 0;
    model->lengths[sequence % MODEL_WINDOW] = length;
    if (length > 0) {
        model->offsets[sequence % MODEL_WINDOW] = (size_t)(bytes_of(model->channel, sequence) - model->arena);
        check_new_frame(model, sequence);
    }
    model->head = sequence;
    return 0;
}

static void raise_marks(uint64_t to)
{
    for (unsigned i = 0; i < MODEL_READERS; i++)
        if (mark_of(i) < to)
            channel_mark_set(&marks, i, to);
}

static void model_append(struct model *model)
{
    static const uint32_t sizes[] = {0, 2, 126, 600, 2000, ARENA};
    uint32_t limit = sizes[random_below(&model->random, 6)];
    uint32_t length = limit < 3 ? limit : 2 + (uint32_t)random_below(&model->random, limit - 1);
    uint64_t sequence = model->head + 1 + (random_below(&model->random, 8) == 0 ? random_below(&model->random, ENTRIES) : 0);
    uint64_t old_floor = channel_floor(model->channel);

    if (length > 127 && length < 130)
        length = 130; /* no frame has such a length: the header grows by two bytes */
    if (model_try(model, sequence, length) == 0)
        return;
    uint64_t floor = channel_floor(model->channel);
    assert_true(channel_is_waiting(model->channel));
    assert_true(lowest_mark() < floor && floor <= model->head + 1);
    if (random_below(&model->random, 2) == 0)
        return;
    if (floor > old_floor && floor - 1 > lowest_mark()) {
        raise_marks(floor - 1);
        assert_int_equal(model_try(model, sequence, length), -ENOSPC);
        assert_true(channel_floor(model->channel) == floor);
    }
    raise_marks(floor);
    assert_int_equal(model_try(model, sequence, length), 0);
}

static void model_move_reader(struct model *model)
{
    unsigned reader = (unsigned)random_below(&model->random, MODEL_READERS);
    uint64_t mark = mark_of(reader);

    if (mark == CHANNEL_MARK_NONE)
        assert_int_equal(channel_reader_join(model->channel, reader), model->head + 1);
    else if (random_below(&model->random, 10) == 0)
        channel_mark_set(&marks, reader, CHANNEL_MARK_NONE);
    else if (mark <= model->head)
        channel_mark_set(&marks, reader, mark + random_below(&model->random, model->head + 2 - mark));
}

/* Walks from a random frame to the head in pieces of random size, by channel_run and channel_advance, and compares with the model. */
static void model_walk(struct model *model)
{
    uint64_t lowest = lowest_mark();

    if (lowest > model->head)
        return;
    uint64_t from = lowest + random_below(&model->random, model->head + 1 - lowest), to = model->head + 1;
    uint32_t skip = 0, frames = 0, expected_frames = 0;
    size_t total = 0, expected = 0;
    const uint8_t *bytes;

    for (uint64_t sequence = from; sequence < to; sequence++) {
        expected += model->lengths[sequence % MODEL_WINDOW];
        expected_frames += model->lengths[sequence % MODEL_WINDOW] > 0;
    }
    for (size_t run;
         (run = channel_run(model->channel, NULL, from, to, skip, 1 + random_below(&model->random, 3000), &bytes)) > 0;) {
        size_t taken = 1 + random_below(&model->random, run);
        uint64_t frame = from;
        while (model->lengths[frame % MODEL_WINDOW] == 0)
            frame++;
        assert_ptr_equal(bytes, model->arena + model->offsets[frame % MODEL_WINDOW] + skip);
        frames += channel_advance(model->channel, NULL, &from, to, &skip, taken).frames;
        total += taken;
    }
    assert_int_equal(total, expected);
    assert_int_equal(frames, expected_frames);
    assert_int_equal(skip, 0);
}

static void it_agrees_with_a_naive_model(void **state)
{
    struct model model = {.channel = open_channel(ENTRIES, MODEL_READERS), .tail = 1};
    size_t length;

    (void)state;
    random_seed(&model.random, 11);
    channel_memory(model.channel, &model.arena, &length);
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        switch (random_below(&model.random, 4)) {
        case 0:
        case 1:
            model_append(&model);
            check_frames(&model);
            break;
        case 2:
            model_walk(&model);
            break;
        default:
            model_move_reader(&model);
        }
    }
    assert_true(figures_of(model.channel).wraps > MODEL_STEPS / 200);
    assert_true(figures_of(model.channel).append_refusals > MODEL_STEPS / 200);
    channel_destroy(model.channel);
}

/* --- views --- */

static struct channel *open_view(size_t arena_bytes)
{
    struct channel_options options = {.name = "view", .arena_bytes = arena_bytes, .entries = ENTRIES, .marks = &marks};
    struct channel *view;

    assert_int_equal(channel_create(&view, &options), 0);
    return view;
}

static void a_view_names_the_frames_of_another_channel(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1), *view = open_view(0);
    const uint8_t *bytes;

    (void)state;
    channel_reader_join(channel, 0);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        assert_int_equal(append(channel, sequence, 100), 0);
    assert_int_equal(channel_append_view(view, 1, channel), 0);
    assert_int_equal(channel_append_view(view, 3, channel), 0);
    assert_ptr_equal(bytes_of(view, 1), bytes_of(channel, 1));
    assert_ptr_equal(bytes_of(view, 3), bytes_of(channel, 3));
    assert_int_equal(channel_count_frames(view, NULL, 1, 4), 2);
    assert_int_equal(channel_run(view, NULL, 1, 4, 0, SIZE_MAX, &bytes), 100);
    assert_int_equal(figures_of(view).held_bytes, 0);
    assert_int_equal(figures_of(view).frames, 2);
    assert_int_equal(channel_append(view, 4, 2, payload, 1, 0), -EMSGSIZE);
    /* A reader's mark protects the frame in the channel and in the view. */
    channel_mark_set(&marks, 0, 3);
    channel_reclaim(channel);
    channel_reclaim(view);
    assert_int_equal(figures_of(channel).tail, 3);
    assert_int_equal(figures_of(view).tail, 3);
    channel_destroy(view);
    channel_destroy(channel);
}

/* A view may append frames of its own between those of the other channel; only its own frames take room in its arena. */
static void a_view_may_have_frames_of_its_own(void **state)
{
    struct channel *channel = open_channel(ENTRIES, 1), *view = open_view(ARENA);

    (void)state;
    uint64_t next = channel_reader_join(channel, 0);
    for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
        bool own = sequence % 2 == 0;
        int result;

        assert_int_equal(own ? channel_append_gap(channel, sequence) : append(channel, sequence, 1000), 0);
        result = own ? append(view, sequence, 900) : channel_append_view(view, sequence, channel);
        assert_int_equal(result, 0);
        assert_int_equal(*(bytes_of(view, sequence) + 4), (uint8_t)sequence);
        if (sequence > next + 4)
            channel_mark_set(&marks, 0, next = sequence - 3);
        assert_true(figures_of(view).held_bytes <= 5 * 900);
    }
    channel_destroy(view);
    channel_destroy(channel);
}

static void a_view_without_free_entries_raises_its_floor(void **state)
{
    struct channel *channel = open_channel(ENTRIES * 2, 1), *view = open_view(0);

    (void)state;
    channel_reader_join(channel, 0);
    for (uint64_t sequence = 1; sequence <= ENTRIES; sequence++) {
        assert_int_equal(append(channel, sequence, 10), 0);
        assert_int_equal(channel_append_view(view, sequence, channel), 0);
    }
    assert_int_equal(append(channel, ENTRIES + 1, 10), 0);
    assert_int_equal(channel_append_view(view, ENTRIES + 1, channel), -ENOSPC);
    assert_int_equal(channel_floor(view), 2);
    channel_mark_set(&marks, 0, 2);
    assert_int_equal(channel_append_view(view, ENTRIES + 1, channel), 0);
    channel_destroy(view);
    channel_destroy(channel);
}

/* --- memory --- */

static int map_static(void *context, struct channel_memory *memory, size_t bytes)
{
    static uint8_t arena[2 * ARENA];

    (*(unsigned *)context)++;
    assert_true(bytes <= sizeof arena);
    *memory = (struct channel_memory){.base = arena, .length = bytes, .populated_bytes = bytes, .descriptor = -1};
    return 0;
}

static void unmap_static(void *context, struct channel_memory *memory)
{
    (*(unsigned *)context)--;
    memory->base = NULL;
}

static void the_arena_comes_from_the_given_source(void **state)
{
    unsigned maps = 0;
    const struct channel_memory_source source = {.map = map_static, .unmap = unmap_static, .context = &maps};
    struct channel_options options = {
        .name = "test", .arena_bytes = ARENA, .entries = ENTRIES, .marks = &marks, .memory = &source};
    struct channel *channel;

    (void)state;
    channel_marks_init(&marks, 1);
    assert_int_equal(channel_create(&channel, &options), 0);
    assert_int_equal(maps, 1);
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 1, 100), 0);
    assert_int_equal(bytes_of(channel, 1)[50], 1);
    channel_destroy(channel);
    assert_int_equal(maps, 0);
}

static size_t resident_bytes(const struct channel *channel)
{
    static unsigned char pages[(64 << 20) / 4096];
    const uint8_t *base;
    size_t length, resident = 0;

    channel_memory(channel, &base, &length);
    assert_true(length <= sizeof pages * 4096);
    assert_int_equal(mincore((void *)(uintptr_t)base, length, pages), 0);
    for (size_t i = 0; i < length / 4096; i++)
        resident += pages[i] & 1u ? 4096 : 0;
    return resident;
}

/* The arena is reserved at the start; its pages become resident only as far as the arena is used. */
static void an_arena_is_populated_as_it_fills(void **state)
{
    struct channel *channel = make_channel(&marks, 1, 64 << 20, ENTRIES);

    (void)state;
    if (figures_of(channel).pages == CHANNEL_PAGES_HUGE) {
        channel_destroy(channel);
        skip_because("the log lies in huge pages, of which mincore says nothing");
    }
    assert_int_equal(resident_bytes(channel), 0);
    channel_reader_join(channel, 0);
    assert_int_equal(append(channel, 1, 1000), 0);
    assert_in_range(resident_bytes(channel), 4096, 4 << 20);
    channel_destroy(channel);
}

/* Maps, writes to and unmaps two megabytes, again and again: the process crashes if another thread unmaps this memory. */
static void *map_and_write(void *context)
{
    const atomic_bool *ends = context;
    const size_t length = 2 << 20;

    while (!atomic_load(ends)) {
        volatile uint8_t *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            continue;
        for (size_t i = 0; i < length; i += 1 << 16)
            memory[i] = 1;
        munmap((void *)memory, length);
    }
    return NULL;
}

/* Where the system's pool has no huge pages, the first attempt to map an arena is refused and a second one is made. */
static void mapping_an_arena_leaves_the_memory_of_other_threads_alone(void **state)
{
    enum { ROUNDS = 5000 };
    atomic_bool ends = false;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, map_and_write, &ends), 0);
    for (int i = 0; i < ROUNDS; i++) {
        struct channel_memory memory;
        assert_int_equal(channel_memory_memfd.map(NULL, &memory, 16 << 20), 0);
        assert_int_equal((uintptr_t)memory.base % HUGE_PAGE_BYTES, 0);
        channel_memory_memfd.unmap(NULL, &memory);
    }
    atomic_store(&ends, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(a_large_arena_is_whole_huge_pages),
        cmocka_unit_test(a_frame_is_its_header_and_its_payload),
        cmocka_unit_test(a_view_names_the_frames_of_another_channel),
        cmocka_unit_test(a_view_may_have_frames_of_its_own),
        cmocka_unit_test(a_view_without_free_entries_raises_its_floor),
        cmocka_unit_test(the_arena_comes_from_the_given_source),
        cmocka_unit_test(an_arena_is_populated_as_it_fills),
        cmocka_unit_test(mapping_an_arena_leaves_the_memory_of_other_threads_alone),
        cmocka_unit_test(an_empty_message_is_a_frame),
        cmocka_unit_test(consecutive_frames_are_one_run),
        cmocka_unit_test(a_gap_has_no_bytes_and_ends_no_run),
        cmocka_unit_test(advance_counts_whole_frames_and_passes_gaps),
        cmocka_unit_test(a_frame_never_wraps_around_the_end),
        cmocka_unit_test(an_arena_is_filled_to_the_last_byte),
        cmocka_unit_test(an_empty_log_begins_again_at_its_start),
        cmocka_unit_test(what_can_never_fit_is_refused_for_good),
        cmocka_unit_test(the_floor_is_raised_just_as_far_as_needed),
        cmocka_unit_test(the_floor_never_passes_what_was_published),
        cmocka_unit_test(entries_run_short_too),
        cmocka_unit_test(frames_are_freed_below_the_lowest_mark_only),
        cmocka_unit_test(a_reader_joins_behind_the_head),
        cmocka_unit_test(it_agrees_with_a_naive_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

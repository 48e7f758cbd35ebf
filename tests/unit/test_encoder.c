/* The encoder between two channels: what it encodes, passes on and leaves out, no room on either side, nothing lost, sleep and wake-up. */
#include "flashrelay/encoder.h"

#include "flashrelay/brotli_codec.h"
#include "flashrelay/clock.h"
#include "flashrelay/ws.h"
#include "support/channels.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ARENA = 8192, ENTRIES = 64, LARGEST = 4000 };

struct encoder_world {
    struct channel_marks source_marks, target_marks; /* reader 0 of the source is the encoder, of the target a subscriber */
    struct channel *source, *target;
    struct waker ingest, shard; /* only count how often they are woken */
    struct waker *wakers[1];
    struct encoder *encoder;
    unsigned ingest_wakes, shard_wakes;
    uint64_t clock_ns;
};

static struct encoder_world *woken_world;

static void count_wake(struct waker *waker, struct waker *from)
{
    assert_null(from);
    if (waker == &woken_world->ingest)
        woken_world->ingest_wakes++;
    else
        woken_world->shard_wakes++;
    waker_prepare_sleep(waker);
}

static uint64_t clock_of(void *context)
{
    struct encoder_world *f = context;

    return f->clock_ns += 1000;
}

/* An encoding that decides by a message's first letter: it encodes 'e' (as the message twice), leaves out 'l', passes on all others. */
static int create_letters(void **context)
{
    *context = malloc(1);
    return *context ? 0 : -ENOMEM;
}

static size_t twice(size_t length)
{
    return 2 * length;
}

static enum encoding_outcome encode_letters(void *context, const uint8_t *bytes, size_t length, uint8_t *out, size_t capacity,
                                            size_t *out_length)
{
    assert_non_null(context);
    assert_in_range(capacity, twice(length), twice(LARGEST));
    if (length == 0 || (bytes[0] != 'e' && bytes[0] != 'l'))
        return ENCODING_PASSED_ON;
    if (bytes[0] == 'l')
        return ENCODING_LEFT_OUT;
    memcpy(out, bytes, length);
    memcpy(out + length, bytes, length);
    *out_length = twice(length);
    return ENCODING_ENCODED;
}

static const struct encoding letters_encoding = {
    .name = "letters", .create = create_letters, .destroy = free, .output_limit = twice, .encode = encode_letters};

/* What set_up makes for a test; given as cmocka's initial state. */
struct encoder_setup {
    const struct encoding *encoding;
    size_t target_bytes;
};

static const struct encoder_setup with_brotli = {&brotli_encoding, ARENA};
static const struct encoder_setup with_letters = {&letters_encoding, ARENA};
static const struct encoder_setup with_small_target = {&letters_encoding, ARENA / 2};

static int set_up(void **state)
{
    const struct encoder_setup *setup = *state;
    struct encoder_world *f = aligned_alloc(_Alignof(struct encoder_world), sizeof *f);
    struct encoder_options options;

    assert_non_null(f);
    memset(f, 0, sizeof *f);
    f->source = make_channel(&f->source_marks, 1, ARENA, ENTRIES);
    f->target = make_channel(&f->target_marks, 1, setup->target_bytes, ENTRIES);
    waker_init(&f->ingest, count_wake);
    waker_init(&f->shard, count_wake);
    waker_prepare_sleep(&f->ingest);
    waker_prepare_sleep(&f->shard);
    f->wakers[0] = &f->shard;
    options = (struct encoder_options){.encoding = setup->encoding,
                                       .source = f->source,
                                       .target = f->target,
                                       .marks = &f->source_marks,
                                       .wakers = f->wakers,
                                       .waker_count = 1,
                                       .publisher = &f->ingest,
                                       .max_message_bytes = LARGEST};
    assert_int_equal(encoder_create(&f->encoder, &options), 0);
    woken_world = f;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct encoder_world *f = *state;

    encoder_destroy(f->encoder);
    channel_destroy(f->source);
    channel_destroy(f->target);
    free(f);
    return 0;
}

/* Writes a text of `length` bytes that begins like JSON and compresses to no less than about half. */
static void make_json(char *text, size_t length, unsigned seed)
{
    srand(seed);
    for (size_t i = 0; i < length; i++)
        text[i] = "0123456789abcdef"[rand() & 15];
    text[0] = '{';
}

static int append(struct encoder_world *f, uint64_t sequence, const void *payload, size_t length)
{
    return channel_append(f->source, sequence, WS_BINARY, payload, length, sequence * 100);
}

static bool turn(struct encoder_world *f)
{
    return encoder_turn(f->encoder, clock_of, f);
}

static void assert_payload(struct encoder_world *f, uint64_t sequence, const void *payload, size_t length)
{
    struct channel_frame frame;

    channel_frame_get(f->target, sequence, &frame);
    assert_int_equal(frame.length - frame.header_length, length);
    assert_memory_equal(frame.bytes + frame.header_length, payload, length);
    assert_int_equal(frame.ingest_ns, sequence * 100);
    assert_int_equal(frame.bytes[0], 0x80 | WS_BINARY);
}

static void assert_packed(struct encoder_world *f, uint64_t sequence, const void *json, size_t length)
{
    struct channel_frame frame;
    uint8_t unpacked[LARGEST];
    size_t unpacked_length;

    channel_frame_get(f->target, sequence, &frame);
    assert_true(frame.length < length);
    assert_int_equal(brotli_decompress(frame.bytes + frame.header_length, frame.length - frame.header_length, unpacked,
                                       sizeof unpacked, &unpacked_length),
                     0);
    assert_int_equal(unpacked_length, length);
    assert_memory_equal(unpacked, json, length);
}

static void json_is_compressed_under_its_sequence_number(void **state)
{
    struct encoder_world *f = *state;
    const struct encoder_counters *counters = encoder_counters_get(f->encoder);
    char json[1000];

    channel_reader_join(f->target, 0);
    make_json(json, sizeof json, 1);
    assert_false(turn(f));
    assert_int_equal(append(f, 1, json, sizeof json), 0);
    assert_true(turn(f));
    assert_false(turn(f));
    assert_int_equal(channel_head(f->target), 1);
    assert_packed(f, 1, json, sizeof json);
    assert_int_equal(f->shard_wakes, 1);
    assert_int_equal(counter_read(&counters->messages), 1);
    assert_int_equal(counter_read(&counters->passed_on), 0);
    assert_int_equal(counter_read(&counters->bytes_in), sizeof json);
    assert_in_range(counter_read(&counters->bytes_out), 1, sizeof json - 1);
    assert_int_equal(histogram_count(&counters->encode_ns), 1);
}

static void the_rest_is_passed_on(void **state)
{
    static const uint8_t brotli[] = {0x8b, 0x01, 0x80, 'h', 'e', 'l', 'l', 'o', 0x03};
    struct encoder_world *f = *state;

    channel_reader_join(f->target, 0);
    assert_int_equal(append(f, 1, brotli, sizeof brotli), 0);
    assert_int_equal(append(f, 2, "", 0), 0);
    assert_int_equal(append(f, 3, "text", 4), 0);
    while (turn(f))
        continue;
    assert_payload(f, 1, brotli, sizeof brotli);
    assert_payload(f, 2, "", 0);
    assert_payload(f, 3, "text", 4);
    assert_int_equal(counter_read(&encoder_counters_get(f->encoder)->passed_on), 3);
}

static void what_has_no_room_in_brotli_is_passed_on(void **state)
{
    static const uint8_t json[] = "{\"index\":0}";
    uint8_t out[4];
    size_t out_length;
    void *context;

    (void)state;
    assert_int_equal(brotli_encoding.create(&context), 0);
    assert_int_equal(brotli_encoding.encode(context, json, sizeof json - 1, out, sizeof out, &out_length), ENCODING_PASSED_ON);
    brotli_encoding.destroy(context);
}

static void assert_gap(struct encoder_world *f, uint64_t sequence)
{
    struct channel_frame frame;

    channel_frame_get(f->target, sequence, &frame);
    assert_int_equal(frame.length, 0);
}

static void an_encoding_encodes_passes_on_and_leaves_out(void **state)
{
    struct encoder_world *f = *state;
    const struct encoder_counters *counters = encoder_counters_get(f->encoder);

    channel_reader_join(f->target, 0);
    assert_string_equal(encoder_name(f->encoder), "letters");
    assert_int_equal(append(f, 1, "left out", 8), 0);
    assert_int_equal(append(f, 2, "encoded", 7), 0);
    assert_int_equal(append(f, 3, "", 0), 0);
    assert_int_equal(append(f, 4, "left out", 8), 0);
    assert_int_equal(append(f, 5, "passed on", 9), 0);
    assert_int_equal(append(f, 6, "left out", 8), 0);
    while (turn(f))
        continue;
    assert_gap(f, 1);
    assert_payload(f, 2, "encodedencoded", 14);
    assert_payload(f, 3, "", 0);
    assert_gap(f, 4);
    assert_payload(f, 5, "passed on", 9);
    assert_gap(f, 6);
    assert_int_equal(channel_head(f->target), 6);
    assert_int_equal(f->shard_wakes, 3);
    assert_int_equal(counter_read(&counters->messages), 3);
    assert_int_equal(counter_read(&counters->passed_on), 2);
    assert_int_equal(counter_read(&counters->bytes_in), 7);
    assert_int_equal(counter_read(&counters->bytes_out), 14);
    assert_int_equal(histogram_count(&counters->encode_ns), 1);
}

/* A message that is left out takes an entry, too (a gap): readers that receive nothing are woken to move their marks. */
static void messages_left_out_in_a_row_wake_the_readers_when_entries_run_short(void **state)
{
    struct encoder_world *f = *state;
    uint64_t sequence;

    channel_reader_join(f->target, 0);
    for (sequence = 1; sequence < 3 * ENTRIES; sequence++) {
        unsigned wakes = f->shard_wakes;

        assert_int_equal(append(f, sequence, "left out", 8), 0);
        if (turn(f))
            continue;
        assert_int_equal(f->shard_wakes, wakes + 1);
        assert_int_equal(f->ingest_wakes, 0);
        channel_mark_set(&f->target_marks, 0, sequence);
        assert_true(turn(f));
    }
    assert_int_equal(append(f, sequence, "passed on", 9), 0);
    assert_true(turn(f));
    assert_payload(f, sequence, "passed on", 9);
    assert_int_equal(f->shard_wakes, 3);
    assert_int_equal(counter_read(&encoder_counters_get(f->encoder)->messages), 1);
}

static void what_the_target_can_never_hold_becomes_a_gap(void **state)
{
    struct encoder_world *f = *state;
    char large[ARENA / 4 + 1] = "encoded";

    channel_reader_join(f->target, 0);
    assert_int_equal(append(f, 1, "passed on", 9), 0);
    assert_int_equal(append(f, 2, large, sizeof large), 0);
    assert_int_equal(append(f, 3, "passed on", 9), 0);
    while (turn(f))
        continue;
    assert_payload(f, 1, "passed on", 9);
    assert_gap(f, 2);
    assert_payload(f, 3, "passed on", 9);
    assert_int_equal(counter_read(&encoder_counters_get(f->encoder)->messages), 2);
}

static void gaps_stay_gaps(void **state)
{
    struct encoder_world *f = *state;

    channel_reader_join(f->target, 0);
    assert_int_equal(append(f, 1, "one", 3), 0);
    assert_int_equal(channel_append_gap(f->source, 2), 0);
    assert_int_equal(append(f, 4, "four", 4), 0);
    while (turn(f))
        continue;
    assert_payload(f, 1, "one", 3);
    assert_gap(f, 2);
    assert_gap(f, 3);
    assert_payload(f, 4, "four", 4);
}

static void the_source_waits_for_the_encoder_and_its_publisher_is_woken(void **state)
{
    struct encoder_world *f = *state;
    char json[LARGEST];
    uint64_t sequence = 0;

    make_json(json, sizeof json, 2);
    while (append(f, sequence + 1, json, sizeof json) == 0)
        sequence++;
    assert_int_equal(sequence, 2);
    assert_int_equal(f->ingest_wakes, 0);
    assert_true(turn(f));
    assert_int_equal(f->ingest_wakes, 1);
    assert_int_equal(append(f, 3, json, sizeof json), 0);
    while (turn(f))
        continue;
    assert_int_equal(channel_head(f->target), 3);
}

/* The subscriber lets go of one message at a time: 40 messages pass through a log that has room for two. */
static void nothing_is_lost_while_the_target_has_no_room(void **state)
{
    struct encoder_world *f = *state;
    const struct encoder_counters *counters = encoder_counters_get(f->encoder);
    uint64_t appended = 0, read = 0, most_waiting = 0;
    char json[LARGEST];

    channel_reader_join(f->target, 0);
    while (read < 40) {
        while (appended < 40) {
            make_json(json, sizeof json, (unsigned)appended + 1);
            if (append(f, appended + 1, json, sizeof json))
                break;
            appended++;
        }
        while (turn(f))
            continue;
        most_waiting = appended - channel_head(f->target) > most_waiting ? appended - channel_head(f->target) : most_waiting;
        assert_true(channel_head(f->target) > read);
        make_json(json, sizeof json, (unsigned)++read);
        assert_packed(f, read, json, sizeof json);
        channel_mark_set(&f->target_marks, 0, read + 1);
    }
    assert_int_equal(most_waiting, 2);
    assert_true(counter_read(&counters->waited_for_room) > 0);
    assert_true(counter_read(&counters->waited_for_room) < 40);
    assert_int_equal(counter_read(&counters->messages), 40);
}

/* --- sleeping and waking --- */

struct encoder_thread {
    struct encoder_world *world;
    _Atomic bool stopping, ended;
};

static uint64_t monotonic(void *context)
{
    (void)context;
    return clock_monotonic_ns();
}

static void *work(void *context)
{
    struct encoder_thread *shared = context;
    struct encoder *encoder = shared->world->encoder;

    while (!atomic_load(&shared->stopping))
        if (!encoder_turn(encoder, monotonic, NULL))
            encoder_wait(encoder, 3600 * 1000);
    while (encoder_turn(encoder, monotonic, NULL))
        continue;
    atomic_store(&shared->ended, true);
    return NULL;
}

/* The encoder waits for up to an hour, so a lost wake-up would stop the test. */
static void no_wake_up_is_lost(void **state)
{
    struct encoder_world *f = *state;
    struct encoder_thread shared = {.world = f};
    pthread_t thread;
    char text[32];

    waker_end_sleep(&f->shard);
    waker_end_sleep(&f->ingest);
    channel_reader_join(f->target, 0);
    assert_int_equal(pthread_create(&thread, NULL, work, &shared), 0);
    for (uint64_t sequence = 1; sequence <= 20000; sequence++) {
        int length = snprintf(text, sizeof text, "message %u", (unsigned)sequence);

        while (append(f, sequence, text, (size_t)length) == -ENOSPC)
            sched_yield();
        waker_wake(encoder_waker(f->encoder), NULL);
        while (channel_head(f->target) < sequence)
            sched_yield();
        assert_payload(f, sequence, text, (size_t)length);
        channel_mark_set(&f->target_marks, 0, sequence + 1);
    }
    for (atomic_store(&shared.stopping, true); !atomic_load(&shared.ended); sched_yield())
        waker_wake(encoder_waker(f->encoder), NULL);
    pthread_join(thread, NULL);
}

#define TEST(name, setup) cmocka_unit_test_prestate_setup_teardown(name, set_up, tear_down, (void *)&(setup))

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(json_is_compressed_under_its_sequence_number, with_brotli),
        TEST(the_rest_is_passed_on, with_brotli),
        cmocka_unit_test(what_has_no_room_in_brotli_is_passed_on),
        TEST(an_encoding_encodes_passes_on_and_leaves_out, with_letters),
        TEST(messages_left_out_in_a_row_wake_the_readers_when_entries_run_short, with_letters),
        TEST(what_the_target_can_never_hold_becomes_a_gap, with_small_target),
        TEST(gaps_stay_gaps, with_brotli),
        TEST(the_source_waits_for_the_encoder_and_its_publisher_is_woken, with_brotli),
        TEST(nothing_is_lost_while_the_target_has_no_room, with_brotli),
        TEST(no_wake_up_is_lost, with_brotli),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

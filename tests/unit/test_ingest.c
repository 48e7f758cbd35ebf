/* The ingest on the simulated network: messages, copies, no room, time-outs, closes, reconnecting, TLS. */
#include "flashrelay/brotli_codec.h"
#include "flashrelay/log.h"
#include "flashrelay/random.h"
#include "flashrelay/ws_uri.h"
#include "support/ingest_world.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Long enough for all upstreams to connect, and for bytes that were sent to arrive. */
#define MOMENT (50 * NS_PER_MS)

static struct ingest_world *open_world(unsigned builders)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = builders});

    ingest_world_run(world, MOMENT);
    for (unsigned i = 0; i < builders; i++)
        assert_non_null(mock_builder_session(&world->builders[i]));
    return world;
}

static void assert_published(const struct ingest_world *world, size_t index, const void *bytes, size_t length)
{
    assert_true(index < world->published_count);
    assert_int_equal(world->published[index].length, length);
    assert_memory_equal(world->published[index].bytes, bytes, length);
}

static void assert_published_text(const struct ingest_world *world, size_t index, const char *text)
{
    assert_published(world, index, text, strlen(text));
}

static void fill(uint8_t *bytes, size_t length, uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_next(&random);
}

/* --- messages --- */

static void every_kind_of_message_is_published_as_it_came(void **state)
{
    struct ingest_world *world = open_world(1);
    struct mock_session *session = mock_builder_session(&world->builders[0]);
    uint8_t large[60000];

    (void)state;
    fill(large, sizeof large, 1);
    mock_builder_send_text(&world->builders[0], "{\"a\":1}");
    mock_builder_send(&world->builders[0], WS_BINARY, large, sizeof large);
    mock_builder_send(&world->builders[0], WS_TEXT, "", 0);
    mock_session_send_frame(session, WS_TEXT, false, "{\"b\"", 4);
    mock_session_send_frame(session, WS_PING, true, "between", 7);
    mock_session_send_frame(session, WS_CONTINUATION, false, "", 0);
    mock_session_send_frame(session, WS_CONTINUATION, true, ":2}", 3);
    mock_session_send_frame(session, WS_BINARY, false, "", 0);
    mock_session_send_frame(session, WS_CONTINUATION, true, "", 0);
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 5);
    assert_published_text(world, 0, "{\"a\":1}");
    assert_published(world, 1, large, sizeof large);
    assert_published(world, 2, "", 0);
    assert_published_text(world, 3, "{\"b\":2}");
    assert_published(world, 4, "", 0);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->messages), 5);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->bytes), 14 + sizeof large);
    assert_int_equal(counter_read(&ingest_counters_get(world->ingest)->published), 5);
    assert_int_equal(session->pong_length, 7);
    assert_memory_equal(session->pong, "between", 7);
    ingest_world_close(world);
}

/* --- copies from several upstreams --- */

static void the_first_arrival_wins_and_copies_are_counted(void **state)
{
    struct ingest_world *world = open_world(3);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        mock_builder_send_text(&world->builders[i], "{\"a\":1}");
        ingest_world_run(world, MOMENT);
    }
    mock_builder_send_text(&world->builders[2], "{\"a\":2}");
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 2);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->published_first), 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->duplicates), 0);
    assert_int_equal(counter_read(&ingest_world_counters(world, 1)->duplicates), 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 2)->duplicates), 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 2)->published_first), 1);
    assert_in_range(counter_read(&ingest_world_counters(world, 1)->behind_ns.maximum), MOMENT - NS_PER_MS, MOMENT + NS_PER_MS);
    assert_in_range(counter_read(&ingest_world_counters(world, 2)->behind_ns.maximum), 2 * MOMENT - NS_PER_MS,
                    2 * MOMENT + NS_PER_MS);
    ingest_world_close(world);
}

static void brotli_and_json_of_one_flashblock_are_the_same(void **state)
{
    static const char json[] = "{\"payload_id\":\"0x0123456789abcdef\",\"index\":0}";
    struct ingest_world *world = open_world(2);
    uint8_t packed[256];
    size_t length;

    (void)state;
    assert_int_equal(brotli_compress((const uint8_t *)json, sizeof json - 1, packed, sizeof packed, &length), 0);
    mock_builder_send(&world->builders[0], WS_BINARY, packed, length);
    ingest_world_run(world, MOMENT);
    mock_builder_send_text(&world->builders[1], json);
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 1);
    assert_published(world, 0, packed, length);
    assert_int_equal(counter_read(&ingest_world_counters(world, 1)->duplicates), 1);
    ingest_world_close(world);
}

static void what_one_connection_repeats_is_forwarded(void **state)
{
    struct ingest_world *world = open_world(2);

    (void)state;
    for (int i = 0; i < 3; i++)
        mock_builder_send_text(&world->builders[0], "{\"a\":1}");
    ingest_world_run(world, MOMENT);
    mock_builder_send_text(&world->builders[1], "{\"a\":1}");
    mock_builder_send_text(&world->builders[1], "{\"a\":1}");
    ingest_world_run(world, MOMENT);
    mock_builder_send_text(&world->builders[0], "{\"a\":1}");
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 4);
    assert_int_equal(counter_read(&ingest_world_counters(world, 1)->duplicates), 2);
    ingest_world_close(world);
}

static void what_was_brought_before_a_reconnect_is_a_copy_for_ten_seconds(void **state)
{
    struct ingest_world *world = open_world(1);

    (void)state;
    mock_builder_send_text(&world->builders[0], "{\"a\":1}");
    ingest_world_run(world, MOMENT);
    mock_builder_abort(&world->builders[0]);
    ingest_world_run(world, NS_PER_S);
    mock_builder_send_text(&world->builders[0], "{\"a\":1}");
    mock_builder_send_text(&world->builders[0], "{\"a\":2}");
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 2);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->duplicates), 1);
    ingest_world_run(world, 10 * NS_PER_S);
    mock_builder_send_text(&world->builders[0], "{\"a\":1}");
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 3);
    ingest_world_close(world);
}

/* --- JSON from brotli --- */

static void where_json_is_sent_brotli_is_unpacked(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .ingest = {.decompress = true}});
    char json[3000];
    uint8_t packed[4000];
    size_t length;

    (void)state;
    for (size_t i = 0; i < sizeof json; i++)
        json[i] = (char)(' ' + i * 7 % 90);
    json[0] = '{';
    ingest_world_run(world, MOMENT);
    assert_int_equal(brotli_compress((const uint8_t *)json, sizeof json, packed, sizeof packed, &length), 0);
    mock_builder_send(&world->builders[0], WS_BINARY, packed, length);
    mock_builder_send(&world->builders[0], WS_BINARY, "\xff\xfe no brotli", 12);
    mock_builder_send_text(&world->builders[0], "plain text");
    mock_builder_send(&world->builders[0], WS_BINARY, " \n{}", 4);
    mock_builder_send(&world->builders[0], WS_BINARY, "", 0);
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 4);
    assert_published(world, 0, json, sizeof json);
    assert_published_text(world, 1, "plain text");
    assert_published_text(world, 2, " \n{}");
    assert_published(world, 3, "", 0);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->invalid), 1);
    ingest_world_close(world);
}

/* Sends a message of `unpacked_bytes` spaces, compressed with brotli. */
static void send_packed_spaces(struct ingest_world *world, unsigned builder, size_t unpacked_bytes)
{
    uint8_t *spaces = malloc(unpacked_bytes), packed[4096];
    size_t length;

    memset(spaces, ' ', unpacked_bytes);
    assert_int_equal(brotli_compress(spaces, unpacked_bytes, packed, sizeof packed, &length), 0);
    mock_builder_send(&world->builders[builder], WS_BINARY, packed, length);
    free(spaces);
}

static void the_limit_of_messages_holds_for_what_is_in_them(void **state)
{
    enum { LIMIT = 70000 };

    (void)state;
    for (unsigned builders = 1; builders <= 2; builders++) {
        struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){
            .builders = builders, .ingest = {.decompress = builders == 1, .max_message_bytes = LIMIT}});

        ingest_world_run(world, MOMENT);
        send_packed_spaces(world, 0, LIMIT + 1);
        ingest_world_run(world, MOMENT);
        assert_int_equal(world->published_count, 0);
        assert_int_equal(counter_read(&ingest_world_counters(world, 0)->too_big), 1);
        assert_int_equal(counter_read(&ingest_world_counters(world, 0)->invalid), 0);
        send_packed_spaces(world, 0, LIMIT);
        ingest_world_run(world, MOMENT);
        assert_int_equal(world->published_count, 1);
        assert_int_equal(counter_read(&ingest_world_counters(world, 0)->connected), 1);
        ingest_world_close(world);
    }
}

/* --- floods --- */

/* A network whose connections hold much data in flight. */
#define WIDE                                                \
    {                                                       \
        .segment_max_bytes = 65536, .window_bytes = 4 << 20 \
    }

static void send_empty(struct ingest_world *world, unsigned builder, unsigned count)
{
    uint8_t *frames = malloc(2 * count);

    for (unsigned i = 0; i < count; i++)
        memcpy(frames + 2 * i, "\x82\x00", 2);
    mock_session_send(mock_builder_session(&world->builders[builder]), frames, 2 * count);
    free(frames);
}

/* Lets the bytes that the builders sent arrive; the ingest does not read them yet. */
static void let_arrive(struct ingest_world *world)
{
    for (unsigned i = 0; i < world->builder_count; i++)
        engine_turn(world->builders[i].engine, 0);
    sim_network_advance(world->network, sim_network_now(world->network) + MOMENT);
}

/* One turn of the ingest; returns how many messages it took from the builder. */
static unsigned take_turn(struct ingest_world *world, unsigned builder)
{
    uint64_t before = counter_read(&ingest_world_counters(world, builder)->messages);

    ingest_turn(world->ingest, CLOCK_NEVER);
    ingest_world_read_log(world);
    return (unsigned)(counter_read(&ingest_world_counters(world, builder)->messages) - before);
}

static void a_flood_leaves_others_their_turn(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 2, .network = WIDE});
    unsigned count = INGEST_MESSAGES_AT_ONCE, taken;

    (void)state;
    ingest_world_run(world, MOMENT);
    send_empty(world, 0, count);
    mock_builder_send_text(&world->builders[1], "{}");
    let_arrive(world);
    taken = take_turn(world, 0);
    assert_in_range(taken, 1, INGEST_FRAMES_PER_TURN);
    assert_int_equal(counter_read(&ingest_world_counters(world, 1)->messages), 1);
    while (taken < count) {
        unsigned more;

        assert_int_equal(ingest_next_deadline(world->ingest), 0); /* the ingest does not sleep before it took everything */
        more = take_turn(world, 0);
        assert_in_range(more, 1, INGEST_FRAMES_PER_TURN);
        taken += more;
    }
    ingest_world_close(world);
}

static void pings_count_as_well(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .network = WIDE});
    uint64_t sent;

    (void)state;
    ingest_world_run(world, MOMENT);
    for (unsigned i = 0; i < 2 * INGEST_FRAMES_PER_TURN; i++)
        mock_session_send(mock_builder_session(&world->builders[0]), "\x89\x00", 2);
    send_empty(world, 0, 1);
    ingest_world_run(world, 0);
    let_arrive(world);
    for (sent = 0; take_turn(world, 0) == 0; sent++)
        assert_true(sent < 100);
    assert_true(sent >= 2);
    ingest_world_close(world);
}

static void a_turn_unpacks_so_much_and_no_more(void **state)
{
    enum { BOMB = 1 << 20, BOMBS = 20 };
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){
        .builders = 1, .ingest = {.decompress = true, .max_message_bytes = BOMB}, .network = WIDE, .arena_bytes = 32 << 20});
    unsigned taken = 0;

    (void)state;
    ingest_world_run(world, MOMENT);
    for (unsigned i = 0; i < BOMBS; i++)
        send_packed_spaces(world, 0, BOMB);
    for (unsigned turn = 0; turn < BOMBS; turn++) {
        unsigned more;

        let_arrive(world);
        more = take_turn(world, 0);
        assert_true(more <= INGEST_UNPACKED_BYTES_PER_TURN / BOMB);
        taken += more;
    }
    assert_int_equal(taken, BOMBS);
    assert_int_equal(world->published_count, BOMBS);
    ingest_world_close(world);
}

/* How much was decompressed before the error is unknown, so the largest message is charged, which is more than a turn's budget here. */
static void what_is_no_brotli_costs_a_turn(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){
        .builders = 1, .ingest = {.decompress = true, .max_message_bytes = 16 << 20}, .network = WIDE, .arena_bytes = 32 << 20});

    (void)state;
    ingest_world_run(world, MOMENT);
    for (unsigned i = 0; i < 5; i++)
        mock_builder_send(&world->builders[0], WS_BINARY, "\xff\xfe no brotli", 12);
    for (unsigned turn = 0; turn < 10; turn++) {
        let_arrive(world);
        assert_true(take_turn(world, 0) <= 1);
    }
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->invalid), 5);
    ingest_world_close(world);
}

/* A builder sends faster than the ingest takes messages: the messages beyond the pace wait in the network, and none is lost. */
static void messages_are_taken_at_a_bounded_pace(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .network = WIDE});
    struct mock_session *session;
    unsigned count = INGEST_MESSAGES_AT_ONCE + INGEST_MESSAGES_PER_S;

    (void)state;
    ingest_world_run(world, MOMENT);
    session = mock_builder_session(&world->builders[0]);
    send_empty(world, 0, count);
    mock_session_send_frame(session, WS_PING, true, "behind", 6);
    mock_builder_send_text(&world->builders[0], "{}");
    ingest_world_run(world, MOMENT);
    assert_in_range(world->published_count, INGEST_MESSAGES_AT_ONCE, INGEST_MESSAGES_AT_ONCE + INGEST_MESSAGES_PER_S / 10);
    assert_int_equal(session->pongs, 0);
    ingest_world_run(world, 2 * NS_PER_S);
    assert_int_equal(world->published_count, count + 1);
    assert_published_text(world, count, "{}");
    assert_int_equal(session->pongs, 1);
    assert_int_equal(world->builders[0].count, 1);
    ingest_world_close(world);
}

/* The builder's pong arrives in time, but behind a flood, so it is read only after the time-out. */
static void a_pong_behind_a_flood_is_waited_for(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .network = WIDE});

    (void)state;
    ingest_world_run(world, 8 * NS_PER_S);
    world->builders[0].mute = true;
    send_empty(world, 0, INGEST_MESSAGES_AT_ONCE + 5 * INGEST_MESSAGES_PER_S);
    mock_session_send_frame(mock_builder_session(&world->builders[0]), WS_PONG, true, NULL, 0);
    ingest_world_run(world, 6 * NS_PER_S);
    world->builders[0].mute = false;
    ingest_world_run(world, 10 * NS_PER_S);
    assert_int_equal(world->builders[0].count, 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->pongs_missed), 0);
    ingest_world_close(world);
}

static void a_flood_is_no_sign_of_life(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .network = WIDE});

    (void)state;
    ingest_world_run(world, 8 * NS_PER_S);
    world->builders[0].mute = true;
    send_empty(world, 0, 20 * INGEST_MESSAGES_PER_S);
    ingest_world_run(world, 9 * NS_PER_S);
    assert_null(world->builders[0].sessions[0].connection);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->pongs_missed), 1);
    ingest_world_close(world);
}

static void an_end_behind_a_flood_is_seen(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .network = WIDE});
    unsigned count = 2 * INGEST_FRAMES_PER_TURN;

    (void)state;
    ingest_world_run(world, MOMENT);
    send_empty(world, 0, count);
    engine_finish(world->builders[0].engine, world->builders[0].sessions[0].connection);
    ingest_world_run(world, 2 * NS_PER_S);
    assert_int_equal(world->published_count, count);
    assert_int_equal(world->builders[0].count, 2);
    ingest_world_close(world);
}

static void stopping_within_a_flood_closes_in_order(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .network = WIDE});

    (void)state;
    ingest_world_run(world, MOMENT);
    send_empty(world, 0, 10 * INGEST_MESSAGES_PER_S);
    ingest_world_run(world, MOMENT);
    ingest_stop(world->ingest);
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->builders[0].sessions[0].close_code, WS_CLOSE_GOING_AWAY);
    assert_true(ingest_is_stopped(world->ingest)); /* without waiting for the time-out of the close */
    ingest_world_close(world);
}

/* --- no room in the log --- */

enum { ROOM = 64 << 10, PIECE = 20000 };

/* Sends message `number` of a builder: PIECE bytes that no other message has. */
static void send_piece(struct ingest_world *world, unsigned builder, unsigned number)
{
    uint8_t piece[PIECE];

    fill(piece, sizeof piece, builder * 1000 + number);
    mock_builder_send(&world->builders[builder], WS_BINARY, piece, sizeof piece);
}

static void send_pieces(struct ingest_world *world, unsigned builder, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        send_piece(world, builder, i);
}

/* A world with one builder whose fourth piece waits for room: the log holds three, and frees none as long as log_held is set. */
static struct ingest_world *open_with_a_waiting_message(void)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .arena_bytes = ROOM});

    ingest_world_run(world, MOMENT);
    world->log_held = true;
    send_pieces(world, 0, 4);
    ingest_world_run(world, MOMENT);
    assert_int_equal(counter_read(&ingest_counters_get(world->ingest)->waited_for_room), 1);
    return world;
}

static void assert_pieces(struct ingest_world *world, size_t index, unsigned builder, unsigned first, unsigned count)
{
    uint8_t piece[PIECE];

    for (unsigned i = 0; i < count; i++) {
        fill(piece, sizeof piece, builder * 1000 + first + i);
        assert_published(world, index + i, piece, sizeof piece);
    }
}

static void what_finds_no_room_waits_in_order(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 3, .arena_bytes = ROOM});

    (void)state;
    ingest_world_run(world, MOMENT);
    world->log_held = true;
    send_pieces(world, 0, 8);
    ingest_world_run(world, MOMENT);
    send_piece(world, 1, 0);
    ingest_world_run(world, MOMENT);
    mock_builder_send_text(&world->builders[2], "{}"); /* the log has room for it, but larger ones wait before it */
    ingest_world_run(world, MOMENT);
    assert_int_equal(channel_head(world->channel), 3);
    assert_int_equal(counter_read(&ingest_counters_get(world->ingest)->waited_for_room), 3);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->messages), 4); /* the others wait in the network */
    world->log_held = false;
    ingest_world_run(world, 4 * MOMENT);
    assert_int_equal(world->published_count, 10);
    assert_pieces(world, 0, 0, 0, 4);
    assert_pieces(world, 4, 1, 0, 1);
    assert_published_text(world, 5, "{}");
    assert_pieces(world, 6, 0, 4, 4);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->messages), 8);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->connected), 1);
    ingest_world_close(world);
}

/* For ten seconds the log has no room: the upstream is not given up, as its pong came but was not read. */
static void an_upstream_survives_a_long_time_without_room(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .arena_bytes = ROOM});

    (void)state;
    world->builders[0].mute = true;
    ingest_world_run(world, MOMENT);
    world->log_held = true;
    send_pieces(world, 0, 5);
    mock_session_send_frame(mock_builder_session(&world->builders[0]), WS_PONG, true, NULL, 0);
    world->builders[0].mute = false;
    ingest_world_run(world, 10 * NS_PER_S);
    world->log_held = false;
    ingest_world_run(world, 10 * NS_PER_S);
    assert_int_equal(world->published_count, 5);
    assert_pieces(world, 0, 0, 0, 5);
    assert_int_equal(world->builders[0].count, 1);
    ingest_world_close(world);
}

static void a_message_that_waits_outlives_its_connection(void **state)
{
    struct ingest_world *world = open_with_a_waiting_message();

    (void)state;
    sim_connection_reset(mock_builder_session(&world->builders[0])->connection);
    ingest_world_run(world, 5 * NS_PER_S);
    assert_int_equal(world->builders[0].count, 1); /* no new connection while the waiting message needs the buffer */
    world->log_held = false;
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 4);
    assert_pieces(world, 0, 0, 0, 4);
    assert_non_null(mock_builder_session(&world->builders[0]));
    ingest_world_close(world);
}

/* The memory that a large message touched in the buffer is given back, but not before the message is published. */
static void a_large_message_that_waits_outlives_its_connection(void **state)
{
    enum { LARGE = 3 << 20 };
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){
        .builders = 1, .arena_bytes = 2 * LARGE - 1, .ingest = {.max_message_bytes = LARGE}, .network = {.window_bytes = LARGE}});
    uint8_t *large = malloc(LARGE);

    (void)state;
    ingest_world_run(world, MOMENT);
    world->log_held = true;
    for (unsigned i = 0; i < 2; i++) {
        fill(large, LARGE, i);
        mock_builder_send(&world->builders[0], WS_BINARY, large, LARGE);
        ingest_world_run(world, NS_PER_S);
    }
    assert_int_equal(counter_read(&ingest_counters_get(world->ingest)->waited_for_room), 1);
    sim_connection_reset(mock_builder_session(&world->builders[0])->connection);
    ingest_world_run(world, NS_PER_S);
    world->log_held = false;
    ingest_world_run(world, NS_PER_S);
    assert_int_equal(world->published_count, 2);
    assert_published(world, 1, large, LARGE);
    free(large);
    ingest_world_close(world);
}

static void an_end_behind_a_message_that_waits_is_seen(void **state)
{
    struct ingest_world *world = open_with_a_waiting_message();

    (void)state;
    engine_finish(world->builders[0].engine, world->builders[0].sessions[0].connection);
    ingest_world_run(world, MOMENT);
    world->log_held = false;
    ingest_world_run(world, 2 * NS_PER_S);
    assert_int_equal(world->published_count, 4);
    assert_int_equal(world->builders[0].count, 2);
    ingest_world_close(world);
}

/* --- protocol errors and the end of connections --- */

static void assert_closed_with(struct ingest_world *world, uint16_t code)
{
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->builders[0].sessions[0].close_code, code);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->errors), 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->connected), 0);
    assert_int_equal(world->published_count, 0);
    ingest_world_run(world, 2 * NS_PER_S);
    assert_int_equal(world->builders[0].count, 2);
    mock_builder_send_text(&world->builders[0], "{}");
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->published_count, 1);
    ingest_world_close(world);
}

static void a_message_over_the_limit_is_closed_with_1009(void **state)
{
    struct ingest_world *world = open_world(1);
    struct mock_session *session = mock_builder_session(&world->builders[0]);

    (void)state;
    mock_session_send_frame(session, WS_BINARY, false, "begin", 5);
    mock_session_send(session, "\x80\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10); /* 64 KiB more */
    ingest_world_run(world, MOMENT);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->too_big), 1);
    assert_closed_with(world, WS_CLOSE_TOO_BIG);
}

static void protocol_errors_are_closed_with_1002(void **state)
{
    static const char *const frames[] = {"\xc1\x00", "\x83\x00", "\x81\x81mask.", "\x80\x00", "\x09\x00"};

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct ingest_world *world = open_world(1);

        mock_session_send(mock_builder_session(&world->builders[0]), frames[i], i == 2 ? 7 : 2);
        assert_closed_with(world, WS_CLOSE_PROTOCOL_ERROR);
    }
}

static void text_that_is_no_utf8_is_closed_with_1007(void **state)
{
    struct ingest_world *world = open_world(1);

    (void)state;
    mock_builder_send(&world->builders[0], WS_TEXT, "{\"\xc0\x80\"}", 6);
    assert_closed_with(world, WS_CLOSE_INVALID_PAYLOAD);
}

static void a_close_is_echoed(void **state)
{
    struct ingest_world *world = open_world(1);
    struct mock_session *session = mock_builder_session(&world->builders[0]);

    (void)state;
    mock_session_send_close(session, 4321);
    ingest_world_run(world, MOMENT);
    assert_int_equal(session->close_code, 4321);
    assert_null(session->connection);
    ingest_world_run(world, NS_PER_S);
    assert_int_equal(world->builders[0].count, 2);
    session = mock_builder_session(&world->builders[0]);
    mock_session_send_frame(session, WS_CLOSE, true, NULL, 0);
    ingest_world_run(world, MOMENT);
    assert_int_equal(session->close_code, WS_CLOSE_NO_STATUS);
    ingest_world_close(world);
}

static void an_upstream_that_does_not_answer_a_close_is_disconnected_after_a_second(void **state)
{
    struct ingest_world *world = open_world(1);

    (void)state;
    world->builders[0].clinging = true;
    mock_session_send(mock_builder_session(&world->builders[0]), "\x83\x00", 2);
    ingest_world_run(world, 900 * NS_PER_MS);
    assert_non_null(world->builders[0].sessions[0].connection);
    ingest_world_run(world, 200 * NS_PER_MS);
    assert_null(world->builders[0].sessions[0].connection);
    ingest_world_run(world, NS_PER_S);
    assert_int_equal(world->builders[0].count, 2);
    ingest_world_close(world);
}

static void half_a_message_is_forgotten_when_its_connection_ends(void **state)
{
    struct ingest_world *world = open_world(1);
    uint8_t half[5000];

    (void)state;
    fill(half, sizeof half, 9);
    for (unsigned round = 0; round < 3; round++) {
        struct mock_session *session = mock_builder_session(&world->builders[0]);

        mock_session_send_frame(session, WS_BINARY, false, half, sizeof half);
        mock_session_send(session, "\x80\x10only", 6);
        ingest_world_run(world, MOMENT);
        if (round == 0)
            mock_builder_abort(&world->builders[0]);
        else if (round == 1)
            engine_finish(world->builders[0].engine, session->connection);
        else
            sim_connection_reset(session->connection);
        ingest_world_run(world, 2 * NS_PER_S);
        mock_builder_send(&world->builders[0], WS_BINARY, &round, sizeof round);
        ingest_world_run(world, MOMENT);
        assert_int_equal(world->published_count, round + 1);
        assert_published(world, round, &round, sizeof round);
        assert_int_equal(counter_read(&ingest_world_counters(world, 0)->errors), round + 1);
    }
    ingest_world_close(world);
}

/* --- pings --- */

static void pings_come_at_once_and_then_every_interval(void **state)
{
    struct ingest_world *world = open_world(1);
    struct mock_session *session = mock_builder_session(&world->builders[0]);

    (void)state;
    assert_int_equal(session->pings, 1);
    assert_true(session->first_ping_ns - session->accepted_ns < 10 * NS_PER_MS);
    ingest_world_run(world, 20 * NS_PER_S);
    assert_in_range(session->pings, 10, 12);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->pings_sent), session->pings);
    assert_int_equal(world->builders[0].count, 1);
    ingest_world_close(world);
}

static void data_is_no_sign_of_life(void **state)
{
    struct ingest_world *world = open_world(1);

    (void)state;
    ingest_world_run(world, 8 * NS_PER_S);
    world->builders[0].mute = true;
    for (unsigned i = 0; i < 70 && mock_builder_session(&world->builders[0]); i++) {
        mock_builder_send(&world->builders[0], WS_BINARY, &i, sizeof i);
        ingest_world_run(world, 100 * NS_PER_MS);
    }
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->pongs_missed), 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->errors), 1);
    assert_true(world->published_count > 30);
    ingest_world_close(world);
}

static void the_first_pong_has_five_seconds(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1});
    struct mock_session *session = &world->builders[0].sessions[0];

    (void)state;
    world->builders[0].mute = true;
    ingest_world_run(world, 5 * NS_PER_S);
    assert_non_null(session->connection);
    ingest_world_run(world, MOMENT);
    assert_null(session->connection);
    ingest_world_close(world);
}

static void its_pings_are_answered_at_once(void **state)
{
    struct ingest_world *world = open_world(1);
    struct mock_session *session = mock_builder_session(&world->builders[0]);
    uint8_t payload[WS_MAX_CONTROL_BYTES];

    (void)state;
    fill(payload, sizeof payload, 3);
    for (size_t length = 0; length <= sizeof payload; length += 25) {
        mock_session_send_frame(session, WS_PING, true, payload, length);
        ingest_world_run(world, 5 * NS_PER_MS);
        assert_int_equal(session->pongs, length / 25 + 1);
        assert_int_equal(session->pong_length, length);
        assert_memory_equal(session->pong, payload, length);
    }
    ingest_world_close(world);
}

/* The builder sends pings and reads nothing: pongs to it must not pile up, and it is given up only because it answers no ping. */
static void check_pings_of_one_who_reads_nothing(struct ingest_world *world)
{
    struct mock_session *session;

    ingest_world_run(world, MOMENT);
    session = mock_builder_session(&world->builders[0]);
    sim_connection_stall(session->connection, true);
    for (size_t sent = 0; sent < 4000; sent++) {
        mock_session_send_frame(session, WS_PING, true, "0123456789", 10);
        if (sent % 100 == 0)
            ingest_world_run(world, 50 * NS_PER_MS);
    }
    ingest_world_run(world, MOMENT);
    assert_non_null(mock_builder_session(&world->builders[0]));
    ingest_world_run(world, 10 * NS_PER_S);
    assert_null(session->connection);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->pongs_missed), 1);
}

static void pings_of_one_who_reads_nothing_are_left_unanswered(void **state)
{
    struct ingest_world *world = ingest_world_open(
        &(struct ingest_world_options){.builders = 1, .network = {.window_bytes = 2000, .segment_max_bytes = 500}});

    (void)state;
    check_pings_of_one_who_reads_nothing(world);
    ingest_world_close(world);
}

/* A reader's waker that stalls the ingest thread which wakes it. */
struct stall {
    struct waker waker;
    struct ingest_world *world;
    bool happened;
};

/* Called within a turn, while a message is published: ten seconds pass, in which the second builder's pong arrives. */
static void stall_once(struct waker *waker, struct waker *from)
{
    struct stall *stall = (struct stall *)(void *)waker;
    struct mock_builder *builder = &stall->world->builders[1];

    (void)from;
    stall->happened = true;
    mock_session_send_frame(mock_builder_session(builder), WS_PONG, true, NULL, 0);
    engine_turn(builder->engine, 0);
    sim_network_advance(stall->world->network, sim_network_now(stall->world->network) + 10 * NS_PER_S);
}

static void an_upstream_that_answered_while_the_thread_stalled_is_kept(void **state)
{
    struct stall stall = {.happened = false};
    struct waker *wakers[] = {&stall.waker};

    (void)state;
    waker_init(&stall.waker, stall_once);
    stall.world =
        ingest_world_open(&(struct ingest_world_options){.builders = 2, .ingest = {.wakers = wakers, .waker_count = 1}});
    ingest_world_run(stall.world, MOMENT);
    stall.world->builders[1].mute = true;
    ingest_world_run(stall.world, 2500 * NS_PER_MS);
    waker_prepare_sleep(&stall.waker);
    mock_builder_send_text(&stall.world->builders[0], "{}");
    ingest_world_run(stall.world, 10 * NS_PER_S + MOMENT);
    assert_true(stall.happened);
    stall.world->builders[1].mute = false;
    ingest_world_run(stall.world, 10 * NS_PER_S);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(stall.world->builders[i].count, 1);
        assert_int_equal(counter_read(&ingest_world_counters(stall.world, i)->pongs_missed), 0);
    }
    ingest_world_close(stall.world);
}

/* --- connecting --- */

static void a_closed_port_is_tried_again_and_again_and_longer_each_time(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1, .listeners_missing = true});
    const struct upstream_counters *counters = ingest_world_counters(world, 0);

    (void)state;
    ingest_world_run(world, MOMENT);
    assert_int_equal(counter_read(&counters->attempts), 1);
    assert_int_equal(counter_read(&counters->failures), 1);
    assert_int_not_equal(ingest_down_since_ns(world->ingest), CLOCK_NEVER);
    ingest_world_run(world, 200 * NS_PER_S);
    assert_in_range(counter_read(&counters->attempts), 14, 32);
    assert_int_equal(counter_read(&counters->failures), counter_read(&counters->attempts));
    mock_builder_listen(&world->builders[0]);
    ingest_world_run(world, 20 * NS_PER_S + MOMENT);
    assert_non_null(mock_builder_session(&world->builders[0]));
    assert_int_equal(counter_read(&counters->successes), 1);
    assert_int_equal(counter_read(&counters->connected), 1);
    assert_int_equal(counter_read(&counters->errors), counter_read(&counters->failures));
    ingest_world_close(world);
}

/* The builder resets each connection after `alive_ns`, until `rounds` were accepted; returns the longest pause between two, in ms. */
static uint64_t longest_pause(uint64_t alive_ns, unsigned rounds)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1});
    struct mock_builder *builder = &world->builders[0];
    uint64_t longest = 0;

    while (builder->count < rounds) {
        ingest_world_run(world, NS_PER_MS);
        if (mock_builder_session(builder) &&
            sim_network_now(world->network) - mock_builder_session(builder)->accepted_ns > alive_ns)
            mock_builder_abort(builder);
    }
    for (unsigned i = 1; i < rounds; i++) {
        uint64_t pause = builder->sessions[i].accepted_ns - builder->sessions[i - 1].closed_ns;

        longest = pause > longest ? pause : longest;
    }
    ingest_world_close(world);
    return longest / NS_PER_MS;
}

static void only_a_stable_connection_resets_the_back_off(void **state)
{
    (void)state;
    assert_in_range(longest_pause(11 * NS_PER_S, 20), 250, 760);
    assert_in_range(longest_pause(1 * NS_PER_S, 20), 5000, 20010);
}

static void a_handshake_that_takes_too_long_is_given_up(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1});
    struct mock_builder *builder = &world->builders[0];

    (void)state;
    builder->silent = true;
    ingest_world_run(world, INGEST_CONNECT_TIMEOUT_NS - NS_PER_MS);
    assert_non_null(builder->sessions[0].connection);
    ingest_world_run(world, MOMENT);
    assert_null(builder->sessions[0].connection);
    builder->silent = false;
    ingest_world_run(world, NS_PER_S);
    assert_non_null(mock_builder_session(builder));
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->failures), 1);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->errors), 1);
    ingest_world_close(world);
}

static void a_refused_upgrade_is_a_failure(void **state)
{
    static char endless[9000];
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: bm8=\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n", endless};

    (void)state;
    memcpy(endless, "HTTP/1.1 101 Switching Protocols\r\nX: ", 37);
    memset(endless + 37, 'x', sizeof endless - 38);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 1});

        world->builders[0].answer = answers[i];
        ingest_world_run(world, MOMENT);
        assert_null(world->builders[0].sessions[0].connection);
        assert_int_equal(counter_read(&ingest_world_counters(world, 0)->failures), 1);
        world->builders[0].answer = NULL;
        ingest_world_run(world, NS_PER_S);
        assert_non_null(mock_builder_session(&world->builders[0]));
        ingest_world_close(world);
    }
}

static void down_since_counts_from_the_last_that_was_connected(void **state)
{
    struct ingest_world *world = open_world(2);

    (void)state;
    assert_int_equal(ingest_down_since_ns(world->ingest), 0);
    for (unsigned i = 0; i < 2; i++)
        world->builders[i].silent = true;
    mock_builder_abort(&world->builders[0]);
    ingest_world_run(world, MOMENT);
    assert_int_equal(ingest_down_since_ns(world->ingest), 0);
    mock_builder_abort(&world->builders[1]);
    ingest_world_run(world, NS_PER_S);
    assert_in_range(sim_network_now(world->network) - ingest_down_since_ns(world->ingest), NS_PER_S - 2 * NS_PER_MS, NS_PER_S);
    ingest_world_close(world);
}

/* --- the upgrade request and the log --- */

static void credentials_and_query_are_sent_and_never_logged(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){
        .builders = 1, .uris = {"ws://user:s3cret@10.0.0.1:1111/stream?token=s3cret"}, .listeners_missing = true});
    char path[] = "/tmp/flashrelay-log-XXXXXX", text[8192];
    int log = mkstemp(path);
    ssize_t length;

    (void)state;
    log_configure(LOG_TRACE, LOG_TEXT, log);
    ingest_world_run(world, MOMENT);
    mock_builder_listen(&world->builders[0]);
    ingest_world_run(world, NS_PER_S);
    assert_non_null(strstr(world->builders[0].sessions[0].head, "GET /stream?token=s3cret HTTP/1.1\r\n"));
    assert_non_null(strstr(world->builders[0].sessions[0].head, "\r\nAuthorization: Basic dXNlcjpzM2NyZXQ=\r\n"));
    mock_builder_send(&world->builders[0], WS_TEXT, "\xff", 1);
    ingest_world_run(world, 2 * NS_PER_S);
    mock_builder_abort(&world->builders[0]);
    ingest_world_run(world, NS_PER_S);
    log_configure(LOG_OFF, LOG_TEXT, STDERR_FILENO);
    length = pread(log, text, sizeof text - 1, 0);
    assert_true(length > 0);
    text[length] = 0;
    assert_non_null(strstr(text, "cannot connect to ws://10.0.0.1:1111/stream"));
    assert_non_null(strstr(text, "connected to ws://10.0.0.1:1111/stream at 10.0.0.1:1111"));
    assert_non_null(strstr(text, "closing ws://10.0.0.1:1111/stream with 1007"));
    assert_non_null(strstr(text, "lost ws://10.0.0.1:1111/stream"));
    assert_null(strstr(text, "s3cret"));
    assert_null(strstr(text, "dXNlcj"));
    close(log);
    unlink(path);
    ingest_world_close(world);
}

/* --- stopping --- */

static void stopping_closes_all_with_1001(void **state)
{
    struct ingest_world *world = open_world(4);

    (void)state;
    world->builders[2].clinging = true;
    mock_builder_abort(&world->builders[3]);
    ingest_world_run(world, 5 * NS_PER_MS);
    ingest_stop(world->ingest);
    ingest_world_run(world, MOMENT);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(world->builders[i].sessions[0].close_code, WS_CLOSE_GOING_AWAY);
    assert_false(ingest_is_stopped(world->ingest));
    ingest_world_run(world, NS_PER_S);
    assert_true(ingest_is_stopped(world->ingest));
    for (unsigned i = 0; i < 4; i++) {
        assert_null(world->builders[i].sessions[0].connection);
        assert_int_equal(counter_read(&ingest_world_counters(world, i)->errors), i == 3);
    }
    ingest_world_run(world, 60 * NS_PER_S);
    assert_int_equal(world->builders[3].count, 1);
    assert_int_equal(ingest_next_deadline(world->ingest), CLOCK_NEVER);
    ingest_world_close(world);
}

/* The turn after ingest_stop has no deadline, so a second turn might never come. */
static void stopping_with_nothing_open_ends_in_one_turn(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 2, .listeners_missing = true});

    (void)state;
    ingest_world_run(world, 100 * NS_PER_MS);
    ingest_stop(world->ingest);
    ingest_turn(world->ingest, CLOCK_NEVER);
    assert_true(ingest_is_stopped(world->ingest));
    ingest_world_close(world);
}

static void stopping_with_a_message_that_waits_ends_too(void **state)
{
    struct ingest_world *world = ingest_world_open(&(struct ingest_world_options){.builders = 2, .arena_bytes = ROOM});

    (void)state;
    ingest_world_run(world, MOMENT);
    world->log_held = true;
    for (unsigned i = 0; i < 5; i++)
        send_piece(world, i % 2, i);
    ingest_world_run(world, MOMENT);
    ingest_stop(world->ingest);
    ingest_world_run(world, 2 * NS_PER_S);
    assert_true(ingest_is_stopped(world->ingest));
    assert_int_equal(ingest_next_deadline(world->ingest), CLOCK_NEVER);
    ingest_world_close(world);
}

/* --- options --- */

static void bad_options_are_refused(void **state)
{
    struct ws_uri uri;
    const char *error;
    struct ingest *ingest;
    struct ingest_options options = {.upstreams = &uri,
                                     .upstream_count = 1,
                                     .max_message_bytes = 1000,
                                     .ping_interval_ns = NS_PER_S,
                                     .pong_timeout_ns = NS_PER_S,
                                     .ca_file = "/nonexistent/ca.pem"};

    (void)state;
    assert_int_equal(ws_uri_parse(&uri, "wss://builder.example", &error), 0);
    assert_int_equal(ingest_create(&ingest, &options), -EINVAL);
    options.ca_file = NULL;
    options.ping_interval_ns = 0;
    assert_int_equal(ingest_create(&ingest, &options), -EINVAL);
    options.ping_interval_ns = NS_PER_S;
    options.upstream_count = 0;
    assert_int_equal(ingest_create(&ingest, &options), -EINVAL);
    options.upstream_count = 1;
    assert_int_equal(ingest_create(&ingest, &options), 0);
    ingest_destroy(ingest);
    ws_uri_dispose(&uri);
}

/* --- TLS --- */

struct secure_world {
    struct ingest_world *world;
    struct authority authority;
    struct tls_server server;
    char ca_file[AUTHORITY_PATH_BYTES];
};

static struct secure_world open_secure_world(const char *alternative_names, size_t arena_bytes)
{
    struct secure_world secure;

    authority_init(&secure.authority);
    authority_write_file(&secure.authority, secure.ca_file);
    tls_server_init(&secure.server, &secure.authority, alternative_names, false);
    secure.world = ingest_world_open(&(struct ingest_world_options){
        .builders = 1, .uris = {"wss://10.0.0.1:1111"}, .ingest = {.ca_file = secure.ca_file}, .arena_bytes = arena_bytes});
    return secure;
}

static void close_secure_world(struct secure_world *secure)
{
    ingest_world_close(secure->world);
    tls_server_dispose(&secure->server);
    authority_dispose(&secure->authority);
    unlink(secure->ca_file);
}

/* Some TLS records hold several messages, some messages take several records; without room in the log both wait half-way. */
static void messages_come_through_tls_with_room_and_without(void **state)
{
    struct secure_world secure = open_secure_world("IP:10.0.0.1", ROOM);
    struct ingest_world *world = secure.world;
    char small[400];
    size_t length = 0;

    (void)state;
    world->builders[0].tls = &secure.server;
    ingest_world_run(world, MOMENT);
    assert_non_null(mock_builder_session(&world->builders[0]));
    world->log_held = true;
    send_pieces(world, 0, 5);
    for (unsigned i = 0; i < 50; i++)
        length += (size_t)snprintf(small + length, sizeof small - length, "\x82\x04%04u", i);
    mock_session_send(mock_builder_session(&world->builders[0]), small, length);
    ingest_world_run(world, 5 * NS_PER_S);
    world->log_held = false;
    ingest_world_run(world, NS_PER_S);
    assert_int_equal(world->published_count, 55);
    assert_pieces(world, 0, 0, 0, 5);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(small, sizeof small, "%04u", i);
        assert_published_text(world, 5 + i, small);
    }
    assert_int_equal(world->builders[0].count, 1);
    close_secure_world(&secure);
}

/* The log has room for a part of the 60 messages: reading stops at each that finds none, and later goes on within the same record. */
static void a_record_is_taken_up_again_after_each_message_that_waits(void **state)
{
    struct secure_world secure = open_secure_world("IP:10.0.0.1", 4096);
    struct ingest_world *world = secure.world;
    char text[16];
    size_t length = 0;
    uint8_t record[60 * 300];

    (void)state;
    world->builders[0].tls = &secure.server;
    ingest_world_run(world, MOMENT);
    for (unsigned i = 0; i < 60; i++) {
        length += (size_t)snprintf((char *)record + length, 5, "\x82\x7e\x01\x10");
        memset(record + length, (int)i, 272);
        length += 272;
    }
    world->log_held = true;
    mock_session_send(mock_builder_session(&world->builders[0]), record, length);
    for (unsigned i = 0; i < 60; i++) {
        world->log_held = false;
        ingest_world_read_log(world);
        world->log_held = true;
        ingest_world_run(world, 2 * NS_PER_MS);
    }
    world->log_held = false;
    ingest_world_run(world, NS_PER_S);
    assert_int_equal(world->published_count, 60);
    for (unsigned i = 0; i < 60; i++)
        assert_int_equal(world->published[i].bytes[271], i);
    assert_true(counter_read(&ingest_counters_get(world->ingest)->waited_for_room) > 2);
    snprintf(text, sizeof text, "{}");
    mock_builder_send_text(&world->builders[0], text);
    ingest_world_run(world, MOMENT);
    assert_published_text(world, 60, "{}");
    close_secure_world(&secure);
}

static void a_flood_through_tls_is_read_a_budget_at_a_time(void **state)
{
    struct secure_world secure = open_secure_world("IP:10.0.0.1", 0);
    struct ingest_world *world = secure.world;
    unsigned count = INGEST_MESSAGES_AT_ONCE, taken = 0;

    (void)state;
    world->builders[0].tls = &secure.server;
    ingest_world_run(world, MOMENT);
    send_empty(world, 0, count);
    let_arrive(world);
    while (taken < count) {
        unsigned more = take_turn(world, 0);

        assert_in_range(more, 1, INGEST_FRAMES_PER_TURN);
        taken += more;
    }
    send_empty(world, 0, 3 * INGEST_MESSAGES_PER_S);
    ingest_world_run(world, 5 * NS_PER_S);
    assert_int_equal(world->published_count, count + 3 * INGEST_MESSAGES_PER_S);
    assert_int_equal(world->builders[0].count, 1);
    close_secure_world(&secure);
}

static void tls_ends_and_failures(void **state)
{
    struct secure_world secure = open_secure_world("IP:10.0.0.1", 0);
    struct ingest_world *world = secure.world;

    (void)state;
    world->builders[0].tls = &secure.server;
    ingest_world_run(world, MOMENT);
    SSL_shutdown(secure.server.ssl);
    mock_session_queue_records(mock_builder_session(&world->builders[0]));
    ingest_world_run(world, NS_PER_S);
    assert_int_equal(world->builders[0].count, 2);
    mock_session_queue(mock_builder_session(&world->builders[0]), "this is no record", 17);
    ingest_world_run(world, 3 * NS_PER_S);
    assert_int_equal(world->builders[0].count, 3);
    assert_int_equal(counter_read(&ingest_world_counters(world, 0)->errors), 2);
    ingest_stop(world->ingest);
    ingest_world_run(world, MOMENT);
    assert_int_equal(world->builders[0].sessions[2].close_code, WS_CLOSE_GOING_AWAY);
    assert_true(ingest_is_stopped(world->ingest));
    close_secure_world(&secure);
}

static void pings_through_tls_of_one_who_reads_nothing(void **state)
{
    struct secure_world secure = open_secure_world("IP:10.0.0.1", 0);

    (void)state;
    secure.world->builders[0].tls = &secure.server;
    check_pings_of_one_who_reads_nothing(secure.world);
    close_secure_world(&secure);
}

static void a_certificate_for_another_address_is_refused(void **state)
{
    struct secure_world secure = open_secure_world("IP:10.0.0.2,DNS:10.0.0.1", 0);
    const struct upstream_counters *counters = ingest_world_counters(secure.world, 0);

    (void)state;
    secure.world->builders[0].tls = &secure.server;
    ingest_world_run(secure.world, NS_PER_S);
    assert_true(counter_read(&counters->failures) > 0);
    assert_int_equal(counter_read(&counters->successes), 0);
    assert_int_equal(secure.world->builders[0].sessions[0].head_length, 0);
    close_secure_world(&secure);
}

/* --- a random run --- */

/*
 * Three builders send the same 200 messages at random times. A builder may break the protocol instead, the network may reset connections,
 * and the log may be held. Each message is published at most once and whole; returns how many were published.
 */
static size_t run_at_random(uint64_t seed)
{
    struct ingest_world *world = ingest_world_open(
        &(struct ingest_world_options){.builders = 3,
                                       .arena_bytes = 16 << 10,
                                       .ingest = {.seed = seed, .max_message_bytes = 8 << 10, .max_backoff_ns = 2 * NS_PER_S},
                                       .network = {.seed = seed,
                                                   .delay_max_ns = 5 * NS_PER_MS,
                                                   .segment_max_bytes = 700,
                                                   .short_send_permille = 100,
                                                   .late_send_permille = 100,
                                                   .reset_permille_per_s = 20}});
    bool seen[200] = {false};
    struct random random;
    size_t count;

    random_seed(&random, seed);
    for (uint32_t number = 0; number < 200; number++) {
        size_t length = 4 + (size_t)random_below(&random, 7000);
        uint8_t message[8 << 10];

        fill(message, length, number);
        memcpy(message, &number, 4);
        for (unsigned i = 0; i < 3; i++) {
            struct mock_session *session = mock_builder_session(&world->builders[i]);

            if (!session)
                continue;
            if (random_below(&random, 100) == 0)
                mock_session_send(session, "\xff\xff", 2);
            else
                mock_session_send_frame(session, WS_BINARY, true, message, length);
        }
        if (random_below(&random, 20) == 0)
            world->log_held = !world->log_held;
        ingest_world_run(world, random_below(&random, 100 * NS_PER_MS));
    }
    world->log_held = false;
    ingest_world_run(world, 5 * NS_PER_S);
    count = world->published_count;
    for (size_t i = 0; i < count; i++) {
        uint8_t expected[8 << 10];
        uint32_t number;

        assert_true(world->published[i].length >= 4);
        memcpy(&number, world->published[i].bytes, 4);
        assert_true(number < 200 && !seen[number]);
        seen[number] = true;
        fill(expected, world->published[i].length, number);
        memcpy(expected, &number, 4);
        assert_memory_equal(world->published[i].bytes, expected, world->published[i].length);
    }
    ingest_world_close(world);
    return count;
}

static void at_random_every_message_is_published_once_and_whole(void **state)
{
    size_t published = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        published += run_at_random(seed);
    assert_true(published > 60 * 150);
}

static int set_up(void **state)
{
    (void)state;
    log_configure(LOG_OFF, LOG_TEXT, STDERR_FILENO);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_message_is_published_as_it_came),
        cmocka_unit_test(the_first_arrival_wins_and_copies_are_counted),
        cmocka_unit_test(brotli_and_json_of_one_flashblock_are_the_same),
        cmocka_unit_test(what_one_connection_repeats_is_forwarded),
        cmocka_unit_test(what_was_brought_before_a_reconnect_is_a_copy_for_ten_seconds),
        cmocka_unit_test(where_json_is_sent_brotli_is_unpacked),
        cmocka_unit_test(the_limit_of_messages_holds_for_what_is_in_them),
        cmocka_unit_test(a_flood_leaves_others_their_turn),
        cmocka_unit_test(pings_count_as_well),
        cmocka_unit_test(a_turn_unpacks_so_much_and_no_more),
        cmocka_unit_test(what_is_no_brotli_costs_a_turn),
        cmocka_unit_test(messages_are_taken_at_a_bounded_pace),
        cmocka_unit_test(a_pong_behind_a_flood_is_waited_for),
        cmocka_unit_test(a_flood_is_no_sign_of_life),
        cmocka_unit_test(an_end_behind_a_flood_is_seen),
        cmocka_unit_test(stopping_within_a_flood_closes_in_order),
        cmocka_unit_test(what_finds_no_room_waits_in_order),
        cmocka_unit_test(an_upstream_survives_a_long_time_without_room),
        cmocka_unit_test(a_message_that_waits_outlives_its_connection),
        cmocka_unit_test(a_large_message_that_waits_outlives_its_connection),
        cmocka_unit_test(an_end_behind_a_message_that_waits_is_seen),
        cmocka_unit_test(a_message_over_the_limit_is_closed_with_1009),
        cmocka_unit_test(protocol_errors_are_closed_with_1002),
        cmocka_unit_test(text_that_is_no_utf8_is_closed_with_1007),
        cmocka_unit_test(a_close_is_echoed),
        cmocka_unit_test(an_upstream_that_does_not_answer_a_close_is_disconnected_after_a_second),
        cmocka_unit_test(half_a_message_is_forgotten_when_its_connection_ends),
        cmocka_unit_test(pings_come_at_once_and_then_every_interval),
        cmocka_unit_test(data_is_no_sign_of_life),
        cmocka_unit_test(the_first_pong_has_five_seconds),
        cmocka_unit_test(its_pings_are_answered_at_once),
        cmocka_unit_test(pings_of_one_who_reads_nothing_are_left_unanswered),
        cmocka_unit_test(an_upstream_that_answered_while_the_thread_stalled_is_kept),
        cmocka_unit_test(a_closed_port_is_tried_again_and_again_and_longer_each_time),
        cmocka_unit_test(only_a_stable_connection_resets_the_back_off),
        cmocka_unit_test(a_handshake_that_takes_too_long_is_given_up),
        cmocka_unit_test(a_refused_upgrade_is_a_failure),
        cmocka_unit_test(down_since_counts_from_the_last_that_was_connected),
        cmocka_unit_test(credentials_and_query_are_sent_and_never_logged),
        cmocka_unit_test(stopping_closes_all_with_1001),
        cmocka_unit_test(stopping_with_nothing_open_ends_in_one_turn),
        cmocka_unit_test(stopping_with_a_message_that_waits_ends_too),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(messages_come_through_tls_with_room_and_without),
        cmocka_unit_test(a_record_is_taken_up_again_after_each_message_that_waits),
        cmocka_unit_test(a_flood_through_tls_is_read_a_budget_at_a_time),
        cmocka_unit_test(tls_ends_and_failures),
        cmocka_unit_test(pings_through_tls_of_one_who_reads_nothing),
        cmocka_unit_test(a_certificate_for_another_address_is_refused),
        cmocka_unit_test(at_random_every_message_is_published_once_and_whole),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}

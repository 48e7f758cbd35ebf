/* What a turn of a shard does at most, where thousands of subscribers are concerned at once: it leaves the others for its next turns. */
#include "flashrelay/clock.h"
#include "support/shard_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* MANY is more than a turn answers or cuts off, CROWD more than it checks for pinned frames. */
enum {
    MANY = 300,
    CROWD = 1100,
    FRAME_BYTES = 5000,
    ARENA_BYTES = 65536,
    SMALL_WINDOW = 4500,
    LARGE_WINDOW = 1 << 20,
    BEHIND = 5
};

static void request_together(struct shard_world *world, unsigned count)
{
    static const char request[] = "GET /ws HTTP/1.1\r\n" UPGRADE_HEADERS;
    unsigned first = world->client_count;

    for (unsigned i = 0; i < count; i++)
        mock_client_dial(world);
    shard_world_run(world, 5 * NS_PER_MS);
    for (unsigned i = first; i < world->client_count; i++) {
        mock_client_say(world, &world->clients[i], request, strlen(request));
        world->clients[i].first_sequence = world->sequence + 1;
    }
    shard_world_run(world, 5 * NS_PER_MS);
}

/* In groups, because the shard bounds the handshakes of one address. */
static struct shard_world *open_with_subscribers(struct shard_world_options options, unsigned count)
{
    struct shard_world *world = shard_world_open(options);

    while (world->client_count < count)
        request_together(world, count - world->client_count < MANY ? count - world->client_count : MANY);
    assert_int_equal(counter_read(&shard_world_counters(world)->active_connections), count);
    return world;
}

static void stall_all(struct shard_world *world)
{
    for (unsigned i = 0; i < world->client_count; i++)
        sim_connection_stall(world->clients[i].connection, true);
}

/* Publishes more than stalled subscribers may be behind; the shard finds that in its next turn. */
static void leave_all_behind(struct shard_world *world)
{
    stall_all(world);
    shard_world_publish(world, 2 * FRAME_BYTES);
    shard_world_run(world, 2 * SHARD_LAG_GRACE_NS);
    for (unsigned i = 0; i < BEHIND; i++)
        shard_world_publish(world, 10);
}

static void fill_log(struct shard_world *world)
{
    while (shard_world_try_publish(world, FRAME_BYTES) == 0)
        shard_world_run(world, 5 * NS_PER_MS);
}

/* Takes turns, without time passing, as long as the shard would not sleep; asserts that none ends all MANY subscribers for `cause`. */
static void assert_ends_all_in_several_turns(struct shard_world *world, enum disconnect_cause cause)
{
    uint64_t before = shard_world_disconnects(world, cause);

    assert_int_equal(before, 0);
    do {
        shard_turn(world->shard, 0);
        assert_in_range(shard_world_disconnects(world, cause) - before, 0, MANY - 1);
        before = shard_world_disconnects(world, cause);
    } while (shard_next_deadline(world->shard) <= sim_network_now(world->network));
    assert_int_equal(before, MANY);
}

static void a_turn_takes_a_bounded_number_of_answers(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.with_admission = true});
    const counter *active = &shard_world_counters(world)->active_connections;
    struct admission_request *request, *next;
    uint64_t before = 0;

    (void)state;
    world->admission_is_silent = true;
    request_together(world, MANY);
    for (request = admission_queue_take(&world->admission.requests); request; request = next) {
        next = request->next;
        request->verdict = ADMISSION_ADMITTED;
        admission_answer(&world->admission, request);
    }
    do {
        shard_turn(world->shard, 0);
        assert_in_range(counter_read(active) - before, 0, MANY - 1);
        before = counter_read(active);
    } while (shard_next_deadline(world->shard) == 0);
    assert_int_equal(before, MANY);
    shard_world_close(world);
}

static void a_turn_cuts_off_a_bounded_number_for_lag(void **state)
{
    const struct shard_world_options options = {.shard = {.message_buffer_size = BEHIND - 1}, .window_bytes = SMALL_WINDOW};
    struct shard_world *world = open_with_subscribers(options, MANY);

    (void)state;
    leave_all_behind(world);
    assert_ends_all_in_several_turns(world, DISCONNECT_LAGGED);
    shard_world_close(world);
}

static void a_turn_cuts_off_a_bounded_number_for_taking_nothing(void **state)
{
    const struct shard_world_options options = {.shard = {.client_send_timeout_ns = NS_PER_S}, .window_bytes = SMALL_WINDOW};
    struct shard_world *world = open_with_subscribers(options, MANY);

    (void)state;
    stall_all(world);
    shard_world_publish(world, 2 * FRAME_BYTES);
    shard_world_run(world, NS_PER_S / 2);
    sim_network_advance(world->network, sim_network_now(world->network) + NS_PER_S);
    assert_ends_all_in_several_turns(world, DISCONNECT_SEND_TIMEOUT);
    shard_world_close(world);
}

static void a_turn_cuts_off_a_bounded_number_below_the_floor(void **state)
{
    const struct shard_world_options options = {.arena_bytes = ARENA_BYTES, .window_bytes = SMALL_WINDOW};
    struct shard_world *world = open_with_subscribers(options, MANY);

    (void)state;
    stall_all(world);
    fill_log(world);
    assert_ends_all_in_several_turns(world, DISCONNECT_LOG_FLOOR);
    shard_world_close(world);
}

/* Vanished peers let go of nothing that was sent to them by reference, without ever refusing bytes. */
static void a_turn_cuts_off_a_bounded_number_for_pinned_frames(void **state)
{
    const struct shard_world_options options = {
        .arena_bytes = ARENA_BYTES, .window_bytes = LARGE_WINDOW, .zerocopy_permille = 1000};
    struct shard_world *world = open_with_subscribers(options, MANY);

    (void)state;
    for (unsigned i = 0; i < MANY; i++)
        sim_connection_vanish(world->clients[i].connection);
    fill_log(world);
    assert_ends_all_in_several_turns(world, DISCONNECT_LOG_FLOOR);
    shard_world_close(world);
}

/* Subscribers that were cut off for lag still hold the frame in flight when the floor rises above it. */
static void a_turn_aborts_a_bounded_number_of_closing_subscribers(void **state)
{
    const struct shard_world_options options = {
        .shard = {.message_buffer_size = 2}, .arena_bytes = ARENA_BYTES, .window_bytes = SMALL_WINDOW};
    struct shard_world *world = open_with_subscribers(options, MANY);
    const counter *closed = &shard_world_counters(world)->closed_connections;
    uint64_t before = 0;

    (void)state;
    leave_all_behind(world);
    shard_world_run(world, NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LAGGED), MANY);
    assert_int_equal(counter_read(closed), 0);
    while (shard_world_try_publish(world, FRAME_BYTES) == 0)
        ;
    do {
        shard_turn(world->shard, 0);
        assert_in_range(counter_read(closed) - before, 0, MANY - 1);
        before = counter_read(closed);
    } while (engine_sim_is_due(world->engine));
    assert_int_equal(before, MANY);
    shard_world_close(world);
}

/* Of the subscribers only the last one, which has vanished, keeps a frame pinned. */
static void a_turn_checks_a_bounded_number_for_pinned_frames(void **state)
{
    const struct shard_world_options options = {
        .arena_bytes = ARENA_BYTES, .window_bytes = LARGE_WINDOW, .zerocopy_permille = 1000};
    struct shard_world *world = open_with_subscribers(options, CROWD);

    (void)state;
    sim_connection_vanish(world->clients[CROWD - 1].connection);
    fill_log(world);
    shard_turn(world->shard, 0);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LOG_FLOOR), 0);
    assert_true(shard_next_deadline(world->shard) <= sim_network_now(world->network));
    shard_turn(world->shard, 0);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LOG_FLOOR), 1);
    shard_world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_takes_a_bounded_number_of_answers),
        cmocka_unit_test(a_turn_cuts_off_a_bounded_number_for_lag),
        cmocka_unit_test(a_turn_cuts_off_a_bounded_number_for_taking_nothing),
        cmocka_unit_test(a_turn_cuts_off_a_bounded_number_below_the_floor),
        cmocka_unit_test(a_turn_cuts_off_a_bounded_number_for_pinned_frames),
        cmocka_unit_test(a_turn_aborts_a_bounded_number_of_closing_subscribers),
        cmocka_unit_test(a_turn_checks_a_bounded_number_for_pinned_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

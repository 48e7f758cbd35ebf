/* What only the epoll engine has: how few system calls it makes, and its deadlines. */
#include "engine/epoll/epoll.h"
#include "flashrelay/clock.h"
#include "support/engine_world.h"
#include "support/ignored_events.h"
#include "support/peer.h"
#include "support/skip.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

static const struct engine_options defaults;

/* The number of system calls so far, without the one per turn and the one per send. */
static uint64_t other_system_calls(const struct engine_world *world)
{
    const struct engine_counters *counters = &world->engine->counters;

    return counter_read(&counters->system_calls) - counter_read(&counters->turns) - counter_read(&counters->sends);
}

/* Pending are frames, control bytes, more frames that do not follow the first ones in the log, and more control bytes. */
static void all_that_is_pending_is_one_send(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    uint8_t bytes[5];

    (void)state;
    for (uint64_t sequence = 1; sequence <= 5; sequence++)
        engine_world_append(world, sequence, 1000);
    engine_world_send_frames(world, 0, 1, 3);
    engine_world_send_text(world, 0, "pong");
    engine_world_send_frames(world, 0, 4, 6);
    engine_world_send_text(world, 0, "close");
    ENGINE_WORLD_UNTIL(world, world->ends[0].sent_frames == 4);
    assert_int_equal(counter_read(&world->engine->counters.sends), 1);
    assert_int_equal(world->ends[0].progresses, 1);
    assert_int_equal(world->ends[0].connection->extent_count, 0);
    peer_read_frame(world, peer, 1, 1000);
    peer_read_frame(world, peer, 2, 1000);
    peer_read(world, peer, bytes, 4);
    assert_memory_equal(bytes, "pong", 4);
    peer_read_frame(world, peer, 4, 1000);
    peer_read_frame(world, peer, 5, 1000);
    peer_read(world, peer, bytes, 5);
    assert_memory_equal(bytes, "close", 5);
    close(peer);
    engine_world_close(world);
}

static void waiting_for_room_is_no_system_call(void **state)
{
    enum { FRAMES = 40, PAYLOAD = 50000 };
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 4096);
    uint64_t before;

    (void)state;
    engine_world_settle(world);
    before = other_system_calls(world);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        engine_world_append(world, sequence, PAYLOAD);
    engine_world_send_frames(world, 0, 1, FRAMES + 1);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        peer_read_frame(world, peer, sequence, PAYLOAD);
    assert_true(counter_read(&world->engine->counters.blocked) > 10);
    assert_int_equal(other_system_calls(world), before);
    close(peer);
    engine_world_close(world);
}

static void a_message_is_one_read(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    uint64_t before;

    (void)state;
    engine_world_settle(world);
    before = other_system_calls(world);
    for (unsigned i = 1; i <= 10; i++) {
        peer_write(peer, "hello", 5);
        ENGINE_WORLD_UNTIL(world, world->ends[0].received_bytes == (size_t)5 * i);
        engine_world_settle(world);
        assert_int_equal(other_system_calls(world), before + i);
    }
    close(peer);
    engine_world_close(world);
}

/* A peer that sent more than its share of a turn is read to the end without another event. */
static void what_exceeds_a_share_is_read_in_later_turns(void **state)
{
    enum { LENGTH = 4000 };
    struct engine_options options = {.receive_buffers = 16};
    struct engine_world *world = engine_world_open(&options);
    int peer = peer_open(world, 0);
    uint8_t bytes[LENGTH] = {7};
    uint64_t sent_ns;

    (void)state;
    engine_world_settle(world);
    sent_ns = engine_now(world->engine);
    peer_write(peer, bytes, sizeof bytes);
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(engine_turn(world->engine, CLOCK_NEVER) < sent_ns); /* not all that had arrived by then is reported yet */
        assert_int_equal(world->ends[0].received_bytes, 1024 * i);
    }
    assert_true(engine_turn(world->engine, CLOCK_NEVER) >= sent_ns);
    assert_int_equal(world->ends[0].received_bytes, LENGTH);
    close(peer);
    engine_world_close(world);
}

/* Two peers sent more than their share. The first one's connection is aborted and a third peer takes its slot; the second is read on. */
static void a_connection_that_ends_while_it_waits_keeps_no_other_from_being_read(void **state)
{
    enum { LENGTH = 4000 };
    struct engine_options options = {.receive_buffers = 16, .max_connections = 2};
    struct engine_world *world = engine_world_open(&options);
    int first = peer_open(world, 0), second = peer_open(world, 0), third = peer_connect(world, 0);
    uint8_t bytes[LENGTH] = {7};

    (void)state;
    engine_world_settle(world);
    peer_write(first, bytes, sizeof bytes);
    peer_write(second, bytes, sizeof bytes);
    engine_turn(world->engine, CLOCK_NEVER);
    engine_turn(world->engine, CLOCK_NEVER);
    assert_true(world->ends[0].received_bytes < LENGTH);
    engine_abort(world->engine, world->ends[0].connection);
    ENGINE_WORLD_UNTIL(world, world->end_count == 3);
    ENGINE_WORLD_UNTIL(world, world->ends[1].received_bytes == LENGTH);
    peer_write(third, "me", 2);
    ENGINE_WORLD_UNTIL(world, world->ends[2].received_bytes == 2);
    close(first);
    close(second);
    close(third);
    engine_world_close(world);
}

/* A turn sleeps at least until its deadline; without `has_epoll_pwait2` the engine can wait for whole milliseconds only. */
static void assert_turns_sleep_until_their_deadline(bool has_epoll_pwait2)
{
    static const struct engine_handler handler = {.woken = ignore_woken};
    const struct engine_options options = {
        .handler = &handler, .max_connections = 1, .receive_buffers = 1, .receive_buffer_bytes = 1, .sends_per_turn = 1};
    struct engine *engine;

    assert_int_equal(epoll_engine_create(&engine, &options, has_epoll_pwait2), 0);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t deadline_ns = engine_now(engine) + 300 * NS_PER_US;

        assert_true(engine_turn(engine, deadline_ns) >= deadline_ns);
    }
    engine_destroy(engine);
}

static void a_sleep_lasts_until_its_deadline(void **state)
{
    const struct timespec none = {0};
    struct epoll_event event;

    (void)state;
    if (epoll_pwait2(-1, &event, 1, &none, NULL) < 0 && errno == ENOSYS)
        skip_because("this system has no epoll_pwait2");
    assert_turns_sleep_until_their_deadline(true);
}

static void without_nanoseconds_a_sleep_lasts_at_least_as_long(void **state)
{
    (void)state;
    assert_turns_sleep_until_their_deadline(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_that_is_pending_is_one_send),
        cmocka_unit_test(waiting_for_room_is_no_system_call),
        cmocka_unit_test(a_message_is_one_read),
        cmocka_unit_test(what_exceeds_a_share_is_read_in_later_turns),
        cmocka_unit_test(a_connection_that_ends_while_it_waits_keeps_no_other_from_being_read),
        cmocka_unit_test(a_sleep_lasts_until_its_deadline),
        cmocka_unit_test(without_nanoseconds_a_sleep_lasts_at_least_as_long),
    };

    return engine_world_run_kind("epoll", tests, sizeof tests / sizeof tests[0]);
}

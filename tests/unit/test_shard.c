#include "flashrelay/random.h"
#include "support/shard_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct shard_options with_lag_policy(void)
{
    return (struct shard_options){.message_buffer_size = 20, .client_send_timeout_ns = NS_PER_S};
}

static void assert_has_all(const struct shard_world *world, const struct mock_client *client)
{
    assert_int_equal(client->bad_bytes, 0);
    assert_int_equal(client->messages, world->sequence + 1 - client->first_sequence);
    assert_int_equal(client->message_bytes, 0);
}

static void assert_everybody_has_all(const struct shard_world *world)
{
    for (unsigned i = 0; i < world->client_count; i++)
        assert_has_all(world, &world->clients[i]);
}

static void subscribe(struct shard_world *world, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        mock_client_subscribe(world);
}

static uint64_t tail_of(struct shard_world *world)
{
    struct channel_figures figures;

    channel_reclaim(world->channel);
    channel_figures_get(world->channel, &figures);
    return figures.tail;
}

/* Makes a subscriber's socket take nothing more, or go on. */
static void stall(struct mock_client *client, bool stalled)
{
    sim_connection_stall(client->connection, stalled);
}

/* --- fan-out --- */

static void everybody_gets_everything_from_when_they_came(void **state)
{
    const struct shard_world_options options = {.shard = with_lag_policy(),
                                                .jitter = true,
                                                .window_bytes = 3000,
                                                .sends_per_turn = 7,
                                                .short_send_permille = 200,
                                                .late_send_permille = 200,
                                                .zerocopy_permille = 200};
    struct shard_world *world = shard_world_open(options);
    struct random random;

    (void)state;
    random_seed(&random, 1);
    for (unsigned i = 0; i < 300; i++) {
        if (i % 10 == 0)
            mock_client_subscribe(world);
        shard_world_publish(world, (uint32_t)random_below(&random, 4000));
        shard_world_run(world, random_below(&random, 4 * NS_PER_MS));
    }
    shard_world_run(world, NS_PER_S);
    assert_everybody_has_all(world);
    assert_int_equal(counter_read(&shard_world_counters(world)->active_connections), 30);
    assert_int_equal(counter_read(&shard_world_counters(world)->failed_messages), 0);
    shard_world_close(world);
}

static void what_is_sent_is_counted(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy()});

    (void)state;
    subscribe(world, 3);
    shard_world_publish(world, 1000);
    shard_world_publish(world, 0);
    shard_world_publish(world, 500);
    shard_world_run(world, 100 * NS_PER_MS);
    assert_int_equal(counter_read(&shard_world_counters(world)->sent_messages), 9);
    assert_int_equal(counter_read(&shard_world_counters(world)->sent_bytes), 3 * 1500);
    assert_int_equal(histogram_count(&shard_world_counters(world)->send_ns), 9);
    assert_int_equal(histogram_count(&shard_world_counters(world)->first_send_ns), 3);
    assert_int_equal(histogram_count(&shard_world_counters(world)->last_send_ns), 3);
    assert_int_equal(histogram_count(&shard_world_counters(world)->spread_ns), 3);
    assert_int_equal(counter_read(&shard_world_counters(world)->backlog_frames), 0);
    shard_world_close(world);
}

static void a_burst_costs_no_reader_its_connection(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy(), .window_bytes = 4000});

    (void)state;
    subscribe(world, 50);
    for (unsigned burst = 0; burst < 5; burst++) {
        for (unsigned i = 0; i < 100; i++) {
            shard_world_publish(world, 1500);
            shard_world_run(world, 10 * NS_PER_US);
        }
        shard_world_run(world, 200 * NS_PER_MS);
    }
    assert_everybody_has_all(world);
    shard_world_close(world);
}

static void nothing_is_freed_before_it_was_offered_to_all(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy(), .sends_per_turn = 2});

    (void)state;
    subscribe(world, 20);
    shard_world_publish(world, 1000);
    for (unsigned turn = 0; turn < 9; turn++) {
        shard_turn(world->shard, 0);
        assert_int_equal(tail_of(world), 1);
        assert_int_equal(counter_read(&shard_world_counters(world)->backlog_frames), 1);
        assert_int_equal(shard_next_deadline(world->shard), 0);
    }
    shard_world_run(world, 100 * NS_PER_MS);
    assert_int_equal(tail_of(world), 2);
    assert_int_equal(counter_read(&shard_world_counters(world)->backlog_frames), 0);
    assert_everybody_has_all(world);
    shard_world_close(world);
}

static void a_subscriber_that_leaves_within_a_round_costs_no_other_a_message(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy(), .sends_per_turn = 1});

    (void)state;
    subscribe(world, 40);
    shard_world_publish(world, 100);
    for (unsigned i = 0; i < 20; i++) {
        shard_turn(world->shard, 0);
        engine_abort(world->outside, world->clients[2 * i].connection);
        engine_turn(world->outside, 0);
    }
    shard_world_publish(world, 100);
    shard_world_run(world, 100 * NS_PER_MS);
    for (unsigned i = 0; i < 20; i++)
        assert_has_all(world, &world->clients[2 * i + 1]);
    assert_int_equal(tail_of(world), 3);
    shard_world_close(world);
}

static void without_subscribers_nothing_is_held(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy(), .arena_bytes = 65536});
    struct mock_client *client;

    (void)state;
    for (unsigned i = 0; i < 200; i++)
        shard_world_publish(world, 4000);
    client = mock_client_subscribe(world);
    shard_world_publish(world, 4000);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_has_all(world, client);
    engine_abort(world->outside, client->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    for (unsigned i = 0; i < 200; i++)
        shard_world_publish(world, 4000);
    client = mock_client_subscribe(world);
    shard_world_publish(world, 4000);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_has_all(world, client);
    shard_world_close(world);
}

/* --- lag --- */

static void a_subscriber_that_refuses_bytes_is_cut_off_when_too_far_behind(void **state)
{
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.shard = {.message_buffer_size = 20}, .window_bytes = 4500});
    struct mock_client *reader = mock_client_subscribe(world), *refuser = mock_client_subscribe(world);

    (void)state;
    stall(refuser, true);
    for (unsigned i = 0; i < 24; i++) { /* the window takes four messages and a part of the fifth */
        shard_world_publish(world, 1000);
        shard_world_run(world, 50 * NS_PER_MS);
    }
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LAGGED), 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->blocked_subscribers), 1);
    shard_world_publish(world, 1000);
    shard_world_publish(world, 1000);
    shard_world_run(world, 50 * NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LAGGED), 1);
    assert_int_equal(counter_read(&shard_world_counters(world)->blocked_subscribers), 0);
    stall(refuser, false);
    shard_world_run(world, 50 * NS_PER_MS);
    assert_int_equal(refuser->bad_bytes, 0);
    assert_int_equal(refuser->messages, 5);
    assert_int_equal(refuser->close_code, WS_CLOSE_TRY_AGAIN_LATER);
    assert_true(strlen(refuser->close_reason) > 0);
    assert_true(refuser->closed);
    assert_has_all(world, reader);
    assert_int_equal(counter_read(&shard_world_counters(world)->sent_messages) +
                         counter_read(&shard_world_counters(world)->failed_messages),
                     2 * world->sequence);
    assert_int_equal(tail_of(world), world->sequence + 1);
    shard_world_close(world);
}

/* The publisher raises the floor while the shard is awake, after the shard has looked at it: the shard is not woken, and must not sleep. */
static void a_floor_that_rises_before_the_sleep_is_not_slept_over(void **state)
{
    enum { PATIENCE_MS = 5000 };
    struct shard_world *world = shard_world_open((struct shard_world_options){.arena_bytes = 65536, .window_bytes = 4500});
    struct mock_client *refuser;
    unsigned ms;

    (void)state;
    mock_client_subscribe(world);
    refuser = mock_client_subscribe(world);
    stall(refuser, true);
    while (shard_world_try_publish(world, 5000) == 0)
        shard_world_run(world, 5 * NS_PER_MS);
    for (ms = 0; ms < PATIENCE_MS && shard_world_try_publish(world, 5000) != 0; ms++) {
        sim_network_advance(world->network, sim_network_now(world->network) + NS_PER_MS);
        engine_turn(world->outside, 0);
        if (engine_sim_is_due(world->engine) || shard_next_deadline(world->shard) <= sim_network_now(world->network))
            shard_turn(world->shard, CLOCK_NEVER);
    }
    assert_true(ms < PATIENCE_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LOG_FLOOR), 1);
    shard_world_close(world);
}

static void numbers_without_a_frame_are_no_failed_messages(void **state)
{
    enum { MESSAGES = 10 };
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 4500});
    struct mock_client *refuser = mock_client_subscribe(world);

    (void)state;
    stall(refuser, true);
    for (unsigned i = 0; i < MESSAGES; i++) {
        world->sequence += 7;
        shard_world_publish(world, 1000);
        shard_world_run(world, NS_PER_MS);
    }
    engine_abort(world->outside, refuser->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_in_range(counter_read(&shard_world_counters(world)->failed_messages), 1, MESSAGES);
    assert_int_equal(counter_read(&shard_world_counters(world)->sent_messages) +
                         counter_read(&shard_world_counters(world)->failed_messages),
                     MESSAGES);
    shard_world_close(world);
}

static void a_subscriber_that_takes_nothing_for_too_long_is_cut_off(void **state)
{
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.shard = {.client_send_timeout_ns = NS_PER_S}, .window_bytes = 4500});
    struct mock_client *refuser = mock_client_subscribe(world);

    (void)state;
    stall(refuser, true);
    shard_world_publish(world, 10000);
    shard_world_run(world, 900 * NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_SEND_TIMEOUT), 0);
    shard_world_run(world, 200 * NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_SEND_TIMEOUT), 1);
    assert_int_equal(tail_of(world), 1); /* the frame in flight may still complete */
    shard_world_run(world, SHARD_CLOSE_TIMEOUT_NS);
    assert_int_equal(tail_of(world), 2);
    assert_true(refuser->closed);
    assert_int_not_equal(refuser->close_error, 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->closed_connections), 1);
    shard_world_close(world);
}

static void a_subscriber_that_takes_a_little_now_and_then_may_stay(void **state)
{
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.shard = {.client_send_timeout_ns = NS_PER_S}, .window_bytes = 4500});
    struct mock_client *slow = mock_client_subscribe(world);

    (void)state;
    shard_world_publish(world, 100000);
    for (unsigned i = 0; i < 12; i++) {
        stall(slow, true);
        shard_world_run(world, 800 * NS_PER_MS);
        stall(slow, false);
        shard_world_run(world, NS_PER_MS);
    }
    stall(slow, false);
    shard_world_run(world, NS_PER_S);
    assert_has_all(world, slow);
    shard_world_close(world);
}

static void a_full_log_ends_who_refuses_and_nobody_else(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.arena_bytes = 65536, .window_bytes = 4500});
    struct mock_client *reader = mock_client_subscribe(world), *refuser = mock_client_subscribe(world);
    unsigned refused = 0;

    (void)state;
    stall(refuser, true);
    for (unsigned i = 0; i < 100; i++) {
        while (shard_world_try_publish(world, 5000) != 0) {
            refused++;
            shard_world_run(world, NS_PER_MS);
        }
        shard_world_run(world, 5 * NS_PER_MS);
    }
    assert_int_equal(refused, 1);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LOG_FLOOR), 1);
    assert_true(refuser->closed);
    assert_has_all(world, reader);
    shard_world_close(world);
}

/* The subscriber refuses pongs. Frames below the floor were not offered to it yet; when they are, it may read again. */
static void a_subscriber_that_refuses_nothing_below_the_floor_stays(void **state)
{
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.arena_bytes = 65536, .window_bytes = 4500, .sends_per_turn = 1});
    struct mock_client *refuser = mock_client_subscribe(world);
    char payload[100] = {0};

    (void)state;
    for (unsigned i = 1; i < 20; i++)
        mock_client_subscribe(world);
    stall(refuser, true);
    for (unsigned i = 0; i < 50; i++) {
        mock_client_say_frame(world, refuser, WS_PING, payload, sizeof payload);
        shard_world_run(world, NS_PER_MS);
    }
    assert_int_equal(counter_read(&shard_world_counters(world)->blocked_subscribers), 1);
    while (shard_world_try_publish(world, 4000) == 0)
        ;
    shard_turn(world->shard, 0);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LOG_FLOOR), 0);
    stall(refuser, false);
    while (engine_sim_is_due(world->outside))
        engine_turn(world->outside, 0);
    sim_network_advance(world->network, sim_network_now(world->network) + NS_PER_MS);
    shard_world_run(world, 100 * NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LOG_FLOOR), 0);
    assert_has_all(world, refuser);
    shard_world_close(world);
}

static void what_was_not_offered_yet_is_no_ones_lag(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){
        .shard = with_lag_policy(), .arena_bytes = 65536, .window_bytes = 65536, .sends_per_turn = 1});
    unsigned refused = 0;

    (void)state;
    subscribe(world, 20);
    for (unsigned i = 0; i < 200; i++) {
        while (shard_world_try_publish(world, 3000) != 0) {
            refused++;
            shard_world_run(world, 100 * NS_PER_US);
        }
    }
    shard_world_run(world, NS_PER_S);
    assert_true(refused > 0);
    assert_everybody_has_all(world);
    shard_world_close(world);
}

/* --- a thread that is held up within a turn --- */

/* A health handler that takes 10 s, during which the shard's thread is held up. */
static int stall_thread(void *context, char *body, size_t capacity)
{
    struct shard_world **world = context;

    (void)body;
    (void)capacity;
    sim_network_advance((*world)->network, sim_network_now((*world)->network) + 10 * NS_PER_S);
    return 200;
}

/* Makes the shard's next turn take 10 s: a client asks for /healthz, which stall_thread answers. */
static void let_next_turn_stall(struct shard_world *world)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n";
    struct mock_client *asker = mock_client_dial(world);

    shard_world_run(world, 5 * NS_PER_MS);
    mock_client_say(world, asker, request, strlen(request));
    engine_turn(world->outside, 0);
    sim_network_advance(world->network, sim_network_now(world->network) + NS_PER_MS);
}

static void a_subscriber_that_opens_in_a_turn_that_stalls_has_time_to_answer(void **state)
{
    struct shard_world *world;
    struct shard_options options = {.client_ping = true,
                                    .client_ping_interval_ns = 500 * NS_PER_MS,
                                    .client_pong_timeout_ns = NS_PER_S,
                                    .health = stall_thread,
                                    .health_context = &world};
    struct admission_request *request;
    struct mock_client *client;

    (void)state;
    world = shard_world_open((struct shard_world_options){.shard = options, .with_admission = true});
    world->admission_is_silent = true;
    client = mock_client_request(world, "GET /ws HTTP/1.1\r\n" UPGRADE_HEADERS);
    let_next_turn_stall(world);
    request = admission_queue_take(&world->admission.requests);
    request->verdict = ADMISSION_ADMITTED;
    admission_answer(&world->admission, request);
    shard_turn(world->shard, CLOCK_NEVER);
    shard_world_run(world, 900 * NS_PER_MS);
    assert_true(client->upgraded);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PONG_TIMEOUT), 0);
    shard_world_run(world, 200 * NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PONG_TIMEOUT), 1);
    shard_world_close(world);
}

/* No subscriber was pinged while the shard took no turn, so no subscriber failed to answer. */
static void a_subscriber_that_was_not_pinged_during_a_stall_has_time_to_answer(void **state)
{
    struct shard_options options = {
        .client_ping = true, .client_ping_interval_ns = 500 * NS_PER_MS, .client_pong_timeout_ns = 1200 * NS_PER_MS};
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = options});
    struct mock_client *alive = mock_client_subscribe(world), *mute = mock_client_subscribe(world);

    (void)state;
    shard_world_run(world, 600 * NS_PER_MS);
    mock_client_say_frame(world, alive, WS_PONG, NULL, 0);
    mock_client_say_frame(world, mute, WS_PONG, NULL, 0);
    shard_world_run(world, 10 * NS_PER_MS);
    sim_network_advance(world->network, sim_network_now(world->network) + 5 * NS_PER_S);
    for (unsigned i = 0; i < 20; i++) {
        shard_world_run(world, 50 * NS_PER_MS);
        mock_client_say_frame(world, alive, WS_PONG, NULL, 0);
        assert_int_equal(shard_world_disconnects(world, DISCONNECT_PONG_TIMEOUT), 0);
    }
    assert_int_equal(alive->pings, 3);
    shard_world_run(world, 500 * NS_PER_MS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PONG_TIMEOUT), 1);
    assert_true(mute->closed);
    assert_false(alive->closed);
    shard_world_close(world);
}

static void a_subscriber_that_is_cut_off_in_a_turn_that_stalls_has_time_to_take_the_close(void **state)
{
    struct shard_world *world;
    struct shard_options options = {.message_buffer_size = 20, .health = stall_thread, .health_context = &world};
    struct mock_client *refuser;

    (void)state;
    world = shard_world_open((struct shard_world_options){.shard = options, .window_bytes = 4500});
    refuser = mock_client_subscribe(world);
    stall(refuser, true);
    for (unsigned i = 0; i < 24; i++)
        shard_world_publish(world, 1000);
    shard_world_run(world, 200 * NS_PER_MS);
    let_next_turn_stall(world);
    for (unsigned i = 0; i < 24; i++)
        shard_world_publish(world, 1000);
    shard_turn(world->shard, CLOCK_NEVER);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_LAGGED), 1);
    shard_world_run(world, 500 * NS_PER_MS);
    stall(refuser, false);
    shard_world_run(world, 50 * NS_PER_MS);
    assert_int_equal(refuser->close_code, WS_CLOSE_TRY_AGAIN_LATER);
    shard_world_close(world);
}

/* --- sessions --- */

static void pings_are_answered(void **state)
{
    static const uint8_t two[] = {0x89, 0x81, 0, 0, 0, 0, 'a', 0x89, 0x81, 0, 0, 0, 0, 'b'};
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy()});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    mock_client_say_frame(world, client, WS_PING, "hello", 5);
    shard_world_run(world, NS_PER_MS);
    assert_int_equal(client->pongs, 1);
    assert_string_equal(client->last_pong, "hello");
    mock_client_say(world, client, two, sizeof two);
    shard_world_run(world, NS_PER_MS);
    assert_int_equal(client->pongs, 3);
    assert_string_equal(client->last_pong, "b");
    for (unsigned i = 0; i < sizeof two; i++) {
        mock_client_say(world, client, two + i, 1);
        shard_world_run(world, NS_PER_MS);
    }
    assert_int_equal(client->pongs, 5);
    shard_world_close(world);
}

static void a_pong_overtakes_frames_that_have_not_begun(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 4500});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    stall(client, true);
    for (unsigned i = 0; i < 10; i++)
        shard_world_publish(world, 2000);
    shard_world_run(world, 10 * NS_PER_MS);
    mock_client_say_frame(world, client, WS_PING, "1", 1);
    mock_client_say_frame(world, client, WS_PING, "2", 1);
    shard_world_run(world, 10 * NS_PER_MS);
    shard_world_publish(world, 2000);
    shard_world_run(world, 10 * NS_PER_MS);
    stall(client, false);
    shard_world_run(world, 100 * NS_PER_MS);
    assert_int_equal(client->pongs, 2);
    assert_int_equal(client->messages_before_pong, 3); /* the third message was in flight */
    assert_has_all(world, client);
    shard_world_close(world);
}

#define TENTH_NS (100 * NS_PER_MS)

/*
 * Sends `bytes_per_s` in a steady stream of messages, at most for `limit_ns`; returns how long it took until the relay closed the connection,
 * or `limit_ns`.
 */
static uint64_t stream(struct shard_world *world, struct mock_client *client, uint32_t bytes_per_s, uint64_t limit_ns)
{
    static uint8_t payload[SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES];
    uint64_t begin_ns = sim_network_now(world->network), streamed_ns = 0;

    while (client->close_code == 0 && streamed_ns < limit_ns) {
        mock_client_say_frame(world, client, WS_BINARY, payload, bytes_per_s / 10 - 8); /* a frame header with mask has 8 bytes */
        shard_world_run(world, TENTH_NS);
        streamed_ns = sim_network_now(world->network) - begin_ns;
    }
    return streamed_ns;
}

/* However the seconds of the clock lie, the stream is closed soon after 640 KiB have come, which takes it 9.4 s. */
static void who_sends_too_much_is_closed_after_ten_seconds(void **state)
{
    enum { PHASES = 10 };

    (void)state;
    for (unsigned phase = 0; phase < PHASES; phase++) {
        struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 1 << 17});
        struct mock_client *client;

        shard_world_run(world, 100 * NS_PER_S + phase * TENTH_NS);
        client = mock_client_subscribe(world);
        assert_in_range(stream(world, client, 70000, 60 * NS_PER_S), 9 * NS_PER_S, 11 * NS_PER_S);
        assert_int_equal(client->close_code, WS_CLOSE_POLICY);
        assert_int_equal(shard_world_disconnects(world, DISCONNECT_FLOOD), 1);
        shard_world_close(world);
    }
}

static void who_sends_less_may_do_so_for_ever(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 1 << 17});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    assert_true(stream(world, client, 60000, 300 * NS_PER_S) >= 300 * NS_PER_S);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_FLOOD), 0);
    shard_world_close(world);
}

/* 400 kB at the end of one window and 400 kB at the beginning of the next are more than 640 KiB in 10 s, although neither window has more. */
static void a_burst_counts_across_the_end_of_a_window(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 1 << 17});
    struct mock_client *client;

    (void)state;
    shard_world_run(world, 100 * NS_PER_S);
    client = mock_client_subscribe(world);
    stream(world, client, 100, TENTH_NS); /* begins a window */
    shard_world_run(world, 9 * NS_PER_S);
    stream(world, client, 600000, 7 * TENTH_NS);
    shard_world_run(world, NS_PER_S);
    assert_int_equal(client->close_code, 0);
    stream(world, client, 600000, 7 * TENTH_NS);
    assert_int_equal(client->close_code, WS_CLOSE_POLICY);
    shard_world_close(world);
}

/* What came more than two windows ago counts no more. */
static void after_a_pause_a_burst_is_allowed_again(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 1 << 17});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        stream(world, client, 600000, 10 * TENTH_NS);
        shard_world_run(world, 20 * NS_PER_S);
    }
    assert_int_equal(client->close_code, 0);
    shard_world_close(world);
}

static void a_flood_of_pings_is_answered_by_the_newest(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 4500});
    struct mock_client *client = mock_client_subscribe(world);
    char payload[32];

    (void)state;
    stall(client, true);
    shard_world_publish(world, 10000);
    shard_world_run(world, NS_PER_MS);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        mock_client_say_frame(world, client, WS_PING, payload, strlen(payload));
        shard_world_run(world, 100 * NS_PER_US);
    }
    stall(client, false);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(client->pongs < 50);
    assert_string_equal(client->last_pong, "4999");
    assert_has_all(world, client);
    shard_world_close(world);
}

static void closes_are_echoed(void **state)
{
    static const uint8_t code[] = {4001 >> 8, 4001 & 0xff, 'x'};
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy()});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    mock_client_say_frame(world, client, WS_CLOSE, code, sizeof code);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(client->close_code, 4001);
    assert_true(client->closed);
    assert_int_equal(client->close_error, 0);
    client = mock_client_subscribe(world);
    mock_client_say_frame(world, client, WS_CLOSE, NULL, 0);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(client->close_code, WS_CLOSE_NO_STATUS);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PEER_CLOSED), 2);
    shard_world_close(world);
}

static void bad_frames_end_the_session_with_their_code(void **state)
{
    static const uint8_t unmasked[] = {0x82, 1, 0}, not_utf8[] = {0xff};
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy()});
    struct mock_client *client = mock_client_subscribe(world);
    static uint8_t big[SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES + 1];

    (void)state;
    mock_client_say(world, client, unmasked, sizeof unmasked);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(client->close_code, WS_CLOSE_PROTOCOL_ERROR);
    client = mock_client_subscribe(world);
    mock_client_say_frame(world, client, WS_TEXT, not_utf8, sizeof not_utf8);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(client->close_code, WS_CLOSE_INVALID_PAYLOAD);
    client = mock_client_subscribe(world);
    mock_client_say_frame(world, client, WS_BINARY, big, sizeof big);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(client->close_code, WS_CLOSE_TOO_BIG);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PROTOCOL_ERROR), 3);
    shard_world_close(world);
}

static void what_subscribers_say_is_dropped(void **state)
{
    static uint8_t big[SHARD_MAX_SUBSCRIBER_MESSAGE_BYTES];
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy()});
    struct mock_client *client = mock_client_subscribe(world);

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        mock_client_say_frame(world, client, WS_BINARY, big, sizeof big);
        shard_world_run(world, NS_PER_MS);
    }
    mock_client_say_frame(world, client, WS_TEXT, "hi", 2);
    mock_client_say_frame(world, client, WS_PONG, "unasked", 7);
    mock_client_say_frame(world, client, WS_PING, "!", 1);
    shard_world_run(world, NS_PER_S);
    assert_int_equal(client->pongs, 1);
    shard_world_publish(world, 10);
    shard_world_run(world, NS_PER_MS);
    assert_has_all(world, client);
    shard_world_close(world);
}

static void only_pongs_count_as_life(void **state)
{
    struct shard_options options = {
        .client_ping = true, .client_ping_interval_ns = 15 * NS_PER_S, .client_pong_timeout_ns = 30 * NS_PER_S};
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = options});
    struct mock_client *alive = mock_client_subscribe(world), *mute = mock_client_subscribe(world);

    (void)state;
    for (unsigned i = 0; i < 29; i++) {
        shard_world_run(world, NS_PER_S);
        mock_client_say_frame(world, mute, WS_TEXT, "here", 4);
        while (alive->pongs < alive->pings) { /* `pongs` counts the pongs that this client has sent */
            mock_client_say_frame(world, alive, WS_PONG, NULL, 0);
            alive->pongs++;
        }
    }
    assert_false(mute->closed);
    assert_int_equal(mute->pings, 1);
    shard_world_run(world, 2 * NS_PER_S);
    assert_true(mute->closed);
    assert_int_equal(mute->close_code, WS_CLOSE_INTERNAL_ERROR);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PONG_TIMEOUT), 1);
    shard_world_run(world, 10 * NS_PER_S);
    assert_false(alive->closed);
    assert_int_equal(alive->pings, 2);
    assert_int_equal(counter_read(&shard_world_counters(world)->ping_sent), 3);
    shard_world_close(world);
}

static void a_subscriber_that_vanishes_is_noticed(void **state)
{
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.shard = with_lag_policy(), .with_admission = true});
    struct mock_client *reset = mock_client_subscribe(world), *ended = mock_client_subscribe(world);

    (void)state;
    sim_connection_reset(reset->connection);
    engine_finish(world->outside, ended->connection);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(reset->closed && ended->closed);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_PEER_VANISHED), 2);
    assert_int_equal(world->places, 0);
    assert_int_equal(counter_read(&shard_world_counters(world)->active_connections), 0);
    shard_world_close(world);
}

/* --- draining --- */

static void a_drain_closes_everybody_behind_their_last_message(void **state)
{
    enum { SUBSCRIBERS = 200 };
    struct shard_world *world =
        shard_world_open((struct shard_world_options){.shard = with_lag_policy(), .with_admission = true});
    unsigned closed_early = 0;

    (void)state;
    subscribe(world, SUBSCRIBERS);
    shard_world_publish(world, 30000);
    shard_drain(world->shard);
    assert_false(shard_is_drained(world->shard));
    shard_world_run(world, SUBSCRIBERS * SHARD_DRAIN_NS_PER_SUBSCRIBER / 2);
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        closed_early += world->clients[i].closed;
    assert_in_range(closed_early, SUBSCRIBERS / 4, 3 * SUBSCRIBERS / 4);
    shard_world_run(world, SUBSCRIBERS * SHARD_DRAIN_NS_PER_SUBSCRIBER);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        assert_has_all(world, &world->clients[i]);
        assert_int_equal(world->clients[i].close_code, WS_CLOSE_GOING_AWAY);
        assert_int_equal(world->clients[i].close_error, 0);
    }
    assert_true(shard_is_drained(world->shard));
    assert_int_equal(world->places, 0);
    assert_int_equal(shard_world_disconnects(world, DISCONNECT_SHUTDOWN), SUBSCRIBERS);
    shard_world_close(world);
}

static void a_drain_serves_who_was_queued_or_in_the_handshake(void **state)
{
    static const char request[] = "GET /ws HTTP/1.1\r\n" UPGRADE_HEADERS;
    struct shard_world *world = shard_world_open((struct shard_world_options){.shard = with_lag_policy()});
    struct mock_client *half = mock_client_dial(world), *queued, *silent;

    (void)state;
    shard_world_run(world, NS_PER_MS);
    mock_client_say(world, half, request, 10);
    shard_world_run(world, NS_PER_MS);
    silent = mock_client_dial(world);
    queued = mock_client_dial(world);
    sim_network_advance(world->network, sim_network_now(world->network) + NS_PER_MS);
    engine_turn(world->outside, 0);
    mock_client_say(world, queued, request, sizeof request - 1);
    shard_drain(world->shard);
    shard_world_run(world, 10 * NS_PER_MS);
    mock_client_say(world, half, request + 10, sizeof request - 1 - 10);
    shard_world_run(world, 10 * NS_PER_MS);
    assert_true(queued->upgraded && half->upgraded);
    assert_int_equal(queued->close_code, WS_CLOSE_GOING_AWAY);
    assert_int_equal(half->close_code, WS_CLOSE_GOING_AWAY);
    assert_false(shard_is_drained(world->shard));
    shard_world_run(world, SHARD_HANDSHAKE_TIMEOUT_NS + NS_PER_S);
    assert_true(mock_client_was_answered(silent, 408, "message"));
    assert_true(shard_is_drained(world->shard));
    shard_world_close(world);
}

static void a_drain_ends_who_takes_nothing(void **state)
{
    struct shard_world *world = shard_world_open((struct shard_world_options){.window_bytes = 4500});
    struct mock_client *refuser = mock_client_subscribe(world);

    (void)state;
    stall(refuser, true);
    shard_world_publish(world, 30000);
    shard_drain(world->shard);
    shard_world_run(world, SHARD_CLOSE_TIMEOUT_NS + 10 * NS_PER_MS);
    assert_true(shard_is_drained(world->shard));
    assert_true(refuser->closed);
    shard_world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_everything_from_when_they_came),
        cmocka_unit_test(what_is_sent_is_counted),
        cmocka_unit_test(a_burst_costs_no_reader_its_connection),
        cmocka_unit_test(nothing_is_freed_before_it_was_offered_to_all),
        cmocka_unit_test(a_subscriber_that_leaves_within_a_round_costs_no_other_a_message),
        cmocka_unit_test(without_subscribers_nothing_is_held),
        cmocka_unit_test(a_subscriber_that_refuses_bytes_is_cut_off_when_too_far_behind),
        cmocka_unit_test(a_floor_that_rises_before_the_sleep_is_not_slept_over),
        cmocka_unit_test(numbers_without_a_frame_are_no_failed_messages),
        cmocka_unit_test(a_subscriber_that_takes_nothing_for_too_long_is_cut_off),
        cmocka_unit_test(a_subscriber_that_takes_a_little_now_and_then_may_stay),
        cmocka_unit_test(a_full_log_ends_who_refuses_and_nobody_else),
        cmocka_unit_test(a_subscriber_that_refuses_nothing_below_the_floor_stays),
        cmocka_unit_test(what_was_not_offered_yet_is_no_ones_lag),
        cmocka_unit_test(a_subscriber_that_opens_in_a_turn_that_stalls_has_time_to_answer),
        cmocka_unit_test(a_subscriber_that_was_not_pinged_during_a_stall_has_time_to_answer),
        cmocka_unit_test(a_subscriber_that_is_cut_off_in_a_turn_that_stalls_has_time_to_take_the_close),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(a_pong_overtakes_frames_that_have_not_begun),
        cmocka_unit_test(a_flood_of_pings_is_answered_by_the_newest),
        cmocka_unit_test(who_sends_too_much_is_closed_after_ten_seconds),
        cmocka_unit_test(who_sends_less_may_do_so_for_ever),
        cmocka_unit_test(a_burst_counts_across_the_end_of_a_window),
        cmocka_unit_test(after_a_pause_a_burst_is_allowed_again),
        cmocka_unit_test(closes_are_echoed),
        cmocka_unit_test(bad_frames_end_the_session_with_their_code),
        cmocka_unit_test(what_subscribers_say_is_dropped),
        cmocka_unit_test(only_pongs_count_as_life),
        cmocka_unit_test(a_subscriber_that_vanishes_is_noticed),
        cmocka_unit_test(a_drain_closes_everybody_behind_their_last_message),
        cmocka_unit_test(a_drain_serves_who_was_queued_or_in_the_handshake),
        cmocka_unit_test(a_drain_ends_who_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

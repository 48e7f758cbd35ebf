/* The TCP engine as a whole, on a test wire: what it must not do over a long time. */
#include "flashrelay/thread.h"
#include "support/ip.h"
#include "support/skip.h"
#include "support/tcp_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tcp_world *open_with_clients(const struct tcp_world_options *options, unsigned count)
{
    struct tcp_world *world = tcp_world_open(options);

    for (unsigned i = 0; i < count; i++)
        tcp_world_connect(world, i);
    tcp_world_run(world, 100 * NS_PER_MS);
    assert_int_equal(world->accepts, count);
    return world;
}

static void assert_no_violation(const struct tcp_world *world)
{
    for (unsigned i = 0; i < TCP_WORLD_PEERS; i++)
        if (world->peers[i] && tcp_peer_status(world->peers[i])->violations > 0)
            fail_msg("client %u: %s", i, tcp_peer_status(world->peers[i])->violation);
}

/* --- the log --- */

/*
 * The last subscriber leaves; the card keeps what it has sent until it is asked, or needs room. 20,000 frames follow, which are many times
 * the log. Returns how many found no room.
 */
static unsigned leave_and_publish(bool cannot_reclaim)
{
    const struct tcp_world_options options = {
        .card = {.frees_late = true, .cannot_reclaim = cannot_reclaim, .ring_segments = 1024}, .arena_bytes = 1 << 20};
    struct tcp_world *world = open_with_clients(&options, 2);
    unsigned refused = 0;

    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(tcp_world_publish(world, 25000), 0);
        tcp_world_run(world, 20 * NS_PER_MS);
    }
    tcp_peer_finish(world->peers[0], world->now_ns);
    tcp_peer_reset(world->peers[1]);
    tcp_world_run(world, NS_PER_MS); /* the card has sent the last frames, and keeps them */
    for (unsigned i = 0; i < 20000; i++) {
        while (tcp_world_publish(world, 25000) == -ENOSPC) {
            refused++;
            tcp_world_run(world, NS_PER_MS);
        }
        tcp_world_run(world, NS_PER_MS);
    }
    assert_int_equal(world->closes, 2);
    assert_int_equal(world->head, 20020);
    assert_int_equal(world->holds.total, 0);
    assert_no_violation(world);
    tcp_world_close(world);
    return refused;
}

static void the_publisher_never_waits_when_the_last_subscriber_has_left(void **state)
{
    (void)state;
    assert_int_equal(leave_and_publish(false), 0);
}

/* Such a card lets go only for a packet that is sent to that end, which is done once the publisher waits. */
static void a_card_that_lets_go_only_for_packets_is_sent_one(void **state)
{
    (void)state;
    assert_in_range(leave_and_publish(true), 0, 3);
}

/* A client that vanishes holds frames only until it is given up; nothing of it is left. */
static void a_client_that_vanishes_leaves_nothing_behind(void **state)
{
    struct tcp_world *world = open_with_clients(&(struct tcp_world_options){0}, 2);

    (void)state;
    tcp_peer_vanish(world->peers[1]);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(tcp_world_publish(world, 25000), 0);
        tcp_world_run(world, 200 * NS_PER_MS);
    }
    assert_int_not_equal(world->holds.total, 0);
    tcp_world_run(world, 130 * NS_PER_S);
    assert_int_equal(world->closes, 1);
    assert_int_equal(world->holds.total, 0);
    assert_int_equal(counter_read(&tcp_world_engine(world)->counters.unacknowledged_bytes), 0);
    assert_int_equal(world->arrived_bytes, 8 * (25000 + 4));
    assert_no_violation(world);
    tcp_world_close(world);
}

/* --- memory --- */

/* Allocations of this thread, in bytes; 0 if this variant's allocator does not count them. */
static uint64_t allocated_bytes(void)
{
    char name[THREAD_NAME_BYTES];
    uint64_t bytes;

    for (unsigned slot = 0; slot < THREAD_REGISTRY_SLOTS; slot++)
        if (thread_allocated_bytes(slot, name, &bytes) && strcmp(name, "engine") == 0)
            return bytes;
    return 0;
}

/* A port in front of the wire's, which allocates: what it allocates is not the engine's. */
static struct {
    const struct port_ops *ops;
    uint64_t bytes, before;
} outside;

static const struct port_ops *go_outside(void)
{
    outside.before = allocated_bytes();
    return outside.ops;
}

static void come_back(void)
{
    outside.bytes += allocated_bytes() - outside.before;
}

static unsigned receive(struct port *port, struct port_packet *packets, unsigned capacity)
{
    unsigned count = go_outside()->receive(port, packets, capacity);

    come_back();
    return count;
}

static void reflect(struct port *port, struct port_packet *packet, uint32_t length)
{
    go_outside()->reflect(port, packet, length);
    come_back();
}

static void release(struct port *port, struct port_packet *packets, unsigned count)
{
    go_outside()->release(port, packets, count);
    come_back();
}

static bool take_headers(struct port *port, uint8_t **headers, unsigned count)
{
    bool taken = go_outside()->take_headers(port, headers, count);

    come_back();
    return taken;
}

static void send_segments(struct port *port, const struct port_segment *segments, unsigned count)
{
    go_outside()->send(port, segments, count);
    come_back();
}

static bool flush(struct port *port)
{
    bool is_empty = go_outside()->flush(port);

    come_back();
    return is_empty;
}

static uint64_t begin_epoch(struct port *port)
{
    uint64_t number = go_outside()->begin_epoch(port);

    come_back();
    return number;
}

static uint64_t oldest_epoch(struct port *port)
{
    uint64_t number = go_outside()->oldest_epoch(port);

    come_back();
    return number;
}

static void reclaim(struct port *port, bool urgent)
{
    go_outside()->reclaim(port, urgent);
    come_back();
}

/* Of engine, log and owner: without the port. */
static uint64_t allocated_inside(void)
{
    return allocated_bytes() - outside.bytes;
}

static void pass_flashblocks(struct tcp_world *world, unsigned count)
{
    for (; count > 0; count--) {
        uint64_t before;

        for (unsigned i = 0; i < TCP_WORLD_PEERS; i++)
            tcp_peer_write(world->peers[i], "ping", 4, world->now_ns);
        before = allocated_inside();
        assert_int_equal(tcp_world_publish(world, 10000), 0);
        world->metered += allocated_inside() - before;
        tcp_world_run(world, 200 * NS_PER_MS);
    }
}

/* Frames, control bytes and losses: everything is done with what is there. */
static void nothing_is_allocated_while_flashblocks_flow(void **state)
{
    struct port_ops ops;
    struct tcp_world *world;

    (void)state;
    thread_register("engine");
    free(malloc(1));
    if (allocated_bytes() == 0) {
        thread_unregister();
        skip_because("this variant's allocator does not count");
    }
    world = open_with_clients(&(struct tcp_world_options){.answers = true}, TCP_WORLD_PEERS);
    outside.ops = wire_port_of(world->card)->ops;
    ops = *outside.ops;
    ops.receive = receive;
    ops.reflect = reflect;
    ops.release = release;
    ops.take_headers = take_headers;
    ops.send = send_segments;
    ops.flush = flush;
    ops.begin_epoch = begin_epoch;
    ops.oldest_epoch = oldest_epoch;
    ops.reclaim = reclaim;
    wire_port_of(world->card)->ops = &ops;
    wire_set(world->wire, WIRE_FORTH, &(struct wire_settings){.delay_ns = NS_PER_MS, .loss = 0.02});
    world->meter = allocated_inside;
    pass_flashblocks(world, 50); /* control blocks are made as they are needed, and kept */
    assert_true(world->metered > 0);
    world->metered = 0;
    pass_flashblocks(world, 200);
    assert_int_equal(world->metered, 0);
    assert_true(counter_read(&tcp_world_engine(world)->counters.retransmitted[RETRANSMIT_RACK]) > 0);
    assert_no_violation(world);
    wire_port_of(world->card)->ops = outside.ops;
    thread_unregister();
    tcp_world_close(world);
}

/* --- figures --- */

static unsigned updates;

static void count_update(struct port *port)
{
    (void)port;
    updates++;
}

static void the_port_is_asked_for_its_counters_once_per_second(void **state)
{
    struct tcp_world *world = open_with_clients(&(struct tcp_world_options){0}, 1);
    struct port *port = wire_port_of(world->card);
    const struct port_ops *original = port->ops;
    struct port_ops ops = *original;

    (void)state;
    ops.update_counters = count_update;
    port->ops = &ops;
    updates = 0;
    for (unsigned i = 0; i < 100; i++) {
        tcp_world_publish(world, 1000);
        tcp_world_run(world, 100 * NS_PER_MS);
    }
    assert_in_range(updates, 9, 11);
    tcp_world_run(world, 10 * NS_PER_S); /* in silence, too */
    assert_in_range(updates, 18, 22);
    port->ops = original;
    tcp_world_close(world);
}

static void figures_are_those_of_engines_with_a_tcp(void **state)
{
    struct tcp_world *world = open_with_clients(&(struct tcp_world_options){0}, 1);
    struct engine other = {0};

    (void)state;
    assert_ptr_equal(tcp_engine_counters(world->engine), &tcp_world_engine(world)->counters);
    assert_ptr_equal(tcp_engine_port_counters(world->engine), &wire_port_of(world->card)->counters);
    assert_null(tcp_engine_counters(&other));
    assert_null(tcp_engine_port_counters(&other));
    tcp_world_close(world);
}

static void figures_add_up(void **state)
{
    struct tcp_world *world = open_with_clients(&(struct tcp_world_options){0}, 3);
    const struct tcp_counters *counters = tcp_engine_counters(world->engine);

    (void)state;
    assert_int_equal(counter_read(&counters->cookies_sent), 3);
    assert_int_equal(counter_read(&counters->cookies_accepted), 3);
    assert_int_equal(tcp_world_publish(world, 10000), 0);
    tcp_world_run(world, NS_PER_US * 10);
    assert_int_equal(counter_read(&counters->unacknowledged_bytes), 3 * (10000 + 4));
    tcp_world_run(world, NS_PER_S);
    assert_int_equal(counter_read(&counters->unacknowledged_bytes), 0);
    assert_true(counter_read(&counters->segments_sent) >= 3 + 3 * 7);
    assert_int_equal(histogram_count(&counters->rtt_us), 1); /* one in 8 */
    assert_in_range(histogram_quantile(&counters->rtt_us, 1), 2000, 43000);
    tcp_world_close(world);
}

/* --- handshakes --- */

/* The segment that would complete the handshake of port 50000. */
static struct wire_packet begin_handshake(struct tcp_world *world, bool is_v6)
{
    struct wire_packet segment = {.is_v6 = is_v6, .source_port = 50000, .sequence = 77, .flags = WIRE_SYN, .window = 1000};

    tcp_world_inject_segment(world, &segment);
    tcp_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(world->answer.flags, WIRE_SYN | WIRE_ACK);
    segment.sequence++;
    segment.acknowledgement = world->answer.sequence + 1;
    segment.flags = WIRE_ACK;
    return segment;
}

/* Returns how many connections a segment opens; one that opens none is answered with a reset. */
static unsigned count_accepts(struct tcp_world *world, const struct wire_packet *segment)
{
    unsigned before = world->accepts;

    tcp_world_inject_segment(world, segment);
    tcp_world_run(world, 10 * NS_PER_MS);
    if (world->accepts == before)
        assert_int_equal(world->answer.flags, WIRE_RST);
    return world->accepts - before;
}

static void a_cookie_opens_only_the_connection_that_it_was_made_for(void **state)
{
    (void)state;
    for (int is_v6 = 0; is_v6 < 2; is_v6++) {
        struct tcp_world *world = tcp_world_open(&(struct tcp_world_options){0});
        struct wire_packet segment = begin_handshake(world, is_v6), other;

        other = segment;
        other.source_port++;
        assert_int_equal(count_accepts(world, &other), 0);
        other = segment;
        other.source = ip_of(is_v6 ? "2001:db8::3" : "192.0.2.3");
        assert_int_equal(count_accepts(world, &other), 0);
        other = segment;
        other.is_v6 = !is_v6;
        assert_int_equal(count_accepts(world, &other), 0);
        other = segment;
        other.acknowledgement += 1 << 20;
        assert_int_equal(count_accepts(world, &other), 0);
        assert_int_equal(counter_read(&tcp_world_engine(world)->counters.dropped[DROP_COOKIE]), 4);
        assert_int_equal(count_accepts(world, &segment), 1);
        tcp_world_close(world);
    }
}

/* Nothing comes in between that would draw new keys. */
static void an_old_cookie_opens_nothing(void **state)
{
    struct tcp_world *world = tcp_world_open(&(struct tcp_world_options){0});
    struct wire_packet segment = begin_handshake(world, false);

    (void)state;
    tcp_world_run(world, 61 * NS_PER_S);
    assert_int_equal(count_accepts(world, &segment), 0);
    tcp_world_close(world);
}

/* --- windows and pace --- */

/* Of two segments with the same numbers one may have overtaken the other; a window that is closed is probed, so it may be believed. */
static void a_window_that_closes_is_believed(void **state)
{
    struct tcp_world *world = tcp_world_open(&(struct tcp_world_options){0});
    struct wire_packet segment = begin_handshake(world, false);

    (void)state;
    assert_int_equal(count_accepts(world, &segment), 1);
    segment.window = 0;
    tcp_world_inject_segment(world, &segment);
    tcp_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(tcp_world_publish(world, 500), 0);
    tcp_world_run(world, 10 * NS_PER_MS);
    assert_true(world->connections[0]->blocked);
    assert_int_equal(tcp_unacknowledged(tcp_connection_of(world->connections[0])), 0);
    segment.window = 1000;
    tcp_world_inject_segment(world, &segment);
    tcp_world_run(world, 10 * NS_PER_MS);
    assert_int_equal(tcp_unacknowledged(tcp_connection_of(world->connections[0])), 504);
    tcp_world_close(world);
}

/* Over a round-trip time of more than 1 ms only 32 segments go at once; the others are spread over it. */
static void long_frames_are_paced(void **state)
{
    struct tcp_world *world = open_with_clients(&(struct tcp_world_options){0}, 1);
    const counter *sent = &tcp_engine_port_counters(world->engine)->sent_packets;
    uint64_t before;

    (void)state;
    for (unsigned i = 0; i < 10; i++) { /* the congestion window grows */
        assert_int_equal(tcp_world_publish(world, 60000), 0);
        tcp_world_run(world, 200 * NS_PER_MS);
    }
    before = counter_read(sent);
    assert_int_equal(tcp_world_publish(world, 60000), 0);
    tcp_world_run(world, 500 * NS_PER_US);
    assert_int_equal(counter_read(sent) - before, 32);
    tcp_world_run(world, 5 * NS_PER_MS);
    assert_int_equal(counter_read(sent) - before, 42);
    tcp_world_close(world);
}

/* --- limits --- */

/* Whoever finds no slot is not answered; a slot that is given back takes the next one. */
static void more_clients_than_slots_wait(void **state)
{
    struct tcp_world *world = tcp_world_open(&(struct tcp_world_options){.max_connections = 2});

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        tcp_world_connect(world, i);
    tcp_world_run(world, NS_PER_S);
    assert_int_equal(world->accepts, 2);
    assert_true(counter_read(&tcp_world_engine(world)->counters.dropped[DROP_PAUSED]) > 0);
    tcp_peer_reset(world->peers[0]);
    tcp_peer_write(world->peers[2], "hello", 5, world->now_ns);
    tcp_world_run(world, 10 * NS_PER_S);
    assert_int_equal(world->accepts, 3);
    assert_int_equal(world->consumed_bytes, 5);
    tcp_world_close(world);
}

/* --- time --- */

/* What has come while the thread did something else, or was not run, is looked at before deadlines are. */
static void acknowledgements_that_came_while_the_thread_was_held_up_are_not_late(void **state)
{
    struct tcp_world *world = open_with_clients(&(struct tcp_world_options){0}, 2);
    const struct tcp_counters *counters = &tcp_world_engine(world)->counters;

    (void)state;
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(tcp_world_publish(world, 10000), 0);
        tcp_world_run(world, NS_PER_MS / 2);
        if (i >= 10) /* the round-trip time of 2 ms is known */
            tcp_world_hold_up(world, 300 * NS_PER_MS);
        tcp_world_run(world, 50 * NS_PER_MS);
    }
    assert_int_equal(counter_read(&counters->probes), 0);
    assert_int_equal(counter_read(&counters->timeouts), 0);
    assert_int_equal(world->arrived_bytes, 2 * 20 * (10000 + 4));
    assert_no_violation(world);
    tcp_world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_publisher_never_waits_when_the_last_subscriber_has_left),
        cmocka_unit_test(a_card_that_lets_go_only_for_packets_is_sent_one),
        cmocka_unit_test(a_client_that_vanishes_leaves_nothing_behind),
        cmocka_unit_test(nothing_is_allocated_while_flashblocks_flow),
        cmocka_unit_test(the_port_is_asked_for_its_counters_once_per_second),
        cmocka_unit_test(figures_are_those_of_engines_with_a_tcp),
        cmocka_unit_test(figures_add_up),
        cmocka_unit_test(a_cookie_opens_only_the_connection_that_it_was_made_for),
        cmocka_unit_test(an_old_cookie_opens_nothing),
        cmocka_unit_test(a_window_that_closes_is_believed),
        cmocka_unit_test(long_frames_are_paced),
        cmocka_unit_test(more_clients_than_slots_wait),
        cmocka_unit_test(acknowledgements_that_came_while_the_thread_was_held_up_are_not_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What only the io_uring engine has: one system call per turn, receive buffers that connections share, and zero-copy sends. */
#include "flashrelay/engine_uring.h"
#include "flashrelay/random.h"
#include "support/engine_world.h"
#include "support/peer.h"
#include "support/skip.h"
#include "support/zerocopy.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct engine_options defaults = {.zerocopy = ENGINE_ZEROCOPY_OFF};

/* What was made before the failure is taken back once: memory that is unmapped twice may be another thread's by then. */
static void an_engine_without_memory_for_its_buffers_is_not_created(void **state)
{
    const struct engine_options options = {
        .max_connections = 1, .sends_per_turn = 1, .receive_buffers = 1 << 15, .receive_buffer_bytes = UINT32_MAX};
    struct engine *engine = NULL;

    (void)state;
    if (!engine_world_has_kind("uring"))
        skip_because("io_uring is not possible here");
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(engine_uring_create(&engine, &options), -ENOMEM);
    assert_null(engine);
}

static void a_turn_is_one_system_call(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peers[8];
    uint64_t before;

    (void)state;
    for (unsigned i = 0; i < 8; i++)
        peers[i] = peer_open(world, 0);
    engine_world_settle(world);
    engine_world_append(world, 1, 1000);
    before = counter_read(&world->engine->counters.system_calls);
    for (unsigned i = 0; i < 8; i++)
        engine_world_send_frames(world, i, 1, 2);
    engine_world_turn(world);
    assert_int_equal(counter_read(&world->engine->counters.system_calls), before + 1);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(world->ends[i].sent_frames, 1);
        close(peers[i]);
    }
    engine_world_close(world);
}

static void a_connection_that_finds_no_buffer_reads_when_one_comes_back(void **state)
{
    struct engine_options options = {.receive_buffers = 2};
    struct engine_world *world = engine_world_open(&options);
    int hogs[2] = {peer_open(world, 0), peer_open(world, 0)}, other = peer_open(world, 0);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        world->ends[i].consume_limit = 1;
        peer_write(hogs[i], "hog", 3);
    }
    ENGINE_WORLD_UNTIL(world, world->ends[0].received_bytes == 1 && world->ends[1].received_bytes == 1);
    engine_world_settle(world);
    peer_write(other, "me too", 6);
    ENGINE_WORLD_UNTIL(world, counter_read(&world->engine->counters.receive_starved) > 0);
    assert_int_equal(world->ends[2].received_bytes, 0);
    world->ends[0].consume_limit = 0;
    engine_receive_resume(world->engine, world->ends[0].connection);
    ENGINE_WORLD_UNTIL(world, world->ends[2].received_bytes == 6 && world->ends[0].received_bytes == 3);
    close(hogs[0]);
    close(hogs[1]);
    close(other);
    engine_world_close(world);
}

/* Many connections receive by turns with few buffers: the engine does not try again and again to receive for all that wait. */
static void receives_that_find_no_buffer_are_few(void **state)
{
    enum { PEERS = 60, BUFFERS = 4, BUFFER_BYTES = 256, BYTES = 16 * BUFFER_BYTES };
    struct engine_options options = {.receive_buffers = BUFFERS, .receive_buffer_bytes = BUFFER_BYTES};
    struct engine_world *world = engine_world_open(&options);
    static const uint8_t bytes[BYTES];
    unsigned done;
    int peers[PEERS];

    (void)state;
    for (unsigned i = 0; i < PEERS; i++) {
        peers[i] = peer_open(world, 0);
        world->ends[i].is_loud = true;
    }
    engine_world_settle(world);
    for (unsigned i = 0; i < PEERS; i++)
        peer_write(peers[i], bytes, BYTES);
    do {
        engine_world_turn(world);
        done = 0;
        for (unsigned i = 0; i < PEERS; i++)
            done += world->ends[i].received_bytes == BYTES;
    } while (done < PEERS);
    /* On Linux 6.1 the first that is restarted takes all buffers, and each restart ends without one. */
    assert_true(2 * counter_read(&world->engine->counters.receive_starved) <=
                3 * counter_read(&world->engine->counters.receives));
    for (unsigned i = 0; i < PEERS; i++)
        close(peers[i]);
    engine_world_close(world);
}

/* The kernel fills all receive buffers for one connection before the engine can stop it; what that does not consume must not keep them. */
static void what_is_kept_of_one_leaves_buffers_to_others(void **state)
{
    struct engine_options options = {.receive_buffers = 2};
    struct engine_world *world = engine_world_open(&options);
    int hog = peer_open(world, 0), other = peer_open(world, 0);
    struct end *end = &world->ends[0];
    uint8_t sent[4000];

    (void)state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7);
    end->consume_limit = 1;
    peer_write(hog, sent, sizeof sent);
    ENGINE_WORLD_UNTIL(world, end->received_bytes == 1);
    engine_world_settle(world);
    peer_write(other, "me too", 6);
    ENGINE_WORLD_UNTIL(world, world->ends[1].received_bytes == 6);
    end->consume_limit = 1000;
    for (unsigned i = 0; i < 3; i++) {
        engine_receive_resume(world->engine, end->connection);
        engine_world_settle(world);
    }
    end->consume_limit = 0;
    engine_receive_resume(world->engine, end->connection);
    ENGINE_WORLD_UNTIL(world, end->received_bytes == sizeof sent);
    assert_memory_equal(end->received, sent, sizeof sent);
    close(hog);
    close(other);
    engine_world_close(world);
}

/* Closes a world whose engine made no zero-copy send, and ends the test. */
static _Noreturn void close_without_zerocopy(struct engine_world *world)
{
    bool kernel_reports = engine_uring_features(world->engine)->zerocopy_report;

    engine_world_close(world);
    end_without_zerocopy(kernel_reports);
}

/* A world whose engine made a zero-copy send, of frame 1 to end 0, which is closed. */
static struct engine_world *zerocopy_world(void)
{
    struct engine_options options = {.zerocopy = ENGINE_ZEROCOPY_ON};
    struct engine_world *world = engine_world_open(&options);
    int peer = peer_open(world, 0);

    engine_world_append(world, 1, 100000);
    engine_world_send_frames(world, 0, 1, 2);
    peer_read_frame(world, peer, 1, 100000);
    ENGINE_WORLD_UNTIL(world, world->ends[0].connection->extent_count == 0);
    engine_abort(world->engine, world->ends[0].connection);
    ENGINE_WORLD_UNTIL(world, world->ends[0].closes == 1 && holds_lowest(&world->holds) == HOLDS_NONE);
    close(peer);
    if (counter_read(&world->engine->counters.zerocopy_sends) == 0)
        close_without_zerocopy(world);
    return world;
}

/* Opens a peer with a small buffer as end 1, and sends it the frames [2, to), more than it takes. */
static int open_blocked_peer(struct engine_world *world, uint64_t to)
{
    int peer = peer_open(world, 4096);

    for (uint64_t sequence = 2; sequence < to; sequence++)
        engine_world_append(world, sequence, 100000);
    engine_world_send_frames(world, 1, 2, to);
    ENGINE_WORLD_UNTIL(world, world->ends[1].connection->blocked);
    return peer;
}

/* Opens a peer with a small buffer as end 1, whose socket takes frame 2 whole, while the kernel goes on reading it. */
static int open_pinning_peer(struct engine_world *world)
{
    int peer = peer_open(world, 4096);

    engine_world_append(world, 2, 50000);
    engine_world_send_frames(world, 1, 2, 3);
    ENGINE_WORLD_UNTIL(world, !engine_has_unsent(world->ends[1].connection));
    return peer;
}

/* The bytes that the kernel has locked for this process. */
static unsigned long pinned_kilobytes(void)
{
    unsigned long kilobytes = 0;
    char line[128];
    FILE *status = fopen("/proc/self/status", "re");

    assert_non_null(status);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmPin: %lu kB", &kilobytes) == 1)
            break;
    fclose(status);
    return kilobytes;
}

static void memory_is_locked_when_a_frame_in_it_is_sent(void **state)
{
    struct engine_options options = {.zerocopy = ENGINE_ZEROCOPY_ON};
    unsigned long before = pinned_kilobytes();
    struct engine_world *world = engine_world_open(&options);
    int peer = peer_open(world, 0);

    (void)state;
    engine_world_settle(world);
    assert_in_range(pinned_kilobytes() - before, 0, 1000);
    engine_world_append(world, 1, 100000);
    engine_world_send_frames(world, 0, 1, 2);
    peer_read_frame(world, peer, 1, 100000);
    close(peer);
    if (counter_read(&world->engine->counters.zerocopy_sends) == 0)
        close_without_zerocopy(world);
    assert_in_range(pinned_kilobytes() - before, ENGINE_WORLD_ARENA >> 10, (ENGINE_WORLD_ARENA >> 10) + 1000);
    engine_world_close(world);
}

static void zerocopy_sends_are_whole_and_let_go(void **state)
{
    enum { FRAMES = 100 };
    struct engine_world *world = zerocopy_world();
    struct random random;
    int peer;

    (void)state;
    random_seed(&random, 5);
    peer = peer_open(world, 0);
    for (uint64_t sequence = 2; sequence < FRAMES; sequence++) {
        size_t payload_bytes = 20000 + random_below(&random, 150000);

        engine_world_append(world, sequence, payload_bytes);
        engine_world_send_frames(world, 1, sequence, sequence + 1);
        peer_read_frame(world, peer, sequence, payload_bytes);
    }
    ENGINE_WORLD_UNTIL(world, holds_lowest(&world->holds) == HOLDS_NONE);
    assert_true(counter_read(&world->engine->counters.zerocopy_sends) > FRAMES / 2);
    close(peer);
    engine_world_close(world);
}

static void zerocopy_holds_a_frame_until_its_notification(void **state)
{
    struct engine_world *world = zerocopy_world();
    struct connection *connection;
    int peer;

    (void)state;
    peer = open_blocked_peer(world, 11);
    connection = world->ends[1].connection;
    engine_world_settle(world);
    assert_int_equal(connection->held_sequence, 2);
    assert_int_equal(connection->pinned_sequence, 2);
    engine_abort(world->engine, connection);
    ENGINE_WORLD_UNTIL(world, world->ends[1].closes == 1 && holds_lowest(&world->holds) == HOLDS_NONE);
    close(peer);
    engine_world_close(world);
}

/* While the kernel still reads a frame for a connection, the connection does not move; it moves once the peer has the frame. */
static void what_is_pinned_delays_a_move(void **state)
{
    struct engine_world *world = zerocopy_world();
    struct end *end;
    int peer;

    (void)state;
    peer = open_blocked_peer(world, 6);
    end = &world->ends[1];
    world->move_to = world;
    assert_int_equal(engine_detach(world->engine, end->connection), 0);
    engine_world_settle(world);
    assert_int_equal(end->detaches, 0);
    assert_int_equal(end->connection->pinned_sequence, 2);
    for (uint64_t sequence = 2; sequence <= 5; sequence++)
        peer_read_frame(world, peer, sequence, 100000);
    assert_int_equal(end->detaches, 1);
    ENGINE_WORLD_UNTIL(world, world->ends[2].sent_frames + end->sent_frames == 4);
    close(peer);
    engine_world_close(world);
}

/* The socket took everything and the peer's FIN came, but the kernel still reads the frame: the connection stays until it is aborted. */
static void an_orderly_end_waits_for_what_is_pinned(void **state)
{
    struct engine_world *world = zerocopy_world();
    struct connection *connection;
    int peer;

    (void)state;
    peer = open_pinning_peer(world);
    connection = world->ends[1].connection;
    engine_world_settle(world);
    assert_int_equal(connection->pinned_sequence, 2);
    shutdown(peer, SHUT_WR);
    engine_finish(world->engine, connection);
    engine_world_settle(world);
    assert_int_equal(world->ends[1].finishes, 1);
    assert_int_equal(world->ends[1].closes, 0);
    assert_int_equal(holds_lowest(&world->holds), 2);
    engine_abort(world->engine, connection);
    ENGINE_WORLD_UNTIL(world, world->ends[1].closes == 1);
    assert_true(holds_lowest(&world->holds) == HOLDS_NONE);
    close(peer);
    engine_world_close(world);
}

/* Once the peer has read everything, the connection closes without an error. */
static void an_orderly_end_follows_the_notification(void **state)
{
    struct engine_world *world = zerocopy_world();
    int peer;

    (void)state;
    peer = open_pinning_peer(world);
    shutdown(peer, SHUT_WR);
    engine_finish(world->engine, world->ends[1].connection);
    engine_world_settle(world);
    peer_read_frame(world, peer, 2, 50000);
    ENGINE_WORLD_UNTIL(world, world->ends[1].closes == 1);
    assert_int_equal(world->ends[1].error, 0);
    close(peer);
    engine_world_close(world);
}

/* On loopback the receiver would read from the sender's pages, so the kernel copies; one zero-copy send finds that out for all. */
static void one_connection_asks_whether_the_kernel_copies(void **state)
{
    enum { PEERS = 8, FRAMES = 20 };
    struct engine_options options = {.zerocopy = ENGINE_ZEROCOPY_AUTO};
    struct engine_world *world = engine_world_open(&options);
    int peers[PEERS];

    (void)state;
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_open(world, 0);
    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++) {
        engine_world_append(world, sequence, 50000);
        for (unsigned i = 0; i < PEERS; i++)
            engine_world_send_frames(world, i, sequence, sequence + 1);
        for (unsigned i = 0; i < PEERS; i++)
            peer_read_frame(world, peers[i], sequence, 50000);
        engine_world_settle(world);
    }
    for (unsigned i = 0; i < PEERS; i++)
        close(peers[i]);
    if (counter_read(&world->engine->counters.zerocopy_sends) == 0)
        close_without_zerocopy(world);
    assert_int_equal(counter_read(&world->engine->counters.zerocopy_sends), 1);
    assert_int_equal(counter_read(&world->engine->counters.zerocopy_copied), 1);
    engine_world_close(world);
}

/* Connects two sockets of MPTCP, which the caller closes; false where this system has none. */
static bool connect_mptcp(int *peer, int *accepted)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

    if (listener < 0)
        return false;
    *peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    assert_int_equal(connect(*peer, (struct sockaddr *)&at, sizeof at), 0);
    *accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(*accepted >= 0);
    close(listener);
    return true;
}

/* The kernel answers a zero-copy send on a socket of MPTCP with EOPNOTSUPP. */
static void a_socket_without_zerocopy_is_sent_copies(void **state)
{
    struct engine_world *world = zerocopy_world();
    struct engine_handoff handoff = {0};
    struct end *end;
    uint64_t before;
    int peer;

    (void)state;
    if (!connect_mptcp(&peer, &handoff.descriptor)) {
        engine_world_close(world);
        skip_because("this system has no MPTCP");
    }
    end = &world->ends[world->end_count++];
    assert_int_equal(engine_attach(world->engine, &handoff, end, &end->connection), 0);
    before = counter_read(&world->engine->counters.zerocopy_sends);
    for (uint64_t sequence = 2; sequence <= 4; sequence++) {
        engine_world_append(world, sequence, 100000);
        engine_world_send_frames(world, world->end_count - 1, sequence, sequence + 1);
        peer_read_frame(world, peer, sequence, 100000);
    }
    assert_int_equal(counter_read(&world->engine->counters.zerocopy_sends), before + 1);
    ENGINE_WORLD_UNTIL(world, holds_lowest(&world->holds) == HOLDS_NONE);
    assert_int_equal(end->closes, 0);
    close(peer);
    engine_world_close(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_without_memory_for_its_buffers_is_not_created),
        cmocka_unit_test(a_turn_is_one_system_call),
        cmocka_unit_test(a_connection_that_finds_no_buffer_reads_when_one_comes_back),
        cmocka_unit_test(receives_that_find_no_buffer_are_few),
        cmocka_unit_test(what_is_kept_of_one_leaves_buffers_to_others),
        cmocka_unit_test(memory_is_locked_when_a_frame_in_it_is_sent),
        cmocka_unit_test(zerocopy_sends_are_whole_and_let_go),
        cmocka_unit_test(zerocopy_holds_a_frame_until_its_notification),
        cmocka_unit_test(what_is_pinned_delays_a_move),
        cmocka_unit_test(an_orderly_end_waits_for_what_is_pinned),
        cmocka_unit_test(an_orderly_end_follows_the_notification),
        cmocka_unit_test(one_connection_asks_whether_the_kernel_copies),
        cmocka_unit_test(a_socket_without_zerocopy_is_sent_copies),
    };

    return engine_world_run_kind("uring", tests, sizeof tests / sizeof tests[0]);
}

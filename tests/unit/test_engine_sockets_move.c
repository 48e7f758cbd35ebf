/* Connections that move from an engine on kernel sockets to another one, of any kind, also of another process: the peer sees an unbroken stream. */
#include "support/engine_world.h"
#include "support/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const struct engine_options defaults = {.zerocopy = ENGINE_ZEROCOPY_OFF};

/* A world of the kind that the tests are run for, and one beside it to which its connections move. */
struct pair {
    struct engine_world *from, *to;
};

static struct pair open_pair(const char *kind, const struct engine_options *options_to)
{
    struct pair pair = {.from = engine_world_open(&defaults)};

    pair.to = engine_world_open_beside(pair.from, kind, options_to);
    pair.from->move_to = pair.to;
    pair.to->move_to = pair.from;
    return pair;
}

static void close_pair(struct pair *pair)
{
    engine_world_close(pair->to);
    engine_world_close(pair->from);
}

/* Runs a test with a second world of each kind that this system allows. */
static void with_each_kind(void (*test)(const char *kind))
{
    for (unsigned i = 0; engine_kinds[i]; i++)
        if (engine_world_has_kind(engine_kinds[i]->name))
            test(engine_kinds[i]->name);
}

/* Moves the newest end of `from` to `to`; returns it as the newest end of `to`. */
static struct end *move(struct engine_world *from, struct engine_world *to)
{
    struct end *end = &from->ends[from->end_count - 1];
    unsigned before = to->end_count;

    assert_int_equal(engine_detach(from->engine, end->connection), 0);
    ENGINE_WORLD_UNTIL(from, end->detaches == 1);
    assert_int_equal(from->attach_error, 0);
    assert_int_equal(to->end_count, before + 1);
    engine_world_settle(from);
    assert_int_equal(end->closes, 0);
    return &to->ends[before];
}

enum { FRAMES = 20, PAYLOAD = 50000 };

static void append_log(struct engine_world *world)
{
    for (uint64_t sequence = 1; sequence <= FRAMES + 5; sequence++)
        engine_world_append(world, sequence, PAYLOAD);
}

/*
 * Opens a peer that reads slowly. Its connection has frames to send of which a part was taken, then control bytes, then later frames, and
 * has received bytes that were not consumed.
 */
static int open_busy_peer(struct engine_world *world)
{
    int peer = peer_open(world, 4096);
    struct end *end = &world->ends[0];

    end->consume_limit = 3;
    peer_write(peer, "hello world", 11);
    ENGINE_WORLD_UNTIL(world, end->received_bytes == 3);
    append_log(world);
    engine_world_send_frames(world, 0, 1, FRAMES + 1);
    engine_world_send_text(world, 0, "pong");
    engine_world_send_frames(world, 0, FRAMES + 3, FRAMES + 5);
    ENGINE_WORLD_UNTIL(world, end->connection->blocked);
    engine_world_settle(world);
    assert_true(end->connection->taken_bytes > 0);
    return peer;
}

static void read_all_of_it(struct engine_world *world, int peer)
{
    uint8_t bytes[4];

    for (uint64_t sequence = 1; sequence <= FRAMES; sequence++)
        peer_read_frame(world, peer, sequence, PAYLOAD);
    peer_read(world, peer, bytes, 4);
    assert_memory_equal(bytes, "pong", 4);
    peer_read_frame(world, peer, FRAMES + 3, PAYLOAD);
    peer_read_frame(world, peer, FRAMES + 4, PAYLOAD);
}

static void goes_on_with_the_next_byte(const char *kind)
{
    struct pair pair = open_pair(kind, &defaults);
    int peer = open_busy_peer(pair.from);
    struct end *end = move(pair.from, pair.to);
    uint8_t bytes[3];

    assert_int_equal(counter_read(&pair.from->engine->counters.open_connections), 0);
    assert_int_equal(counter_read(&pair.to->engine->counters.open_connections), 1);
    ENGINE_WORLD_UNTIL(pair.to, end->received_bytes == 8);
    assert_memory_equal(end->received, "lo world", 8);
    engine_world_settle(pair.to);
    assert_true(end->connection->blocked);
    assert_int_equal(holds_lowest(&pair.from->holds), end->connection->held_sequence);
    read_all_of_it(pair.to, peer);
    peer_write(peer, ", again", 7);
    ENGINE_WORLD_UNTIL(pair.to, end->received_bytes == 15);
    engine_world_send_text(pair.to, 0, "bye");
    engine_finish(pair.to->engine, end->connection);
    peer_read(pair.to, peer, bytes, 3);
    engine_world_settle(pair.to);
    assert_int_equal(peer_end(peer), 0);
    close(peer);
    ENGINE_WORLD_UNTIL(pair.to, end->closes == 1);
    assert_int_equal(end->error, 0);
    assert_int_equal(end->finishes, 1);
    assert_int_equal(holds_lowest(&pair.from->holds), HOLDS_NONE);
    close_pair(&pair);
}

static void a_connection_goes_on_with_the_next_byte(void **state)
{
    (void)state;
    with_each_kind(goes_on_with_the_next_byte);
}

static void comes_back(const char *kind)
{
    struct pair pair = open_pair(kind, &defaults);
    int peer = open_busy_peer(pair.from);

    for (unsigned i = 0; i < 10; i++) {
        move(pair.from, pair.to);
        engine_world_turn(pair.to);
        move(pair.to, pair.from);
        engine_world_turn(pair.from);
    }
    assert_memory_equal(pair.to->ends[0].received, "lo world", 8);
    read_all_of_it(pair.from, peer);
    close_pair(&pair);
    assert_int_equal(peer_end(peer), -ECONNRESET);
    close(peer);
}

static void a_connection_may_move_again_and_again(void **state)
{
    (void)state;
    with_each_kind(comes_back);
}

static void finish_is_told_there(const char *kind)
{
    struct pair pair = open_pair(kind, &defaults);
    int peer = peer_open(pair.from, 0);
    struct end *end;

    peer_write(peer, "last words", 10);
    shutdown(peer, SHUT_WR);
    end = move(pair.from, pair.to);
    ENGINE_WORLD_UNTIL(pair.to, end->finishes == 1);
    assert_int_equal(pair.from->ends[0].received_bytes + end->received_bytes, 10);
    engine_finish(pair.to->engine, end->connection);
    ENGINE_WORLD_UNTIL(pair.to, end->closes == 1);
    assert_int_equal(peer_end(peer), 0);
    close(peer);
    close_pair(&pair);
}

static void a_peer_that_has_finished_is_reported_where_the_connection_moved(void **state)
{
    (void)state;
    with_each_kind(finish_is_told_there);
}

static void without_slot_it_stays(const char *kind)
{
    struct engine_options options = {.max_connections = 1, .zerocopy = ENGINE_ZEROCOPY_OFF};
    struct pair pair = open_pair(kind, &options);
    int other = peer_open(pair.to, 0), peer = open_busy_peer(pair.from);
    struct end *end = &pair.from->ends[0], *again = &pair.from->ends[1];

    assert_int_equal(engine_detach(pair.from->engine, end->connection), 0);
    ENGINE_WORLD_UNTIL(pair.from, end->detaches == 1);
    assert_int_equal(pair.from->attach_error, -ENOBUFS);
    assert_int_equal(counter_read(&pair.to->engine->counters.open_connections), 1);
    assert_int_equal(counter_read(&pair.from->engine->counters.open_connections), 1);
    ENGINE_WORLD_UNTIL(pair.from, again->received_bytes == 8);
    read_all_of_it(pair.from, peer);
    close_pair(&pair);
    close(peer);
    close(other);
}

static void an_engine_without_a_free_slot_takes_nothing(void **state)
{
    (void)state;
    with_each_kind(without_slot_it_stays);
}

static void connecting_ends_first(const char *kind)
{
    struct engine_world *server = engine_world_open(&defaults);
    struct pair pair = open_pair(kind, &defaults);
    struct end *end = &pair.from->ends[0];
    struct address remote;

    pair.from->end_count = 1;
    assert_int_equal(address_parse(&remote, "127.0.0.1:0"), 0);
    remote.port = engine_listen_port(server->engine);
    end->connection = engine_connect(pair.from->engine, &remote, end);
    assert_int_equal(engine_append_bytes(pair.from->engine, end->connection, "early", 5), 0);
    engine_serve(pair.from->engine, end->connection);
    assert_int_equal(engine_detach(pair.from->engine, end->connection), 0);
    ENGINE_WORLD_UNTIL(pair.from, end->detaches == 1);
    assert_int_equal(end->connects, 1);
    assert_int_equal(end->error, 0);
    assert_int_equal(fcntl(pair.from->detached_descriptor, F_GETFL) & O_NONBLOCK, 0);
    ENGINE_WORLD_UNTIL(pair.to, pair.to->ends[0].sent_bytes == 5);
    ENGINE_WORLD_UNTIL(server, server->end_count == 1 && server->ends[0].received_bytes == 5);
    engine_world_send_text(server, 0, "answer");
    engine_world_settle(server);
    ENGINE_WORLD_UNTIL(pair.to, pair.to->ends[0].received_bytes == 6);
    close_pair(&pair);
    engine_world_close(server);
}

static void a_connection_that_is_connecting_moves_once_it_is_connected(void **state)
{
    (void)state;
    with_each_kind(connecting_ends_first);
}

/* A connection that waits for service behind others when it is detached is neither served nor read before it moves. */
static void is_not_served_here(const char *kind)
{
    enum { OTHERS = 5 };
    struct engine_options options = {.sends_per_turn = 1, .zerocopy = ENGINE_ZEROCOPY_OFF};
    struct engine_world *from = engine_world_open(&options), *to = engine_world_open_beside(from, kind, &defaults);
    int peers[OTHERS + 1];
    struct end *end = &from->ends[OTHERS];

    from->move_to = to;
    for (unsigned i = 0; i <= OTHERS; i++)
        peers[i] = peer_open(from, 0);
    engine_world_append(from, 1, 1000);
    for (unsigned i = 0; i <= OTHERS; i++)
        engine_world_send_frames(from, i, 1, 2);
    assert_int_equal(engine_detach(from->engine, end->connection), 0);
    peer_write(peers[OTHERS], "for the next", 12);
    ENGINE_WORLD_UNTIL(from, end->detaches == 1);
    assert_int_equal(end->received_bytes + end->sent_bytes, 0);
    peer_read_frame(to, peers[OTHERS], 1, 1000);
    ENGINE_WORLD_UNTIL(to, to->ends[0].received_bytes == 12);
    engine_world_close(to);
    engine_world_close(from);
    for (unsigned i = 0; i <= OTHERS; i++)
        close(peers[i]);
}

static void a_connection_that_waits_to_be_served_moves_unserved(void **state)
{
    (void)state;
    with_each_kind(is_not_served_here);
}

static void a_connection_that_fails_to_connect_does_not_move(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    struct end *end = &world->ends[0];
    struct address nobody;

    (void)state;
    assert_int_equal(address_parse(&nobody, "127.0.0.1:1"), 0);
    engine_detach(world->engine, engine_connect(world->engine, &nobody, end));
    ENGINE_WORLD_UNTIL(world, end->connects == 1);
    engine_world_settle(world);
    assert_int_equal(end->error, -ECONNREFUSED);
    assert_int_equal(end->detaches + end->closes, 0);
    engine_world_close(world);
}

static void fails_once(const char *kind)
{
    struct pair pair = open_pair(kind, &defaults);
    int peer = peer_open(pair.from, 0);
    struct linger reset = {.l_onoff = 1};
    struct end *end = &pair.from->ends[0], *there = &pair.to->ends[0];

    engine_world_append(pair.from, 1, 1000);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    engine_world_send_frames(pair.from, 0, 1, 2);
    assert_int_equal(engine_detach(pair.from->engine, end->connection), 0);
    close(peer);
    ENGINE_WORLD_UNTIL(pair.from, end->detaches + end->closes == 1);
    if (end->detaches == 1)
        ENGINE_WORLD_UNTIL(pair.to, there->closes == 1);
    assert_int_equal(end->closes + there->closes, 1);
    assert_int_equal(holds_lowest(&pair.from->holds), HOLDS_NONE);
    close_pair(&pair);
}

static void a_connection_that_fails_while_it_moves_ends_once(void **state)
{
    (void)state;
    with_each_kind(fails_once);
}

static void an_abort_while_it_moves_ends_it(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = open_busy_peer(world);
    struct end *end = &world->ends[0];

    (void)state;
    assert_int_equal(engine_detach(world->engine, end->connection), 0);
    engine_abort(world->engine, end->connection);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    ENGINE_WORLD_UNTIL(world, end->closes == 1);
    engine_world_settle(world);
    assert_int_equal(end->error, 0);
    assert_int_equal(end->detaches, 0);
    assert_int_equal(counter_read(&world->engine->counters.open_connections), 0);
    close(peer);
    engine_world_close(world);
}

static void a_connection_that_ends_or_moves_cannot_be_moved(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peers[3];

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        peers[i] = peer_open(world, 0);
    engine_finish(world->engine, world->ends[0].connection);
    engine_abort(world->engine, world->ends[1].connection);
    assert_int_equal(engine_detach(world->engine, world->ends[2].connection), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(engine_detach(world->engine, world->ends[i].connection), -EALREADY);
    ENGINE_WORLD_UNTIL(world, world->ends[2].detaches == 1);
    close(world->detached_descriptor);
    for (unsigned i = 0; i < 3; i++)
        close(peers[i]);
    engine_world_close(world);
}

/* The engine no longer uses the descriptor: its new owner may use it, or send it to another process. */
static void a_detached_descriptor_is_the_callers(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0), ours;
    uint8_t bytes[16];

    (void)state;
    engine_detach(world->engine, world->ends[0].connection);
    ENGINE_WORLD_UNTIL(world, world->ends[0].detaches == 1);
    ours = world->detached_descriptor;
    peer_write(peer, "to whom", 7);
    engine_world_settle(world);
    assert_int_equal(recv(ours, bytes, sizeof bytes, 0), 7);
    peer_write(ours, "it concerns", 11);
    assert_int_equal(recv(peer, bytes, sizeof bytes, 0), 11);
    engine_world_close(world);
    close(ours);
    assert_int_equal(peer_end(peer), 0);
    close(peer);
}

/* --- to another process --- */

/* A handoff as it is sent to another process, with the bytes that it names, in their order, behind it. */
struct parcel {
    struct engine_handoff handoff;
    uint8_t bytes[CONNECTION_EXTENTS * CONTROL_RUN_BYTES + ENGINE_WORLD_RECEIVED];
};

union rights {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

static int parcels; /* the socket through which handoffs go to the other process */

/* Sends the descriptor, the position in the stream, and the bytes that are lent. */
static void send_parcel(const struct engine_handoff *handoff)
{
    struct iovec parts[CONNECTION_EXTENTS + 2] = {{.iov_base = (void *)(uintptr_t)handoff, .iov_len = sizeof *handoff}};
    union rights rights = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
    struct msghdr message = {
        .msg_iov = parts, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof rights.bytes};

    for (unsigned i = 0; i < handoff->piece_count; i++)
        if (handoff->pieces[i].kind == EXTENT_BYTES)
            parts[message.msg_iovlen++] =
                (struct iovec){.iov_base = (void *)(uintptr_t)handoff->pieces[i].bytes, .iov_len = handoff->pieces[i].length};
    parts[message.msg_iovlen++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)handoff->unread, .iov_len = handoff->unread_bytes};
    memcpy(CMSG_DATA(&rights.header), &handoff->descriptor, sizeof(int));
    assert_true(sendmsg(parcels, &message, MSG_NOSIGNAL) > (ssize_t)sizeof *handoff);
    close(handoff->descriptor);
}

static void receive_parcel(struct parcel *parcel)
{
    struct iovec whole = {.iov_base = parcel, .iov_len = sizeof *parcel};
    union rights rights;
    struct msghdr message = {
        .msg_iov = &whole, .msg_iovlen = 1, .msg_control = rights.bytes, .msg_controllen = sizeof rights.bytes};
    struct engine_handoff *handoff = &parcel->handoff;
    const uint8_t *bytes = parcel->bytes;

    assert_true(recvmsg(parcels, &message, MSG_CMSG_CLOEXEC) > (ssize_t)sizeof *handoff);
    assert_int_equal(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
    memcpy(&handoff->descriptor, CMSG_DATA(&rights.header), sizeof(int));
    for (unsigned i = 0; i < handoff->piece_count; i++) {
        if (handoff->pieces[i].kind != EXTENT_BYTES)
            continue;
        handoff->pieces[i].bytes = bytes;
        bytes += handoff->pieces[i].length;
    }
    handoff->unread = bytes;
}

/* The other process, with an engine and an equal log of its own. A failed assertion aborts it. */
_Noreturn static void serve_in_this_process(const char *kind)
{
    static struct parcel parcel;
    struct engine_world *world;
    struct end *end;

    setenv("CMOCKA_TEST_ABORT", "1", 1);
    world = engine_world_open_kind(kind, &defaults);
    end = &world->ends[world->end_count++];
    append_log(world);
    receive_parcel(&parcel);
    assert_int_equal(engine_attach(world->engine, &parcel.handoff, end, &end->connection), 0);
    memset(&parcel, 0, sizeof parcel); /* the engine has copied what was lent */
    ENGINE_WORLD_UNTIL(world, end->finishes == 1);
    assert_int_equal(end->received_bytes, 15);
    assert_memory_equal(end->received, "lo world, again", 15);
    engine_finish(world->engine, end->connection);
    ENGINE_WORLD_UNTIL(world, end->closes == 1);
    assert_int_equal(end->error, 0);
    engine_world_close(world);
    _exit(0);
}

static void goes_on_in_another_process(const char *kind)
{
    struct engine_world *world;
    int sockets[2], peer, status;
    pid_t other;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
    other = fork();
    assert_true(other >= 0);
    parcels = sockets[other == 0];
    close(sockets[other != 0]);
    if (other == 0)
        serve_in_this_process(kind);
    world = engine_world_open(&defaults);
    world->hand_over = send_parcel;
    peer = open_busy_peer(world);
    assert_int_equal(engine_detach(world->engine, world->ends[0].connection), 0);
    ENGINE_WORLD_UNTIL(world, world->ends[0].detaches == 1);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    peer_write(peer, ", again", 7);
    read_all_of_it(world, peer);
    assert_int_equal(shutdown(peer, SHUT_WR), 0);
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(status, 0);
    assert_int_equal(peer_end(peer), 0);
    close(parcels);
    close(peer);
    engine_world_close(world);
}

static void a_connection_goes_on_in_another_process(void **state)
{
    (void)state;
    with_each_kind(goes_on_in_another_process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_goes_on_with_the_next_byte),
        cmocka_unit_test(a_connection_may_move_again_and_again),
        cmocka_unit_test(a_peer_that_has_finished_is_reported_where_the_connection_moved),
        cmocka_unit_test(an_engine_without_a_free_slot_takes_nothing),
        cmocka_unit_test(a_connection_that_is_connecting_moves_once_it_is_connected),
        cmocka_unit_test(a_connection_that_waits_to_be_served_moves_unserved),
        cmocka_unit_test(a_connection_that_fails_to_connect_does_not_move),
        cmocka_unit_test(a_connection_that_fails_while_it_moves_ends_once),
        cmocka_unit_test(an_abort_while_it_moves_ends_it),
        cmocka_unit_test(a_connection_that_ends_or_moves_cannot_be_moved),
        cmocka_unit_test(a_detached_descriptor_is_the_callers),
        cmocka_unit_test(a_connection_goes_on_in_another_process),
    };

    return engine_world_run(tests, sizeof tests / sizeof tests[0]);
}

/* Connections of engines on kernel sockets: how they begin, what they receive, how they end, and how an engine is woken. */
#include "engine/socket.h"
#include "support/engine_world.h"
#include "support/peer.h"
#include "support/skip.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

static const struct engine_options defaults;

static void a_peer_is_accepted_with_its_address(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    struct sockaddr_in local;
    socklen_t length = sizeof local;
    struct address expected;

    (void)state;
    assert_int_equal(getsockname(peer, (struct sockaddr *)&local, &length), 0);
    assert_int_equal(address_from_sockaddr(&expected, (struct sockaddr *)&local), 0);
    assert_true(ip_address_equal(&world->ends[0].peer.ip, &expected.ip));
    assert_int_equal(world->ends[0].peer.port, expected.port);
    assert_int_equal(counter_read(&world->engine->counters.accepts), 1);
    assert_int_equal(counter_read(&world->engine->counters.open_connections), 1);
    close(peer);
    engine_world_close(world);
}

/* The engine's descriptor of a connection of which `peer` is the other end. */
static int other_end_of(int peer)
{
    struct sockaddr_in ours = {0}, theirs = {0};

    for (int descriptor = 0; descriptor < 1024; descriptor++) {
        socklen_t length = sizeof ours, their_length = sizeof theirs;

        if (getsockname(peer, (struct sockaddr *)&ours, &length) == 0 &&
            getpeername(descriptor, (struct sockaddr *)&theirs, &their_length) == 0 && ours.sin_port == theirs.sin_port &&
            theirs.sin_family == AF_INET)
            return descriptor;
    }
    return -1;
}

static void accepted_sockets_have_the_listeners_options(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0), value;
    int descriptor = other_end_of(peer);
    socklen_t length = sizeof value;

    (void)state;
    assert_int_equal(getsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    assert_int_equal(value, 1);
    assert_int_equal(getsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &length), 0);
    assert_int_equal(value, 65536);
    close(peer);
    engine_world_close(world);
}

static void an_ipv6_listener_takes_both_families(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int v4, v6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct engine_world *world;

    (void)state;
    if (bind(v6, (struct sockaddr *)&address, sizeof address) != 0) {
        close(v6);
        skip_because("this machine has no ::1");
    }
    world = engine_world_open_at(&defaults, "[::]:0");
    assert_non_null(world);
    v4 = peer_open(world, 0);
    assert_true(ip_address_is_v4(&world->ends[0].peer.ip));
    address.sin6_port = htons(engine_listen_port(world->engine));
    assert_int_equal(connect(v6, (struct sockaddr *)&address, sizeof address), 0);
    ENGINE_WORLD_UNTIL(world, world->end_count == 2);
    assert_memory_equal(world->ends[1].peer.ip.bytes, &address.sin6_addr, 16);
    close(v4);
    close(v6);
    engine_world_close(world);
}

static void two_engines_talk(void **state)
{
    struct engine_world *server = engine_world_open(&defaults), *client = engine_world_open(&defaults);
    struct end *near = &client->ends[0];
    struct address remote;

    (void)state;
    assert_int_equal(address_parse(&remote, "127.0.0.1:0"), 0);
    remote.port = engine_listen_port(server->engine);
    assert_non_null(engine_connect(client->engine, &remote, near));
    ENGINE_WORLD_UNTIL(client, near->connects == 1);
    assert_int_equal(near->error, 0);
    ENGINE_WORLD_UNTIL(server, server->end_count == 1);
    assert_int_equal(engine_append_bytes(client->engine, near->connection, "hello", 5), 0);
    engine_serve(client->engine, near->connection);
    engine_world_settle(client);
    ENGINE_WORLD_UNTIL(server, server->ends[0].received_bytes == 5);
    assert_memory_equal(server->ends[0].received, "hello", 5);
    engine_world_close(client);
    ENGINE_WORLD_UNTIL(server, server->ends[0].closes == 1);
    assert_int_equal(server->ends[0].error, -ECONNRESET);
    engine_world_close(server);
}

static void what_is_appended_while_connecting_goes_out(void **state)
{
    struct engine_world *server = engine_world_open(&defaults), *client = engine_world_open(&defaults);
    struct connection *connection;
    struct address remote;

    (void)state;
    assert_int_equal(address_parse(&remote, "127.0.0.1:0"), 0);
    remote.port = engine_listen_port(server->engine);
    connection = engine_connect(client->engine, &remote, &client->ends[0]);
    engine_append_bytes(client->engine, connection, "early", 5);
    engine_serve(client->engine, connection);
    engine_finish(client->engine, connection);
    ENGINE_WORLD_UNTIL(client, client->ends[0].sent_bytes == 5);
    ENGINE_WORLD_UNTIL(server, server->end_count == 1 && server->ends[0].finishes == 1);
    assert_memory_equal(server->ends[0].received, "early", 5);
    engine_world_close(client);
    engine_world_close(server);
}

static void a_refused_connect_is_reported_and_gone(void **state)
{
    struct engine_options options = {.max_connections = 1};
    struct engine_world *world = engine_world_open(&options);
    struct address nobody;

    (void)state;
    /* Port 1 of loopback: nothing listens there in a test environment. */
    assert_int_equal(address_parse(&nobody, "127.0.0.1:1"), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_non_null(engine_connect(world->engine, &nobody, &world->ends[i]));
        assert_null(engine_connect(world->engine, &nobody, &world->ends[i]));
        ENGINE_WORLD_UNTIL(world, world->ends[i].connects == 1);
        assert_int_equal(world->ends[i].error, -ECONNREFUSED);
        engine_world_settle(world);
        assert_int_equal(world->ends[i].closes, 0);
    }
    engine_world_close(world);
}

/* Waits until the kernel has brought what was sent: on a loaded machine that is some time after the sending. */
static void wait_readable(int descriptor)
{
    struct pollfd readable = {.fd = descriptor, .events = POLLIN};

    assert_int_equal(poll(&readable, 1, 20000), 1);
}

/* A port of loopback where connecting takes for ever, because its backlog is full until the caller closes `descriptors`. */
static struct address busy_port(int descriptors[3])
{
    struct sockaddr_in sockaddr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof sockaddr;
    struct address address;

    descriptors[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(descriptors[0], (struct sockaddr *)&sockaddr, length), 0);
    assert_int_equal(listen(descriptors[0], 0), 0);
    assert_int_equal(getsockname(descriptors[0], (struct sockaddr *)&sockaddr, &length), 0);
    for (unsigned i = 1; i < 3; i++) {
        descriptors[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(descriptors[i], (struct sockaddr *)&sockaddr, length);
        wait_readable(descriptors[0]);
    }
    assert_int_equal(address_from_sockaddr(&address, (struct sockaddr *)&sockaddr), 0);
    return address;
}

static void connect_all(struct engine_world *world, int *descriptors, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        descriptors[i] = peer_connect(world, 0);
}

static void close_all(const int *descriptors, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        close(descriptors[i]);
}

static void a_connect_that_failed_lets_go_of_what_was_to_be_sent(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    struct connection *connection;
    struct address nobody;

    (void)state;
    engine_world_append(world, 1, 1000);
    assert_int_equal(address_parse(&nobody, "127.0.0.1:1"), 0);
    connection = engine_connect(world->engine, &nobody, &world->ends[0]);
    assert_int_equal(engine_append_bytes(world->engine, connection, "early", 5), 0);
    assert_int_equal(engine_append_frames(world->engine, connection, 0, 1, 2), 0);
    engine_serve(world->engine, connection);
    ENGINE_WORLD_UNTIL(world, world->ends[0].connects == 1);
    assert_int_equal(world->ends[0].error, -ECONNREFUSED);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    assert_int_equal(world->engine->control_blocks.count, 1);
    engine_world_settle(world);
    engine_world_close(world);
}

static void an_aborted_connect_is_closed(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int descriptors[3];
    struct address busy = busy_port(descriptors);
    struct connection *started = engine_connect(world->engine, &busy, &world->ends[0]);
    struct connection *unstarted;

    (void)state;
    engine_world_settle(world);
    assert_int_equal(counter_read(&world->engine->counters.open_connections), 1);
    unstarted = engine_connect(world->engine, &busy, &world->ends[1]);
    engine_abort(world->engine, started);
    engine_abort(world->engine, unstarted);
    ENGINE_WORLD_UNTIL(world, world->ends[0].closes == 1 && world->ends[1].closes == 1);
    engine_world_settle(world);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(world->ends[i].error, 0);
        assert_int_equal(world->ends[i].connects, 0);
    }
    assert_int_equal(counter_read(&world->engine->counters.open_connections), 0);
    close_all(descriptors, 3);
    engine_world_close(world);
}

static void what_is_not_consumed_is_kept_and_offered_again(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    struct end *end = &world->ends[0];
    uint8_t sent[3000];

    (void)state;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (uint8_t)(i * 7);
    end->consume_limit = 100;
    peer_write(peer, sent, sizeof sent);
    ENGINE_WORLD_UNTIL(world, end->received_bytes == 100);
    engine_world_settle(world);
    assert_int_equal(end->received_bytes, 100);
    shutdown(peer, SHUT_WR);
    engine_world_settle(world);
    assert_int_equal(end->finishes, 0);
    while (end->received_bytes < 1000) {
        size_t before = end->received_bytes;

        engine_receive_resume(world->engine, end->connection);
        ENGINE_WORLD_UNTIL(world, end->received_bytes > before);
    }
    end->consume_limit = 0;
    engine_receive_resume(world->engine, end->connection);
    ENGINE_WORLD_UNTIL(world, end->finishes == 1);
    assert_int_equal(end->received_bytes, sizeof sent);
    assert_memory_equal(end->received, sent, sizeof sent);
    close(peer);
    engine_world_close(world);
}

static void finish_ends_once_both_sides_did(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int ours_first = peer_open(world, 0), theirs_first = peer_open(world, 0);
    struct end *first = &world->ends[0], *second = &world->ends[1];
    uint8_t bytes[3];

    (void)state;
    engine_append_bytes(world->engine, first->connection, "bye", 3);
    engine_serve(world->engine, first->connection);
    engine_finish(world->engine, first->connection);
    peer_read(world, ours_first, bytes, 3);
    engine_world_settle(world);
    assert_int_equal(peer_end(ours_first), 0);
    assert_int_equal(first->closes, 0);
    peer_write(ours_first, "late", 4);
    close(ours_first);
    ENGINE_WORLD_UNTIL(world, first->closes == 1);
    assert_int_equal(first->error, 0);
    assert_memory_equal(first->received, "late", 4);

    shutdown(theirs_first, SHUT_WR);
    ENGINE_WORLD_UNTIL(world, second->finishes == 1);
    engine_append_bytes(world->engine, second->connection, "bye", 3);
    engine_serve(world->engine, second->connection);
    peer_read(world, theirs_first, bytes, 3);
    engine_finish(world->engine, second->connection);
    ENGINE_WORLD_UNTIL(world, second->closes == 1);
    assert_int_equal(second->error, 0);
    assert_int_equal(peer_end(theirs_first), 0);
    assert_int_equal(counter_read(&world->engine->counters.open_connections), 0);
    close(theirs_first);
    engine_world_close(world);
}

static void abort_resets(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    struct connection *connection = world->ends[0].connection;

    (void)state;
    engine_abort(world->engine, connection);
    engine_abort(world->engine, connection);
    assert_int_equal(world->ends[0].closes, 0);
    assert_int_equal(peer_end(peer), -ECONNRESET);
    engine_world_turn(world);
    assert_int_equal(world->ends[0].closes, 1);
    assert_int_equal(world->ends[0].error, 0);
    close(peer);

    world->refuse = 1;
    peer = peer_open(world, 0);
    ENGINE_WORLD_UNTIL(world, world->ends[1].closes == 1);
    assert_int_equal(peer_end(peer), -ECONNRESET);
    close(peer);
    engine_world_close(world);
}

static void a_reset_by_the_peer_is_an_error(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    struct linger reset = {.l_onoff = 1};

    (void)state;
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(peer);
    ENGINE_WORLD_UNTIL(world, world->ends[0].closes == 1);
    assert_int_equal(world->ends[0].error, -ECONNRESET);
    engine_world_close(world);
}

static void slots_are_used_again(void **state)
{
    struct engine_options options = {.max_connections = 2};
    struct engine_world *world = engine_world_open(&options);
    int first = peer_open(world, 0), second = peer_open(world, 0), third = peer_connect(world, 0);
    struct connection *slot = world->ends[0].connection;

    (void)state;
    engine_world_settle(world);
    assert_int_equal(world->end_count, 2);
    engine_abort(world->engine, slot);
    ENGINE_WORLD_UNTIL(world, world->end_count == 3);
    assert_ptr_equal(world->ends[2].connection, slot);
    peer_write(third, "new", 3);
    ENGINE_WORLD_UNTIL(world, world->ends[2].received_bytes == 3);
    assert_int_equal(world->ends[0].received_bytes, 0);
    close(first);
    close(second);
    close(third);
    engine_world_close(world);
}

static void a_pause_is_exact(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peers[10];

    (void)state;
    connect_all(world, peers, 10);
    world->pause_after = 3;
    engine_world_settle(world);
    assert_int_equal(world->end_count, 3);
    assert_int_equal(counter_read(&world->engine->counters.accept_pauses), 1);
    engine_accept_pause(world->engine, false);
    ENGINE_WORLD_UNTIL(world, world->end_count == 10);
    close_all(peers, 10);
    engine_world_close(world);
}

static void a_turn_accepts_a_bounded_number(void **state)
{
    enum { PEERS = 100 };
    struct engine_world *world = engine_world_open(&defaults);
    unsigned accepted = 0;
    int peers[PEERS];

    (void)state;
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_connect(world, 0);
    while (world->end_count < PEERS) {
        engine_world_turn(world);
        assert_in_range(world->end_count - accepted, 0, PEERS - 1);
        accepted = world->end_count;
    }
    close_all(peers, PEERS);
    engine_world_close(world);
}

/* --- no sleep after a handler: it may have started a timer that ends before the turn's deadline --- */

/* Takes turns without a deadline until `condition` holds; a turn that sleeps after a handler would sleep for ever. */
#define UNTIL_WITHOUT_SLEEP(world, condition)          \
    do {                                               \
        alarm(20);                                     \
        while (!(condition))                           \
            engine_turn((world)->engine, CLOCK_NEVER); \
        alarm(0);                                      \
    } while (0)

static int newest_peer;

/* Leaves the accepted connection no room to send, so that the engine is not told at once that it has room. */
static void fill_socket(struct engine_world *world, struct end *end)
{
    static const uint8_t bytes[65536];
    int descriptor = other_end_of(newest_peer);

    (void)world;
    (void)end;
    assert_true(descriptor >= 0);
    while (send(descriptor, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    assert_int_equal(errno, EAGAIN);
}

static void a_turn_that_accepts_does_not_sleep(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);

    (void)state;
    newest_peer = peer_connect(world, 4096);
    world->during_handler = fill_socket;
    UNTIL_WITHOUT_SLEEP(world, world->end_count == 1);
    close(newest_peer);
    engine_world_close(world);
}

static void a_turn_that_tells_of_an_end_does_not_sleep(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);

    (void)state;
    engine_world_settle(world);
    engine_abort(world->engine, world->ends[0].connection);
    UNTIL_WITHOUT_SLEEP(world, world->ends[0].closes == 1);
    close(peer);
    engine_world_close(world);
}

/* There is no socket yet whose closing would end the sleep. */
static void a_turn_that_tells_of_the_end_of_a_connect_that_has_not_begun_does_not_sleep(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    struct address address;

    (void)state;
    engine_world_settle(world);
    assert_int_equal(address_parse(&address, "127.0.0.1:1"), 0);
    engine_abort(world->engine, engine_connect(world->engine, &address, &world->ends[0]));
    UNTIL_WITHOUT_SLEEP(world, world->ends[0].closes == 1);
    engine_world_close(world);
}

/* Lowers the limit of open files, so that no descriptor above `highest` can be opened; returns the limit before. */
static struct rlimit forbid_descriptors_above(int highest)
{
    struct rlimit before, low;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = before;
    low.rlim_cur = (rlim_t)highest + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return before;
}

static void out_of_descriptors_accepting_waits(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int first = peer_open(world, 0), second = peer_connect(world, 0);
    struct rlimit before;

    (void)state;
    before = forbid_descriptors_above(second);
    engine_world_settle(world);
    assert_int_equal(world->end_count, 1);
    assert_int_equal(counter_read(&world->engine->counters.accept_pauses), 1);
    /* The descriptor that becomes free is used at once, not only when the engine retries accepting. */
    engine_abort(world->engine, world->ends[0].connection);
    engine_world_settle(world);
    assert_int_equal(world->end_count, 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(first);
    close(second);
    engine_world_close(world);
}

/* A connection that closes returns its descriptor to the budget, and accepting goes on. A stopped listener accepts all that are queued. */
static void without_descriptors_of_the_budget_accepting_waits(void **state)
{
    enum { PEERS = 6 };
    struct descriptor_budget budget = {.left = 2};
    const struct engine_options options = {.descriptors = &budget};
    struct engine_world *world = engine_world_open(&options);
    int peers[PEERS];

    (void)state;
    connect_all(world, peers, PEERS);
    engine_world_settle(world);
    assert_int_equal(world->end_count, 2);
    assert_int_equal(counter_read(&world->engine->counters.accept_pauses), 1);
    engine_abort(world->engine, world->ends[0].connection);
    ENGINE_WORLD_UNTIL(world, world->end_count == 3);
    engine_world_settle(world);
    assert_int_equal(world->end_count, 3);
    descriptor_budget_return(&budget); /* another engine's connection closes */
    ENGINE_WORLD_UNTIL(world, world->end_count == 4);
    assert_int_equal(budget.left, 0);
    engine_listen_stop(world->engine);
    ENGINE_WORLD_UNTIL(world, world->end_count == PEERS);
    assert_int_equal(budget.left, -2);
    close_all(peers, PEERS);
    engine_world_close(world);
}

/* Near the point where descriptors are short, a turn accepts as many as do not cross it; beyond, one, so that others can close in between. */
static void short_of_descriptors_a_turn_accepts_one(void **state)
{
    enum { PEERS = 8, UNTIL_SHORT = 5 };
    struct descriptor_budget budget = {.left = PEERS, .short_below = PEERS - UNTIL_SHORT};
    const struct engine_options options = {.descriptors = &budget};
    struct engine_world *world = engine_world_open(&options);
    int peers[PEERS];

    (void)state;
    connect_all(world, peers, PEERS);
    ENGINE_WORLD_UNTIL(world, world->end_count > 0);
    assert_int_equal(world->end_count, UNTIL_SHORT);
    for (unsigned i = UNTIL_SHORT; i < PEERS; i++) {
        unsigned before = world->end_count;

        ENGINE_WORLD_UNTIL(world, world->end_count > before);
        assert_int_equal(world->end_count, before + 1);
    }
    close_all(peers, PEERS);
    engine_world_close(world);
}

/* Descriptors may become free elsewhere in the process, of which the engine is not notified. */
static void out_of_descriptors_accepting_is_tried_again(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_connect(world, 0);
    struct rlimit before;

    (void)state;
    before = forbid_descriptors_above(peer);
    ENGINE_WORLD_UNTIL(world, counter_read(&world->engine->counters.accept_pauses) == 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    alarm(20); /* without a deadline of its own for the retry the engine would sleep for ever */
    while (world->end_count == 0)
        engine_turn(world->engine, CLOCK_NEVER);
    alarm(0);
    close(peer);
    engine_world_close(world);
}

static void a_stopped_listener_leaves_nobody_behind(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    struct sockaddr_in address = peer_server_address(world);
    int peers[20], late;

    (void)state;
    connect_all(world, peers, 20);
    engine_accept_pause(world->engine, true);
    engine_listen_stop(world->engine);
    engine_world_settle(world);
    assert_int_equal(world->end_count, 20);
    late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(late);
    for (unsigned i = 0; i < 20; i++)
        peer_write(peers[i], "x", 1);
    for (unsigned i = 0; i < 20; i++)
        ENGINE_WORLD_UNTIL(world, world->ends[i].received_bytes == 1);
    close_all(peers, 20);
    engine_world_close(world);
}

/* Four peers sent much before the engine read anything, and a fifth sent one byte after them: the four do not get all buffers of a turn. */
static void a_peer_that_sends_much_leaves_buffers_to_others(void **state)
{
    enum { LOUD = 4, MUCH = 256 << 10 };
    static const uint8_t much[MUCH];
    struct engine_world *world =
        engine_world_open(&(struct engine_options){.receive_buffers = 32, .zerocopy = ENGINE_ZEROCOPY_OFF});
    int loud[LOUD], quiet;

    (void)state;
    for (unsigned i = 0; i < LOUD; i++)
        loud[i] = peer_open(world, 0);
    quiet = peer_open(world, 0);
    for (unsigned i = 0; i < LOUD; i++) {
        world->ends[i].is_loud = true;
        assert_true(send(loud[i], much, MUCH, MSG_DONTWAIT) > 100 << 10);
    }
    peer_write(quiet, "x", 1);
    for (unsigned turns = 0; world->ends[LOUD].received_bytes == 0; turns++) {
        assert_true(turns < LOUD + 3); /* each loud peer may fill all buffers once */
        engine_world_turn(world);
    }
    for (unsigned i = 0; i < LOUD; i++)
        assert_true(world->ends[i].received_bytes < 64 << 10);
    engine_world_settle(world);
    close_all(loud, LOUD);
    close(quiet);
    engine_world_close(world);
}

static void a_taken_port_is_noticed(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    struct address same, any, any6;
    int peer = peer_open(world, 0);

    (void)state;
    assert_int_equal(address_parse(&same, "127.0.0.1:1"), 0);
    assert_int_equal(address_parse(&any, "0.0.0.0:1"), 0);
    assert_int_equal(address_parse(&any6, "[::]:1"), 0);
    same.port = any.port = any6.port = engine_listen_port(world->engine);
    assert_int_equal(socket_check_address_is_free(NULL, &same), -EADDRINUSE);
    assert_int_equal(socket_check_address_is_free(NULL, &any), -EADDRINUSE);
    assert_int_equal(socket_check_address_is_free(NULL, &any6), -EADDRINUSE);
    /* The engine ends the connection first, so its end stays in TIME_WAIT, which must not make the port count as taken. */
    engine_finish(world->engine, world->ends[0].connection);
    engine_world_settle(world);
    close(peer);
    ENGINE_WORLD_UNTIL(world, world->ends[0].closes == 1);
    engine_world_close(world);
    assert_int_equal(socket_check_address_is_free(NULL, &same), 0);
}

/* A thread that wakes the world's engine; `own` is the world of the thread's own engine, NULL if it has none. */
struct waking_thread {
    struct engine_world *world, *own;
    pthread_t thread;
    _Atomic bool done;
};

static void *wake_often(void *argument)
{
    struct waking_thread *thread = argument;

    while (!atomic_load(&thread->done)) {
        if (thread->own)
            engine_turn(thread->own->engine, 0);
        waker_wake(engine_waker(thread->world->engine), thread->own ? engine_waker(thread->own->engine) : NULL);
    }
    return NULL;
}

static void every_sleep_is_ended(struct engine_world *world, struct engine_world *own)
{
    struct waking_thread thread = {.world = world, .own = own};

    assert_int_equal(pthread_create(&thread.thread, NULL, wake_often, &thread), 0);
    for (unsigned i = 0; i < 1000; i++) {
        engine_prepare_sleep(world->engine);
        engine_turn(world->engine, CLOCK_NEVER);
    }
    atomic_store(&thread.done, true);
    pthread_join(thread.thread, NULL);
    assert_true(world->woken > 0);
    assert_int_equal(counter_read(&world->engine->counters.wakeups), world->woken);
}

static void another_thread_wakes_the_engine(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);

    (void)state;
    every_sleep_is_ended(world, NULL);
    engine_world_close(world);
}

static void an_engine_of_any_kind_wakes_the_engine(void **state)
{
    (void)state;
    for (unsigned i = 0; engine_kinds[i]; i++) {
        struct engine_world *world, *own;

        if (!engine_world_has_kind(engine_kinds[i]->name))
            continue;
        world = engine_world_open(&defaults);
        own = engine_world_open_kind(engine_kinds[i]->name, &defaults);
        every_sleep_is_ended(world, own);
        engine_world_close(own);
        engine_world_close(world);
    }
}

static void an_engine_that_is_awake_is_not_woken(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);

    (void)state;
    engine_turn(world->engine, 0);
    waker_wake(engine_waker(world->engine), NULL);
    engine_world_settle(world);
    assert_int_equal(world->woken, 0);
    engine_prepare_sleep(world->engine);
    waker_wake(engine_waker(world->engine), NULL);
    waker_wake(engine_waker(world->engine), NULL);
    engine_turn(world->engine, CLOCK_NEVER);
    engine_world_settle(world);
    assert_int_equal(world->woken, 1);
    engine_world_close(world);
}

/* --- up to when everything is reported --- */

static void on_alarm(int number)
{
    (void)number;
}

/* As after SIGCONT: the wait ends at once, and what happened meanwhile has not been looked at. */
static void an_interrupted_wait_has_looked_at_nothing(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    const struct sigaction action = {.sa_handler = on_alarm};
    const struct itimerval soon = {.it_value.tv_usec = 20000};
    struct sigaction before;
    uint64_t reported_ns;

    (void)state;
    engine_world_settle(world);
    reported_ns = engine_turn(world->engine, 0);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    engine_prepare_sleep(world->engine);
    assert_int_equal(engine_turn(world->engine, CLOCK_NEVER), reported_ns);
    assert_true(engine_turn(world->engine, 0) > reported_ns);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    engine_world_close(world);
}

static void a_turn_does_not_claim_what_it_has_not_reported(void **state)
{
    enum { PEERS = 60 };
    struct engine_options options = {.receive_buffers = 128};
    struct engine_world *world = engine_world_open(&options);
    uint64_t written_ns, reported_ns;
    unsigned reported;
    int peers[PEERS];

    (void)state;
    for (unsigned i = 0; i < PEERS; i++)
        peers[i] = peer_open(world, 0);
    engine_world_settle(world);
    for (unsigned i = 0; i < PEERS; i++)
        peer_write(peers[i], "x", 1);
    for (unsigned i = 0; i < PEERS; i++)
        wait_readable(other_end_of(peers[i]));
    written_ns = clock_monotonic_ns();
    do {
        reported_ns = engine_turn(world->engine, 0);
        reported = 0;
        for (unsigned i = 0; i < PEERS; i++)
            reported += world->ends[i].received_bytes == 1;
        assert_true(reported == PEERS || reported_ns <= written_ns);
    } while (reported < PEERS || reported_ns <= written_ns);
    close_all(peers, PEERS);
    engine_world_close(world);
}

static int late_peer;
static uint64_t late_ns;

/* A handler that takes long: meanwhile a peer writes. */
static void let_another_peer_write(struct engine_world *world, struct end *end)
{
    if (end != &world->ends[0])
        return;
    peer_write(late_peer, "x", 1);
    wait_readable(other_end_of(late_peer));
    late_ns = clock_monotonic_ns();
    while (clock_monotonic_ns() == late_ns)
        ;
}

static void what_happens_while_a_handler_runs_is_not_claimed(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0);
    uint64_t reported_ns;

    (void)state;
    late_peer = peer_open(world, 0);
    late_ns = 0;
    engine_world_settle(world);
    world->during_handler = let_another_peer_write;
    peer_write(peer, "x", 1);
    do {
        reported_ns = engine_turn(world->engine, 0);
        assert_true(late_ns == 0 || world->ends[1].received_bytes == 1 || reported_ns <= late_ns);
    } while (world->ends[1].received_bytes == 0);
    close(late_peer);
    close(peer);
    engine_world_close(world);
}

static void everything_open_is_freed_with_the_engine(void **state)
{
    struct engine_world *world = engine_world_open(&defaults);
    int peer = peer_open(world, 0), aborted = peer_open(world, 0), descriptors[3];
    struct address busy = busy_port(descriptors);

    (void)state;
    engine_connect(world->engine, &busy, &world->ends[8]);
    engine_world_turn(world);
    engine_connect(world->engine, &busy, &world->ends[9]);
    engine_world_append(world, 1, 1000);
    engine_append_frames(world->engine, world->ends[0].connection, 0, 1, 2);
    engine_append_bytes(world->engine, world->ends[0].connection, "pong", 4);
    engine_serve(world->engine, world->ends[0].connection);
    engine_abort(world->engine, world->ends[1].connection);
    engine_world_close(world);
    assert_int_equal(peer_end(peer), -ECONNRESET);
    close_all(descriptors, 3);
    close(peer);
    close(aborted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_is_accepted_with_its_address),
        cmocka_unit_test(accepted_sockets_have_the_listeners_options),
        cmocka_unit_test(an_ipv6_listener_takes_both_families),
        cmocka_unit_test(two_engines_talk),
        cmocka_unit_test(what_is_appended_while_connecting_goes_out),
        cmocka_unit_test(a_refused_connect_is_reported_and_gone),
        cmocka_unit_test(a_connect_that_failed_lets_go_of_what_was_to_be_sent),
        cmocka_unit_test(an_aborted_connect_is_closed),
        cmocka_unit_test(what_is_not_consumed_is_kept_and_offered_again),
        cmocka_unit_test(finish_ends_once_both_sides_did),
        cmocka_unit_test(abort_resets),
        cmocka_unit_test(a_reset_by_the_peer_is_an_error),
        cmocka_unit_test(slots_are_used_again),
        cmocka_unit_test(a_pause_is_exact),
        cmocka_unit_test(a_turn_accepts_a_bounded_number),
        cmocka_unit_test(a_turn_that_accepts_does_not_sleep),
        cmocka_unit_test(a_turn_that_tells_of_an_end_does_not_sleep),
        cmocka_unit_test(a_turn_that_tells_of_the_end_of_a_connect_that_has_not_begun_does_not_sleep),
        cmocka_unit_test(out_of_descriptors_accepting_waits),
        cmocka_unit_test(without_descriptors_of_the_budget_accepting_waits),
        cmocka_unit_test(short_of_descriptors_a_turn_accepts_one),
        cmocka_unit_test(out_of_descriptors_accepting_is_tried_again),
        cmocka_unit_test(a_stopped_listener_leaves_nobody_behind),
        cmocka_unit_test(a_peer_that_sends_much_leaves_buffers_to_others),
        cmocka_unit_test(a_taken_port_is_noticed),
        cmocka_unit_test(another_thread_wakes_the_engine),
        cmocka_unit_test(an_engine_of_any_kind_wakes_the_engine),
        cmocka_unit_test(an_engine_that_is_awake_is_not_woken),
        cmocka_unit_test(an_interrupted_wait_has_looked_at_nothing),
        cmocka_unit_test(a_turn_does_not_claim_what_it_has_not_reported),
        cmocka_unit_test(what_happens_while_a_handler_runs_is_not_claimed),
        cmocka_unit_test(everything_open_is_freed_with_the_engine),
    };

    return engine_world_run(tests, sizeof tests / sizeof tests[0]);
}

/* More completions than the io_uring engine handles in a turn: the others wait, and what they concern stays held. */
#include "common/process.h"
#include "flashrelay/engine_uring.h"
#include "flashrelay/holds.h"
#include "support/channels.h"
#include "support/skip.h"
#include "support/zerocopy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* More connections than an engine handles completions in a turn, and more turns than all completions take. */
enum { CONNECTIONS = 1100, TURNS = 8, FRAME_BYTES = 200000, PEERS_PER_TURN = 32, DESCRIPTORS = 2 * CONNECTIONS + 100 };

static struct connection *connections[CONNECTIONS];
static unsigned accepted;
static int peers[CONNECTIONS];

static void on_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    (void)context, (void)peer, (void)now_ns;
    connection->owner = connection;
    connections[accepted++] = connection;
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    (void)context, (void)connection, (void)bytes, (void)now_ns;
    return length;
}

static void on_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context, (void)connection, (void)progress, (void)now_ns;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)error, (void)now_ns;
    assert_true(connection->pinned_sequence == HOLDS_NONE);
    if (connection == connections[0])
        *(bool *)context = true;
}

static void on_woken(void *context, uint64_t now_ns)
{
    (void)context, (void)now_ns;
}

static const struct engine_handler handler = {
    .accepted = on_accepted, .received = on_received, .progressed = on_progressed, .closed = on_closed, .woken = on_woken};

static void open_peers(struct engine *engine)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    server.sin_port = htons(engine_listen_port(engine));
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(peers[i], (struct sockaddr *)&server, sizeof server), 0);
        while (accepted + PEERS_PER_TURN <= i)
            engine_turn(engine, 0);
    }
    while (accepted < CONNECTIONS)
        engine_turn(engine, 0);
}

static struct engine *open_engine(enum engine_zerocopy zerocopy, struct descriptor_budget *descriptors, bool *is_first_closed)
{
    struct engine_options options = {.handler = &handler,
                                     .context = is_first_closed,
                                     .max_connections = 2 * CONNECTIONS,
                                     .receive_buffers = 64,
                                     .receive_buffer_bytes = 1024,
                                     .sends_per_turn = 256,
                                     .zerocopy = zerocopy,
                                     .descriptors = descriptors};
    struct engine *engine;

    if (process_raise_descriptor_limit() < DESCRIPTORS)
        skip_because("the limit of open files is too low");
    if (engine_uring_create(&engine, &options) != 0)
        skip_because("io_uring is forbidden here");
    accepted = 0;
    return engine;
}

/* Listens, and accepts CONNECTIONS peers. */
static void listen_for_peers(struct engine *engine)
{
    struct address address;

    assert_int_equal(address_parse(&address, "127.0.0.1:0"), 0);
    assert_int_equal(engine_listen(engine, &address, &(struct engine_listen_options){.backlog = 4 * PEERS_PER_TURN}), 0);
    open_peers(engine);
}

static void close_peers(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        close(peers[i]);
}

/* Each connection that is reset causes at least two completions: one ends its receive, one closes its socket. */
static void a_turn_handles_a_bounded_number_of_completions(void **state)
{
    struct descriptor_budget budget = {.left = CONNECTIONS};
    bool is_first_closed = false;
    struct engine *engine = open_engine(ENGINE_ZEROCOPY_OFF, &budget, &is_first_closed);

    (void)state;
    listen_for_peers(engine);
    assert_int_equal(atomic_load(&budget.left), 0);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        engine_abort(engine, connections[i]);
    for (int left = 0; left < CONNECTIONS;) {
        int before = left;

        engine_turn(engine, 0);
        left = (int)atomic_load(&budget.left);
        assert_in_range(left - before, 0, CONNECTIONS - 1);
    }
    close_peers();
    engine_destroy(engine);
}

/*
 * All connections but the first are reset in the turn that submits a send of the first: their completions come before that of the send,
 * which is then left for the next turn. The first is reset before that.
 */
static void a_send_is_pinned_from_its_submission_on(void **state)
{
    static struct channel_marks marks;
    struct channel *channel = make_channel(&marks, 1, 4 << 20, 64);
    bool is_closed = false, kernel_reports;
    struct engine *engine = open_engine(ENGINE_ZEROCOPY_ON, NULL, &is_closed);
    struct holds holds;
    uint64_t sends, mark;
    int number;

    (void)state;
    kernel_reports = engine_uring_features(engine)->zerocopy_report;
    assert_int_equal(holds_init(&holds, 64), 0);
    channel_reader_join(channel, 0);
    number = engine_add_channel(engine, channel, &holds);
    assert_true(number >= 0);
    listen_for_peers(engine);
    append_filled(channel, 1, FRAME_BYTES, 0);

    assert_int_equal(engine_append_frames(engine, connections[0], (uint16_t)number, 1, 2), 0);
    engine_serve(engine, connections[0]);
    for (unsigned i = 1; i < CONNECTIONS; i++)
        engine_abort(engine, connections[i]);
    engine_turn(engine, 0);
    sends = counter_read(&engine->counters.zerocopy_sends);
    engine_abort(engine, connections[0]);
    mark = 1;
    for (unsigned turns = 0; turns < TURNS || !is_closed; turns++) {
        uint64_t lowest = holds_lowest(&holds);
        assert_true(lowest >= mark); /* a shard has published the mark, and may not take it back */
        mark = lowest == HOLDS_NONE ? 2 : lowest;
        engine_turn(engine, 0);
    }
    assert_int_equal(holds_lowest(&holds), HOLDS_NONE);
    close_peers();
    engine_destroy(engine);
    channel_destroy(channel);
    holds_dispose(&holds);
    if (sends == 0)
        end_without_zerocopy(kernel_reports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_handles_a_bounded_number_of_completions),
        cmocka_unit_test(a_send_is_pinned_from_its_submission_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

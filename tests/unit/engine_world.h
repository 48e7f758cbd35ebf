/* What the tests of an engine share: one io_uring engine with a log, its handler's record of what happened, and plain sockets as peers. */
#ifndef TESTS_UNIT_ENGINE_WORLD_H
#define TESTS_UNIT_ENGINE_WORLD_H

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine.h"
#include "flashrelay/engine_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORLD_ENTRIES = 256, WORLD_ARENA = 2 << 20, WORLD_CONNECTIONS = 64, WORLD_RECEIVED = 4096, WORLD_BINARY = 2 };

/* What became of one connection. */
struct end {
    struct connection *connection; /* NULL once closed */
    struct address peer;
    uint8_t received[WORLD_RECEIVED];
    size_t received_bytes, consume_limit; /* 0: everything */
    unsigned finishes, closes, connects;
    int error; /* of connected or closed */
    uint64_t sent_bytes, sent_frames;
    unsigned progresses, blocks;
};

struct world {
    struct engine *engine;
    struct channel_marks marks;
    struct channel *channel;
    struct holds holds;
    struct end ends[WORLD_CONNECTIONS];
    unsigned end_count, woken, refuse, pause_after;
};

static inline void world_accepted(void *context, struct connection *connection, const struct address *peer, uint64_t now_ns)
{
    struct world *world = context;
    struct end *end = &world->ends[world->end_count++];

    (void)now_ns;
    assert_true(world->end_count <= WORLD_CONNECTIONS);
    end->connection = connection;
    end->peer = *peer;
    connection->owner = end;
    if (world->refuse)
        engine_abort(world->engine, connection);
    if (world->end_count == world->pause_after)
        engine_accept_pause(world->engine, true);
}

static inline void world_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct end *end = connection->owner;

    (void)context;
    (void)now_ns;
    end->connects++;
    end->error = error;
    end->connection = error == 0 ? connection : NULL;
}

static inline size_t world_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct end *end = connection->owner;
    size_t consumed = end->consume_limit != 0 && end->consume_limit < length ? end->consume_limit : length;

    (void)context;
    (void)now_ns;
    if (length == 0)
        end->finishes++;
    assert_int_equal(end->finishes, length == 0);
    assert_true(end->received_bytes + consumed <= WORLD_RECEIVED);
    memcpy(end->received + end->received_bytes, bytes, consumed);
    end->received_bytes += consumed;
    return consumed;
}

static inline void world_progressed(void *context, struct connection *connection, const struct engine_progress *progress,
                                    uint64_t now_ns)
{
    struct end *end = connection->owner;

    (void)context;
    (void)now_ns;
    end->progresses++;
    end->sent_bytes += progress->bytes;
    end->sent_frames += progress->frames;
    end->blocks += connection->blocked;
}

static inline void world_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct end *end = connection->owner;

    (void)context;
    (void)now_ns;
    end->closes++;
    end->error = error;
    end->connection = NULL;
}

static inline void world_woken(void *context, uint64_t now_ns)
{
    (void)now_ns;
    ((struct world *)context)->woken++;
}

static const struct engine_handler world_handler = {
    .accepted = world_accepted,
    .connected = world_connected,
    .received = world_received,
    .progressed = world_progressed,
    .closed = world_closed,
    .woken = world_woken,
};

static inline void world_close(struct world *world)
{
    engine_destroy(world->engine);
    assert_int_equal(holds_lowest(&world->holds), HOLDS_NONE);
    holds_dispose(&world->holds);
    channel_destroy(world->channel);
    free(world);
}

/*
 * Opens a world whose engine listens at `listen_at`; zero members of `wanted` take what suits most tests. NULL where this machine has
 * no such address.
 */
static inline struct world *world_open_at(const struct engine_options *wanted, const char *listen_at)
{
    struct world *world = aligned_alloc(64, sizeof *world);
    struct engine_options options = *wanted;
    struct engine_listen_options listening = {.backlog = 128, .notsent_lowat_bytes = 65536};
    struct channel_options channel = {
        .name = "test", .arena_bytes = WORLD_ARENA, .entries = WORLD_ENTRIES, .marks = &world->marks};
    struct address address;
    const uint8_t *memory;
    size_t length;

    assert_non_null(world);
    memset(world, 0, sizeof *world);
    channel_marks_init(&world->marks, 1);
    assert_int_equal(channel_create(&world->channel, &channel), 0);
    assert_int_equal(holds_init(&world->holds, WORLD_ENTRIES), 0);
    channel_reader_join(world->channel, 0);
    options.handler = &world_handler;
    options.context = world;
    options.holds = &world->holds;
    options.max_connections = options.max_connections ? options.max_connections : WORLD_CONNECTIONS;
    options.receive_buffers = options.receive_buffers ? options.receive_buffers : 64;
    options.receive_buffer_bytes = 1024;
    options.sends_per_turn = options.sends_per_turn ? options.sends_per_turn : 32;
    assert_int_equal(engine_uring_create(&world->engine, &options), 0);
    channel_memory(world->channel, &memory, &length);
    engine_register_memory(world->engine, memory, length);
    assert_int_equal(address_parse(&address, listen_at), 0);
    if (engine_listen(world->engine, &address, &listening) != 0) {
        world_close(world);
        return NULL;
    }
    assert_int_not_equal(engine_listen_port(world->engine), 0);
    return world;
}

/* The usual world listens on a port of 127.0.0.1. */
static inline struct world *world_open(const struct engine_options *wanted)
{
    struct world *world = world_open_at(wanted, "127.0.0.1:0");

    if (!world) {
        fputs("127.0.0.1 can't be listened on\n", stderr);
        exit(1);
    }
    return world;
}

static inline void world_turn(struct world *world)
{
    uint64_t lowest;

    engine_turn(world->engine, clock_monotonic_ns() + 2 * NS_PER_MS);
    lowest = holds_lowest(&world->holds);
    channel_mark_set(&world->marks, 0, lowest != HOLDS_NONE ? lowest : channel_head(world->channel) + 1);
}

/* Takes turns until `condition` holds; fails the test if it does not in time. */
#define WORLD_UNTIL(world, condition)                                     \
    do {                                                                  \
        uint64_t limit_ns_ = clock_monotonic_ns() + 20 * NS_PER_S;        \
        while (!(condition)) {                                            \
            world_turn(world);                                            \
            assert_true((condition) || clock_monotonic_ns() < limit_ns_); \
        }                                                                 \
    } while (0)

/* Turns enough that whatever was going to happen by itself has happened. */
static inline void world_settle(struct world *world)
{
    for (unsigned i = 0; i < 20; i++)
        world_turn(world);
}

static inline struct sockaddr_in world_sockaddr(const struct world *world)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(engine_listen_port(world->engine)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

/* A peer's socket, connected; the engine may not have accepted it yet. `receive_bytes`: its SO_RCVBUF, 0 for the system's. */
static inline int peer_connect(const struct world *world, int receive_bytes)
{
    struct sockaddr_in address = world_sockaddr(world);
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(descriptor >= 0);
    if (receive_bytes != 0)
        assert_int_equal(setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes), 0);
    assert_int_equal(connect(descriptor, (struct sockaddr *)&address, sizeof address), 0);
    return descriptor;
}

/* A peer that the engine has accepted, as the newest end. */
static inline int peer_open(struct world *world, int receive_bytes)
{
    unsigned before = world->end_count;
    int descriptor = peer_connect(world, receive_bytes);

    WORLD_UNTIL(world, world->end_count == before + 1);
    return descriptor;
}

/* Reads exactly `length` bytes, taking the engine's turns meanwhile. */
static inline void peer_read(struct world *world, int descriptor, uint8_t *bytes, size_t length)
{
    uint64_t limit_ns = clock_monotonic_ns() + 20 * NS_PER_S;

    while (length > 0) {
        ssize_t got = recv(descriptor, bytes, length, MSG_DONTWAIT);

        assert_true(got > 0 || (got < 0 && errno == EAGAIN && clock_monotonic_ns() < limit_ns));
        if (got > 0) {
            bytes += got;
            length -= (size_t)got;
        } else {
            world_turn(world);
        }
    }
}

static inline void peer_write(int descriptor, const void *bytes, size_t length)
{
    assert_int_equal(send(descriptor, bytes, length, MSG_NOSIGNAL), length);
}

/* What a blocking read finds at the end of the stream: 0 for FIN, or -errno. */
static inline int peer_end(int descriptor)
{
    uint8_t byte;
    ssize_t got = recv(descriptor, &byte, 1, 0);

    return got < 0 ? -errno : (int)got;
}

/* Appends a frame of `length` payload bytes filled with `sequence`. */
static inline void world_append(struct world *world, uint64_t sequence, size_t length)
{
    uint8_t *payload = malloc(length);

    memset(payload, (int)sequence, length);
    assert_int_equal(channel_append(world->channel, sequence, WORLD_BINARY, payload, length, clock_monotonic_ns()), 0);
    free(payload);
}

#endif

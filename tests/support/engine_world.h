/* One io_uring engine with a log, and its handler's record of what happened: what the tests of that engine are written in. */
#ifndef TESTS_SUPPORT_ENGINE_WORLD_H
#define TESTS_SUPPORT_ENGINE_WORLD_H

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ENGINE_WORLD_ENTRIES = 256, ENGINE_WORLD_ARENA = 2 << 20, ENGINE_WORLD_CONNECTIONS = 64, ENGINE_WORLD_RECEIVED = 4096 };

/* What became of one connection. */
struct end {
    struct connection *connection; /* NULL once closed */
    struct address peer;
    uint8_t received[ENGINE_WORLD_RECEIVED];
    size_t received_bytes, consume_limit; /* 0: everything */
    bool is_loud;                         /* what it sends is counted, not kept */
    unsigned finishes, closes, connects;
    int error; /* of connected or closed */
    uint64_t sent_bytes, sent_frames;
    unsigned progresses, blocks;
};

struct engine_world {
    struct engine *engine;
    struct channel_marks marks;
    struct channel *channel;
    struct holds holds;
    struct end ends[ENGINE_WORLD_CONNECTIONS];
    unsigned end_count, woken, refuse, pause_after;
};

/*
 * Opens a world whose engine listens at `listen_at`; zero members of `wanted` take what suits most tests. NULL where this machine has
 * no such address; skips the test where it has no io_uring.
 */
struct engine_world *engine_world_open_at(const struct engine_options *wanted, const char *listen_at);

/* The usual world listens on a port of 127.0.0.1; ends the program where that fails. */
struct engine_world *engine_world_open(const struct engine_options *wanted);

/* Frees it; asserts that the engine lets go of every frame. */
void engine_world_close(struct engine_world *world);

/* One turn of the engine, of 2 ms at the most; then the log is freed below what the engine still holds. */
void engine_world_turn(struct engine_world *world);

/* Turns enough that whatever was going to happen by itself has happened. */
void engine_world_settle(struct engine_world *world);

/* Appends a binary frame of `length` payload bytes filled with `sequence`. */
void engine_world_append(struct engine_world *world, uint64_t sequence, size_t length);

/* Takes turns until `condition` holds; fails the test if it does not in time. */
#define ENGINE_WORLD_UNTIL(world, condition)                              \
    do {                                                                  \
        uint64_t limit_ns_ = clock_monotonic_ns() + 20 * NS_PER_S;        \
        while (!(condition)) {                                            \
            engine_world_turn(world);                                     \
            assert_true((condition) || clock_monotonic_ns() < limit_ns_); \
        }                                                                 \
    } while (0)

#endif

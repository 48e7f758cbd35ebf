/*
 * One engine on kernel sockets with a log, and its handler's record of what happened: what the tests of these engines are written in.
 * They are run once per kind of engine.
 */
#ifndef TESTS_SUPPORT_ENGINE_WORLD_H
#define TESTS_SUPPORT_ENGINE_WORLD_H

#include "flashrelay/channel.h"
#include "flashrelay/clock.h"
#include "flashrelay/engine.h"
#include "flashrelay/engine_kind.h"

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
    unsigned finishes, closes, connects, detaches;
    int error; /* of connected or closed */
    uint64_t sent_bytes, sent_frames;
    unsigned progresses, blocks;
};

struct engine_world {
    struct engine_choice engines;
    struct engine *engine;
    struct channel_marks marks;
    struct channel *channel;
    struct holds holds;
    struct end ends[ENGINE_WORLD_CONNECTIONS];
    unsigned end_count, woken, refuse, pause_after;
    struct engine_world *log_of; /* whose log and holds it has */
    /* Where detached connections go, as its newest ends; back to their own world if it refuses. NULL: nowhere. */
    struct engine_world *move_to;
    int attach_error;        /* of the last one that moved */
    int detached_descriptor; /* of the last one */
};

/*
 * Runs the tests once per kind, or for the kind called `name` alone, in a group of that name; how many failed. Worlds are of that kind;
 * a test that opens one is skipped where the system forbids it.
 */
int engine_world_run(const struct CMUnitTest *tests, size_t count);
int engine_world_run_kind(const char *name, const struct CMUnitTest *tests, size_t count);

/* The name of the kind that the tests are run for. */
const char *engine_world_kind(void);

/* True if this system allows engines of that kind. */
bool engine_world_has_kind(const char *name);

/*
 * Opens a world whose engine listens at `listen_at`; zero members of `wanted` take what suits most tests. NULL where this machine has
 * no such address; skips the test where it has no io_uring.
 */
struct engine_world *engine_world_open_at(const struct engine_options *wanted, const char *listen_at);

/* The usual world listens on a port of 127.0.0.1; ends the program where that fails. */
struct engine_world *engine_world_open(const struct engine_options *wanted);

/* The same of another kind than the one that the tests are run for. */
struct engine_world *engine_world_open_kind(const char *kind, const struct engine_options *wanted);

/* The same of any kind, which has the log of another one, and so can take over its connections. Closed before that one. */
struct engine_world *engine_world_open_beside(struct engine_world *other, const char *kind, const struct engine_options *wanted);

/* Frees it; asserts that the engine lets go of every frame. */
void engine_world_close(struct engine_world *world);

/* One turn of the engine, of 2 ms at the most; then the log is freed below what the engine still holds. */
void engine_world_turn(struct engine_world *world);

/* Turns enough that whatever was going to happen by itself has happened. */
void engine_world_settle(struct engine_world *world);

/* Appends a binary frame of `length` payload bytes filled with `sequence`. */
void engine_world_append(struct engine_world *world, uint64_t sequence, size_t length);

/* Hands the frames [from, to), or the bytes of a text, to end number `end` to be sent. */
void engine_world_send_frames(struct engine_world *world, unsigned end, uint64_t from, uint64_t to);
void engine_world_send_text(struct engine_world *world, unsigned end, const char *text);

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

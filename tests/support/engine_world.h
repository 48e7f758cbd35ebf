/*
 * One engine on kernel sockets with a log, and a handler that records what happens: the fixture of the tests of these engines. The tests
 * are run once per kind of engine.
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

enum { ENGINE_WORLD_ENTRIES = 256, ENGINE_WORLD_ARENA = 2 << 20, ENGINE_WORLD_CONNECTIONS = 128, ENGINE_WORLD_RECEIVED = 4096 };

/* The record of one connection of the engine. */
struct end {
    struct connection *connection; /* NULL once closed */
    struct address peer;
    uint8_t received[ENGINE_WORLD_RECEIVED];
    size_t received_bytes, consume_limit; /* 0: everything */
    bool is_loud;                         /* the bytes that the peer sends are counted, not kept */
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
    /* Called by the handler of accepted connections and of received bytes, before it returns; NULL: nothing. */
    void (*during_handler)(struct engine_world *world, struct end *end);
    struct engine_world *log_of; /* the world whose log and holds it uses; itself, if they are its own */
    /* The world that takes over detached connections, as its newest ends; if its engine refuses one, that returns to its own world.
     * NULL: detached connections are not attached again. */
    struct engine_world *move_to;
    /* Called instead, unless it is NULL: takes over a detached connection and its descriptor; what `handoff` lends ends with the call. */
    void (*hand_over)(const struct engine_handoff *handoff);
    int attach_error;        /* of the last connection that moved */
    int detached_descriptor; /* of the last detached connection */
};

/*
 * Runs the tests once per kind, or for the kind called `name` alone, in a group of that name. Returns how many failed. The tests' worlds are
 * of that kind; a test that opens one is skipped where the system forbids engines of that kind.
 */
int engine_world_run(const struct CMUnitTest *tests, size_t count);
int engine_world_run_kind(const char *name, const struct CMUnitTest *tests, size_t count);

/* The name of the kind that the tests are run for. */
const char *engine_world_kind(void);

/* True if this system allows engines of that kind. */
bool engine_world_has_kind(const char *name);

/*
 * Opens a world whose engine listens at `listen_at`; members of `wanted` that are 0 get values that suit most tests. NULL if this machine
 * has no such address; skips the test where the system forbids engines of the kind.
 */
struct engine_world *engine_world_open_at(const struct engine_options *wanted, const char *listen_at);

/* Opens a world that listens on a port of 127.0.0.1; ends the program if that fails. */
struct engine_world *engine_world_open(const struct engine_options *wanted);

/* The same with an engine of `kind`, which need not be the kind that the tests are run for. */
struct engine_world *engine_world_open_kind(const char *kind, const struct engine_options *wanted);

/* The same with an engine of `kind` and the log of `other`, so that it can take over connections of `other`. Must be closed before `other`. */
struct engine_world *engine_world_open_beside(struct engine_world *other, const char *kind, const struct engine_options *wanted);

/* Frees the world. If the log is its own, asserts that no frame is held any more. */
void engine_world_close(struct engine_world *world);

/* Runs one turn of the engine, of 2 ms at the most; then lets the log be freed below the lowest frame that is still held. */
void engine_world_turn(struct engine_world *world);

/* Runs enough turns for everything pending to happen. */
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

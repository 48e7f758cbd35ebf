/* One turn: prepare everything that is due, one system call, then handle what completed. */
#include "engine/uring/uring.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <string.h>

/* Several times the sends of a turn. */
#define COMPLETIONS_PER_TURN 1024u

void uring_todo(struct uring_engine *engine, struct uring_connection *connection)
{
    if (connection->in_todo)
        return;
    connection->in_todo = true;
    queue_append(&engine->todo, &connection->todo);
}

static void work_off(struct uring_engine *engine, struct uring_connection *connection)
{
    connection->in_todo = false;
    if (connection->base.dead && !connection->ended && !connection->reported)
        uring_end(engine, connection, 0);
    if (!connection->base.dead && connection->connecting && connection->descriptor < 0)
        uring_connect_start(engine, connection);
    if (!connection->base.dead && connection->resume_wanted)
        uring_receive_offer_kept(engine, connection);
    uring_finish_proceed(engine, connection);
    uring_detach_proceed(engine, connection);
    uring_slot_release(engine, connection);
}

/* Works off the todo queue; what handlers add to it meanwhile is for the next turn. True if there was anything to do. */
static bool do_todo(struct uring_engine *engine)
{
    struct queue todo = engine->todo;
    struct queue_node *node;
    bool busy = !queue_is_empty(&todo);

    engine->todo = (struct queue){0};
    while ((node = queue_take(&todo)))
        work_off(engine, QUEUE_ENTRY(node, struct uring_connection, todo));
    return busy;
}

static void complete_operation(struct uring_engine *engine, const struct io_uring_cqe *completion)
{
    struct uring_connection *connection = uring_tagged(engine, completion->user_data);
    unsigned operation = (unsigned)(completion->user_data >> URING_OPERATION_SHIFT);

    if (!connection)
        return;
    if (!(completion->flags & IORING_CQE_F_MORE))
        connection->operations--;
    switch (operation) {
    case URING_RECEIVE:
        uring_received(engine, connection, completion->res, completion->flags);
        break;
    case URING_SEND:
        uring_sent(engine, connection, completion->res);
        break;
    case URING_WRITABLE:
        uring_writable(engine, connection);
        break;
    case URING_CONNECT:
        uring_connect_done(engine, connection, completion->res);
        break;
    case URING_CANCEL:
        connection->receive_cancelled = connection->receive_cancelled && completion->res >= 0;
        break;
    case URING_CLOSE:
        descriptor_budget_return(engine->base.options.descriptors);
        listener_retry(&engine->listener);
        break;
    default:
        uring_zerocopy_done(engine, connection, operation - URING_SEND_ZEROCOPY, completion->res, completion->flags);
    }
    uring_detach_proceed(engine, connection);
    uring_slot_release(engine, connection);
}

static void woken(struct uring_engine *engine)
{
    counter_add(&engine->base.counters.wakeups, 1);
    uring_handler(engine)->woken(engine->base.options.context, engine->now_ns);
}

static void complete(struct uring_engine *engine, const struct io_uring_cqe *completion)
{
    switch ((enum uring_operation)(completion->user_data >> URING_OPERATION_SHIFT)) {
    case URING_LISTENER:
        uring_listener_ready(engine);
        break;
    case URING_WAKE_EVENT:
        uring_wake_arm(engine);
        woken(engine);
        break;
    case URING_WOKEN:
        woken(engine);
        break;
    case URING_WAKE_FAILED:
        uring_wake_fallback(completion->user_data & ((UINT64_C(1) << URING_OPERATION_SHIFT) - 1));
        break;
    default:
        complete_operation(engine, completion);
    }
}

/*
 * Handles the completions that are there, at most COMPLETIONS_PER_TURN: thousands of resets at once must not keep other connections waiting.
 * True if those were all; completions that handlers cause are for the next turn.
 */
static bool reap(struct uring_engine *engine)
{
    unsigned ready = io_uring_cq_ready(&engine->ring);

    for (unsigned left = ready < COMPLETIONS_PER_TURN ? ready : COMPLETIONS_PER_TURN; left > 0; left--) {
        struct io_uring_cqe *entry;
        struct io_uring_cqe completion;

        if (io_uring_peek_cqe(&engine->ring, &entry) != 0)
            break;
        memcpy(&completion, entry, sizeof completion);
        io_uring_cqe_seen(&engine->ring, entry);
        complete(engine, &completion);
    }
    return ready <= COMPLETIONS_PER_TURN;
}

/* Submits, and waits if `sleep`. False if that was interrupted or failed: then the kernel may not have looked at I/O. */
static bool enter(struct uring_engine *engine, bool sleep, uint64_t deadline_ns)
{
    uint64_t left_ns = deadline_ns > engine->now_ns ? deadline_ns - engine->now_ns : 0;
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(left_ns / NS_PER_S),
        .tv_nsec = (int64_t)(left_ns % NS_PER_S),
    };
    struct io_uring_cqe *first;
    int result;

    uring_count_system_call(engine);
    if (sleep && left_ns > 0)
        result = io_uring_submit_and_wait_timeout(&engine->ring, &first, 1, deadline_ns == CLOCK_NEVER ? NULL : &timeout, NULL);
    else
        result = io_uring_submit_and_get_events(&engine->ring);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN)
        log_line(LOG_ERROR, "uring", "io_uring_enter: %s", strerror(-result));
    return result >= 0 || result == -ETIME;
}

/*
 * True if the kernel knows of events of which it has not made completions: Linux 6.14 and later make at most 20 per call where DEFER_TASKRUN
 * is used, and the completion queue may be full.
 */
static bool has_unreported_events(const struct uring_engine *engine)
{
    return (IO_URING_READ_ONCE(*engine->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static void start(struct uring_engine *engine)
{
    uring_ring_enable(engine);
    engine->reported_until_ns = clock_monotonic_ns();
    uring_zerocopy_start(engine);
    uring_wake_arm(engine);
}

uint64_t uring_turn(struct engine *base, uint64_t deadline_ns)
{
    struct uring_engine *engine = uring_of(base);
    bool busy, has_looked;

    if (!engine->enabled)
        start(engine);
    engine->now_ns = clock_monotonic_ns();
    engine->turn++;
    busy = do_todo(engine);
    busy |= uring_listener_turn(engine, &deadline_ns);
    busy |= uring_send_prepare(engine) > 0;
    busy |= io_uring_cq_ready(&engine->ring) > 0 || uring_receive_is_due(engine);
    busy |= !queue_is_empty(&engine->todo) || !queue_is_empty(&engine->send_queue) || base->options.busy_poll;
    has_looked = enter(engine, !busy, deadline_ns) && !has_unreported_events(engine);
    waker_end_sleep(&base->waker);
    engine->now_ns = clock_monotonic_ns();
    uint64_t wait_ended_ns = engine->now_ns;
    if (reap(engine) && has_looked)
        engine->reported_until_ns = wait_ended_ns;
    uring_receive_restart_waiting(engine);
    return engine->reported_until_ns;
}

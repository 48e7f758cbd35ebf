/*
 * Plain sends: each ends inside the system call that submits it, so between turns the kernel holds no frame. If the socket refuses bytes,
 * the connection waits on a poll for writability, which names no frame.
 */
#include "engine/extents.h"
#include "engine/uring/uring.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

static void enqueue(struct uring_engine *engine, struct uring_connection *connection)
{
    connection->base.queued = true;
    queue_append(&engine->send_queue, &connection->queued);
}

static struct uring_connection *dequeue(struct uring_engine *engine)
{
    struct uring_connection *connection = QUEUE_ENTRY(queue_take(&engine->send_queue), struct uring_connection, queued);

    connection->base.queued = false;
    return connection;
}

void uring_serve(struct engine *base, struct connection *connection)
{
    enqueue(uring_of(base), uring_connection_of(connection));
}

/* Reports the progress of a service, and queues the connection again if bytes are left that the socket has not refused. */
static void report(struct uring_engine *engine, struct uring_connection *connection, const struct engine_progress *progress)
{
    struct connection *base = &connection->base;

    uring_handler(engine)->progressed(engine->base.options.context, base, progress, engine->now_ns);
    if (base->dead)
        return;
    if (base->extent_count > 0 && !base->blocked && !base->queued && !base->detaching)
        enqueue(engine, connection);
    uring_finish_proceed(engine, connection);
}

static void prepare(struct uring_engine *engine, struct uring_connection *connection)
{
    const uint8_t *bytes;
    size_t length = extents_next_run(&engine->base, &connection->base, URING_SEND_BYTES, &bytes);
    struct io_uring_sqe *submission;

    if (length == 0) {
        report(engine, connection, &(struct engine_progress){0});
        return;
    }
    connection->base.offered_bytes = (uint32_t)length;
    counter_add(&engine->base.counters.sends, 1);
    if (uring_zerocopy_prepare(engine, connection, bytes, length))
        return;
    submission = uring_submission(engine);
    io_uring_prep_send(submission, connection->descriptor, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    uring_tag(engine, connection, submission, URING_SEND);
}

unsigned uring_send_prepare(struct uring_engine *engine)
{
    unsigned served = 0;

    while (!queue_is_empty(&engine->send_queue) && served < engine->base.options.sends_per_turn) {
        struct uring_connection *connection = dequeue(engine);

        served++;
        if (connection->base.dead) {
            uring_slot_release(engine, connection);
            continue;
        }
        if (connection->base.detaching)
            uring_todo(engine, connection);
        else if (connection->base.offered_bytes == 0 && !connection->connecting)
            prepare(engine, connection);
        /* Otherwise its send or its connect is outstanding, and the completion goes on with the connection. */
    }
    return served;
}

static void wait_for_room(struct uring_engine *engine, struct uring_connection *connection)
{
    struct io_uring_sqe *submission;

    counter_add(&engine->base.counters.blocked, 1);
    connection->base.blocked = true;
    if (connection->writable_armed || connection->base.detaching)
        return;
    submission = uring_submission(engine);
    io_uring_prep_poll_add(submission, connection->descriptor, POLLOUT);
    uring_tag(engine, connection, submission, URING_WRITABLE);
    connection->writable_armed = true;
}

void uring_sent(struct uring_engine *engine, struct uring_connection *connection, int result)
{
    struct connection *base = &connection->base;
    size_t offered = base->offered_bytes;
    struct engine_progress progress;

    base->offered_bytes = 0;
    if (base->dead)
        return;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
        uring_fail(engine, connection, result);
        return;
    }
    extents_take(&engine->base, base, result > 0 ? (size_t)result : 0, &progress);
    counter_add(&engine->base.counters.bytes_sent, progress.bytes);
    if (progress.bytes > 0 && progress.bytes < offered)
        counter_add(&engine->base.counters.short_sends, 1);
    if (progress.bytes < offered && result != -EINTR)
        wait_for_room(engine, connection);
    report(engine, connection, &progress);
}

void uring_writable(struct uring_engine *engine, struct uring_connection *connection)
{
    connection->writable_armed = false;
    if (connection->base.dead)
        return;
    connection->base.blocked = false;
    if (!connection->base.queued && !connection->base.detaching)
        enqueue(engine, connection);
}

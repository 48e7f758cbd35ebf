/*
 * Ending connections. A descriptor is closed by the ring, behind everything that was prepared for it, so that its number can't be reused
 * while a submission still names it.
 */
#include "engine/extents.h"
#include "engine/socket.h"
#include "engine/uring/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

void uring_reset(struct uring_engine *engine, struct uring_connection *connection)
{
    if (connection->descriptor < 0)
        return;
    uring_count_system_call(engine);
    socket_reset(connection->descriptor);
}

static void cancel_armed(struct uring_engine *engine, struct uring_connection *connection)
{
    if (connection->receive_armed && !connection->receive_cancelled)
        uring_cancel(engine, connection, URING_RECEIVE);
    if (connection->writable_armed)
        uring_cancel(engine, connection, URING_WRITABLE);
    if (connection->connecting)
        uring_cancel(engine, connection, URING_CONNECT);
}

void uring_close(struct uring_engine *engine, struct uring_connection *connection)
{
    struct io_uring_sqe *submission;

    uring_receive_drop_kept(engine, connection);
    if (connection->descriptor < 0) {
        if (connection->connecting)
            free(connection->remote);
        connection->connecting = false;
        return;
    }
    cancel_armed(engine, connection);
    submission = uring_submission(engine);
    io_uring_prep_close(submission, connection->descriptor);
    uring_tag(engine, connection, submission, URING_CLOSE);
    connection->descriptor = -1;
    counter_subtract(&engine->base.counters.open_connections, 1);
}

void uring_end(struct uring_engine *engine, struct uring_connection *connection, int error)
{
    connection->base.dead = true;
    connection->ended = true;
    connection->error = error;
    extents_release(&engine->base, &connection->base);
    uring_close(engine, connection);
    uring_report_end(engine, connection);
}

void uring_report_end(struct uring_engine *engine, struct uring_connection *connection)
{
    if (!connection->ended || connection->reported || connection->base.pinned_sequence != HOLDS_NONE)
        return;
    connection->reported = true;
    uring_handler(engine)->closed(engine->base.options.context, &connection->base, connection->error, engine->now_ns);
}

void uring_fail(struct uring_engine *engine, struct uring_connection *connection, int error)
{
    uring_reset(engine, connection);
    uring_end(engine, connection, error);
}

void uring_abort(struct engine *base, struct connection *connection)
{
    uring_reset(uring_of(base), uring_connection_of(connection));
    uring_todo(uring_of(base), uring_connection_of(connection));
}

void uring_finish(struct engine *base, struct connection *connection)
{
    uring_todo(uring_of(base), uring_connection_of(connection));
}

void uring_finish_proceed(struct uring_engine *engine, struct uring_connection *connection)
{
    if (connection->base.dead || !connection->base.finishing || connection->base.extent_count > 0 || connection->connecting)
        return;
    if (!connection->write_finished) {
        connection->write_finished = true;
        uring_count_system_call(engine);
        shutdown(connection->descriptor, SHUT_WR);
    }
    /* Pinned frames are let go of once the peer has them; if it never takes them, the caller aborts the connection. */
    if (connection->finish_delivered && connection->base.pinned_sequence == HOLDS_NONE)
        uring_end(engine, connection, 0);
}

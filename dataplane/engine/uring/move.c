/* Moving a connection to another engine, or to another process. */
#include "engine/move.h"
#include "engine/uring/uring.h"

#include <errno.h>

void uring_detach(struct engine *base, struct connection *connection)
{
    struct uring_engine *engine = uring_of(base);

    uring_receive_pause(engine, uring_connection_of(connection));
    if (uring_connection_of(connection)->writable_armed)
        uring_cancel(engine, uring_connection_of(connection), URING_WRITABLE);
    uring_todo(engine, uring_connection_of(connection));
}

static void hand_over(struct uring_engine *engine, struct uring_connection *connection)
{
    int descriptor = connection->descriptor;

    connection->reported = true;
    connection->descriptor = -1;
    move_hand_over(&engine->base, &connection->base, descriptor, engine->now_ns);
}

void uring_detach_proceed(struct uring_engine *engine, struct uring_connection *connection)
{
    const struct connection *base = &connection->base;

    if (!base->detaching || base->dead || base->queued || connection->operations > 0 || base->pinned_sequence != HOLDS_NONE ||
        connection->connecting)
        return;
    if (uring_receive_take_kept(engine, connection) != 0)
        uring_fail(engine, connection, -ENOMEM);
    else
        hand_over(engine, connection);
}

int uring_attach(struct engine *base, const struct engine_handoff *handoff, void *owner, struct connection **out)
{
    struct uring_engine *engine = uring_of(base);
    struct uring_connection *connection = uring_slot_take(engine);
    int error;

    if (!connection)
        return -ENOBUFS;
    error = move_take_over(base, &connection->base, handoff);
    if (error != 0) {
        connection->base.dead = connection->reported = true;
        uring_slot_release(engine, connection);
        return error;
    }
    connection->base.owner = owner;
    connection->descriptor = handoff->descriptor;
    connection->receive_paused = connection->resume_wanted = true;
    uring_todo(engine, connection);
    engine_serve(base, &connection->base);
    *out = &connection->base;
    return 0;
}

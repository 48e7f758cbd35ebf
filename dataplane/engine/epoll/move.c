/* Moving a connection to another engine, or to another process. */
#include "engine/move.h"
#include "engine/epoll/epoll.h"

#include <errno.h>

void epoll_detach(struct engine *base, struct connection *connection)
{
    epoll_todo(epoll_of(base), epoll_connection_of(connection));
}

static void hand_over(struct epoll_engine *engine, struct epoll_connection *connection)
{
    int descriptor = connection->descriptor;

    epoll_unwatch(engine, descriptor);
    connection->reported = true;
    connection->descriptor = -1;
    move_hand_over(&engine->base, &connection->base, descriptor, engine->now_ns);
}

void epoll_detach_proceed(struct epoll_engine *engine, struct epoll_connection *connection)
{
    const struct connection *base = &connection->base;

    if (base->detaching && !base->dead && !base->queued && !connection->connecting)
        hand_over(engine, connection);
}

/* Watches the descriptor and takes over the stream. A failure undoes both, so the caller has only the slot to give back. */
static int take_over(struct epoll_engine *engine, struct epoll_connection *connection, const struct engine_handoff *handoff)
{
    int error = epoll_watch_connection(engine, handoff->descriptor, connection);

    if (error != 0)
        return error;
    error = move_take_over(&engine->base, &connection->base, handoff);
    if (error != 0)
        epoll_unwatch(engine, handoff->descriptor);
    return error;
}

int epoll_attach(struct engine *base, const struct engine_handoff *handoff, void *owner, struct connection **out)
{
    struct epoll_engine *engine = epoll_of(base);
    struct epoll_connection *connection = epoll_slot_take(engine);
    int error;

    if (!connection)
        return -ENOBUFS;
    error = take_over(engine, connection, handoff);
    if (error != 0) {
        connection->reported = true;
        epoll_slot_release(engine, connection);
        return error;
    }
    connection->base.owner = owner;
    connection->descriptor = handoff->descriptor;
    connection->receive_paused = connection->resume_wanted = true;
    epoll_todo(engine, connection);
    engine_serve(base, &connection->base);
    *out = &connection->base;
    return 0;
}

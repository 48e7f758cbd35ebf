/* Ending connections. The kernel has copied the bytes that it took, so no frame is ever pinned. */
#include "engine/epoll/epoll.h"
#include "engine/extents.h"
#include "engine/socket.h"
#include "engine/unread.h"

#include <sys/socket.h>
#include <unistd.h>

static void reset(struct epoll_engine *engine, struct epoll_connection *connection)
{
    if (connection->descriptor < 0)
        return;
    epoll_count_system_call(engine);
    socket_reset(connection->descriptor);
}

void epoll_close(struct epoll_engine *engine, struct epoll_connection *connection)
{
    unread_drop(&engine->base, &connection->base);
    if (connection->descriptor < 0)
        return;
    epoll_count_system_call(engine);
    close(connection->descriptor); /* which also removes it from the epoll set */
    connection->descriptor = -1;
    counter_subtract(&engine->base.counters.open_connections, 1);
    descriptor_budget_return(engine->base.options.descriptors);
    listener_retry(&engine->listener);
}

void epoll_end(struct epoll_engine *engine, struct epoll_connection *connection, int error)
{
    connection->base.dead = true;
    connection->reported = true;
    extents_release(&engine->base, &connection->base);
    epoll_close(engine, connection);
    epoll_handler(engine)->closed(engine->base.options.context, &connection->base, error, engine->now_ns);
}

void epoll_fail(struct epoll_engine *engine, struct epoll_connection *connection, int error)
{
    reset(engine, connection);
    epoll_end(engine, connection, error);
}

void epoll_abort(struct engine *base, struct connection *connection)
{
    reset(epoll_of(base), epoll_connection_of(connection));
    epoll_todo(epoll_of(base), epoll_connection_of(connection));
}

void epoll_finish(struct engine *base, struct connection *connection)
{
    epoll_todo(epoll_of(base), epoll_connection_of(connection));
}

void epoll_finish_proceed(struct epoll_engine *engine, struct epoll_connection *connection)
{
    if (connection->base.dead || !connection->base.finishing || connection->base.extent_count > 0 || connection->connecting)
        return;
    if (!connection->write_finished) {
        connection->write_finished = true;
        epoll_count_system_call(engine);
        shutdown(connection->descriptor, SHUT_WR);
    }
    if (connection->finish_delivered)
        epoll_end(engine, connection, 0);
}

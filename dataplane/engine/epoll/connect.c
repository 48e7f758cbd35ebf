#include "engine/epoll/epoll.h"
#include "engine/extents.h"
#include "engine/socket.h"

/* System calls that socket_connect and socket_connect_end make, for the counter. */
#define CONNECT_CALLS     3
#define CONNECT_END_CALLS 2

/* Begins connecting, which does not block. A failure at this point is reported in the next turn. */
struct connection *epoll_connect(struct engine *base, const struct address *remote, void *owner)
{
    struct epoll_engine *engine = epoll_of(base);
    struct epoll_connection *connection = epoll_slot_take(engine);
    int descriptor;

    if (!connection)
        return NULL;
    connection->base.owner = owner;
    connection->connecting = true;
    counter_add(&base->counters.system_calls, CONNECT_CALLS);
    descriptor = socket_connect(remote);
    if (descriptor >= 0) {
        connection->descriptor = descriptor;
        counter_add(&base->counters.open_connections, 1);
        descriptor_budget_spend(base->options.descriptors);
        connection->error = epoll_watch_connection(engine, descriptor, connection);
    } else {
        connection->error = descriptor;
    }
    if (connection->error != 0)
        epoll_todo(engine, connection);
    return &connection->base;
}

static void report_failure(struct epoll_engine *engine, struct epoll_connection *connection, int error)
{
    connection->base.dead = true;
    connection->reported = true;
    extents_release(&engine->base, &connection->base);
    epoll_close(engine, connection);
    epoll_handler(engine)->connected(engine->base.options.context, &connection->base, error, engine->now_ns);
}

void epoll_connect_proceed(struct epoll_engine *engine, struct epoll_connection *connection)
{
    int error = connection->error;

    connection->connecting = false;
    if (error == 0) {
        counter_add(&engine->base.counters.system_calls, CONNECT_END_CALLS);
        error = socket_connect_end(connection->descriptor);
    }
    if (error != 0) {
        report_failure(engine, connection, error);
        return;
    }
    counter_add(&engine->base.counters.connects, 1);
    epoll_handler(engine)->connected(engine->base.options.context, &connection->base, 0, engine->now_ns);
    /* Bytes may have been appended, and engine_finish called, before the connection was made. */
    engine_serve(&engine->base, &connection->base);
    epoll_finish_proceed(engine, connection);
}

/* The memory of connections: slots in a slab. */
#include "engine/epoll/epoll.h"
#include "engine/extents.h"

#include <assert.h>

bool epoll_slot_is_free(const struct epoll_engine *engine)
{
    return slab_used(&engine->slots) < engine->base.options.max_connections;
}

struct epoll_connection *epoll_slot_take(struct epoll_engine *engine)
{
    struct epoll_connection *connection = slab_take(&engine->slots);

    if (!connection)
        return NULL;
    *connection = (struct epoll_connection){.descriptor = -1};
    extents_init(&connection->base);
    return connection;
}

void epoll_slot_release(struct epoll_engine *engine, struct epoll_connection *connection)
{
    if (!connection->reported || connection->in_todo || connection->read_queued || connection->base.queued)
        return;
    assert(connection->base.held_sequence == HOLDS_NONE && connection->descriptor < 0);
    connection->reported = false;
    slab_give(&engine->slots, connection);
}

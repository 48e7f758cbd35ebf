#include "engine/epoll/epoll.h"

static bool has_room(const struct engine *base)
{
    return epoll_slot_is_free((const struct epoll_engine *)(const void *)base);
}

static void open_accepted(struct engine *base, int descriptor, const struct address *peer)
{
    struct epoll_engine *engine = epoll_of(base);
    struct epoll_connection *connection = epoll_slot_take(engine);
    int error;

    connection->descriptor = descriptor;
    counter_add(&base->counters.open_connections, 1);
    epoll_handler(engine)->accepted(base->options.context, &connection->base, peer, engine->now_ns);
    if (connection->base.dead)
        return;
    error = epoll_watch_connection(engine, descriptor, connection);
    if (error != 0)
        epoll_fail(engine, connection, error);
    epoll_slot_release(engine, connection);
}

void epoll_listener_init(struct epoll_engine *engine)
{
    listener_init(&engine->listener, &engine->base, has_room, open_accepted);
}

int epoll_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options)
{
    struct epoll_engine *engine = epoll_of(base);
    int error = listener_open(&engine->listener, address, options);

    if (error == 0) {
        error = epoll_watch(engine, engine->listener.descriptor, EPOLLIN, &engine->listener);
        if (error != 0)
            listener_close(&engine->listener);
    }
    return error;
}

void epoll_accept_pause(struct engine *base, bool paused)
{
    listener_pause(&epoll_of(base)->listener, paused);
}

void epoll_listen_stop(struct engine *base)
{
    epoll_of(base)->listener.stopping = true;
}

/* The common front of all engines: what every one does alike, then the dispatch to its table. */
#include "flashrelay/engine.h"

#include "engine/base.h"
#include "engine/extents.h"

#include <assert.h>
#include <stdlib.h>

void engine_init(struct engine *engine, const struct engine_ops *ops, const struct engine_options *options,
                 void (*wake)(struct waker *waker, struct waker *from))
{
    engine->ops = ops;
    engine->options = *options;
    waker_init(&engine->waker, wake);
}

void engine_dispose(struct engine *engine)
{
    void *block = engine->control_blocks.first;

    while (block) {
        void *next = *(void **)block;

        free(block);
        block = next;
    }
    engine->control_blocks = (struct control_blocks){0};
}

void engine_destroy(struct engine *engine)
{
    if (engine)
        engine->ops->destroy(engine);
}

uint64_t engine_now(struct engine *engine)
{
    return engine->ops->now(engine);
}

void engine_turn(struct engine *engine, uint64_t deadline_ns)
{
    counter_add(&engine->counters.turns, 1);
    engine->ops->turn(engine, deadline_ns);
}

void engine_prepare_sleep(struct engine *engine)
{
    if (!engine->options.busy_poll)
        waker_prepare_sleep(&engine->waker);
}

struct waker *engine_waker(struct engine *engine)
{
    return &engine->waker;
}

void engine_register_memory(struct engine *engine, const uint8_t *base, size_t length)
{
    engine->ops->register_memory(engine, base, length);
}

int engine_listen(struct engine *engine, const struct address *address, const struct engine_listen_options *options)
{
    return engine->ops->listen(engine, address, options);
}

uint16_t engine_listen_port(const struct engine *engine)
{
    return engine->listen_port;
}

void engine_accept_pause(struct engine *engine, bool paused)
{
    engine->ops->accept_pause(engine, paused);
}

void engine_listen_stop(struct engine *engine)
{
    engine->ops->listen_stop(engine);
}

struct connection *engine_connect(struct engine *engine, const struct address *remote, void *owner)
{
    return engine->ops->connect(engine, remote, owner);
}

int engine_append_frames(struct engine *engine, struct connection *connection, struct channel *channel, uint64_t from,
                         uint64_t to)
{
    assert(!connection->finishing);
    return connection->dead ? 0 : extents_append_frames(engine, connection, channel, from, to);
}

int engine_append_bytes(struct engine *engine, struct connection *connection, const void *bytes, size_t length)
{
    assert(!connection->finishing);
    return connection->dead ? 0 : extents_append_bytes(engine, connection, bytes, length);
}

void engine_drop_unbegun(struct engine *engine, struct connection *connection, uint64_t *resume_from)
{
    extents_drop_unbegun(engine, connection, resume_from);
}

void engine_serve(struct engine *engine, struct connection *connection)
{
    if (!connection->queued && !connection->blocked && !connection->dead && connection->extent_count > 0)
        engine->ops->serve(engine, connection);
}

void engine_receive_resume(struct engine *engine, struct connection *connection)
{
    if (!connection->dead)
        engine->ops->receive_resume(engine, connection);
}

void engine_finish(struct engine *engine, struct connection *connection)
{
    if (connection->dead || connection->finishing)
        return;
    connection->finishing = true;
    engine->ops->finish(engine, connection);
}

void engine_abort(struct engine *engine, struct connection *connection)
{
    if (connection->dead)
        return;
    connection->dead = true;
    extents_release(engine, connection);
    engine->ops->abort(engine, connection);
}

/* The engine_* functions: what all engines do alike, then the call through the table of the engine at hand. */
#include "flashrelay/engine.h"

#include "engine/base.h"
#include "engine/extents.h"
#include "engine/unread.h"

#include <assert.h>
#include <errno.h>
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
    unread_drop_all(engine);
    free(engine->channels);
    engine->channels = NULL;
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

uint64_t engine_turn(struct engine *engine, uint64_t deadline_ns)
{
    counter_add(&engine->counters.turns, 1);
    return engine->ops->turn(engine, deadline_ns);
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

int engine_add_channel(struct engine *engine, struct channel *channel, struct holds *holds)
{
    unsigned number = engine->channel_count;

    if (number == ENGINE_MAX_CHANNELS)
        return -ENOSPC;
    if (number == engine->channel_capacity) {
        unsigned capacity = number > 0 ? 2 * number : 1;
        struct engine_channel *channels = reallocarray(engine->channels, capacity, sizeof *channels);

        if (!channels)
            return -ENOMEM;
        engine->channels = channels;
        engine->channel_capacity = capacity;
    }
    engine->channel_count++;
    engine->channels[number] = (struct engine_channel){.channel = channel, .holds = holds};
    engine->ops->add_channel(engine, channel);
    return (int)number;
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

void engine_set_selection(struct engine *engine, struct connection *connection, uint16_t selection)
{
    (void)engine;
    assert(connection->held_sequence == HOLDS_NONE);
    connection->selection = selection;
}

int engine_append_frames(struct engine *engine, struct connection *connection, uint16_t channel, uint64_t from, uint64_t to)
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

uint64_t engine_next_untaken(const struct connection *connection)
{
    return extents_next_untaken(connection);
}

bool engine_has_unsent(const struct connection *connection)
{
    return connection->extent_count > 0;
}

bool engine_has_room(const struct connection *connection)
{
    return connection->extent_count < CONNECTION_EXTENTS;
}

bool engine_is_control_next(const struct connection *connection)
{
    return connection->extent_count > 0 && connection->extents[0].kind != EXTENT_FRAMES;
}

size_t engine_copy_unbegun_control(const struct connection *connection, uint8_t copy[CONTROL_RUN_BYTES])
{
    return extents_copy_unbegun_control(connection, copy);
}

void engine_serve(struct engine *engine, struct connection *connection)
{
    if (!connection->queued && !connection->blocked && !connection->dead && !connection->detaching &&
        connection->extent_count > 0)
        engine->ops->serve(engine, connection);
}

void engine_receive_resume(struct engine *engine, struct connection *connection)
{
    if (!connection->dead)
        engine->ops->receive_resume(engine, connection);
}

void engine_finish(struct engine *engine, struct connection *connection)
{
    if (connection->dead || connection->finishing || connection->detaching)
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

int engine_detach(struct engine *engine, struct connection *connection)
{
    if (!engine->ops->detach)
        return -ENOTSUP;
    if (connection->dead || connection->finishing || connection->detaching)
        return -EALREADY;
    connection->detaching = true;
    engine->ops->detach(engine, connection);
    return 0;
}

int engine_attach(struct engine *engine, const struct engine_handoff *handoff, void *owner, struct connection **out)
{
    return engine->ops->attach ? engine->ops->attach(engine, handoff, owner, out) : -ENOTSUP;
}

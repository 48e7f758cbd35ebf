#include "engine/epoll/epoll.h"

#include "engine/base.h"
#include "engine/extents.h"
#include "engine/socket.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint64_t epoll_now(struct engine *base)
{
    (void)base;
    return clock_monotonic_ns();
}

/* Channels need no registration: every send copies. */
static void ignore_channel(struct engine *base, const struct channel *channel)
{
    (void)base;
    (void)channel;
}

static void abort_all(struct epoll_engine *engine)
{
    for (uint32_t i = 0; i < engine->slots.touched; i++) {
        struct epoll_connection *connection = slab_element(&engine->slots, i);

        extents_release(&engine->base, &connection->base);
        if (connection->descriptor < 0)
            continue;
        socket_reset(connection->descriptor);
        close(connection->descriptor);
    }
}

/* Takes back what open_parts made, also where that failed half-way. */
static void close_parts(struct epoll_engine *engine)
{
    if (engine->descriptor >= 0)
        close(engine->descriptor);
    if (engine->wake_event >= 0)
        close(engine->wake_event);
    slab_dispose(&engine->slots);
    free(engine->buffer);
}

static void epoll_destroy(struct engine *base)
{
    struct epoll_engine *engine = epoll_of(base);

    abort_all(engine);
    listener_close(&engine->listener);
    close_parts(engine);
    engine_dispose(base);
    free(engine);
}

const struct engine_ops epoll_ops = {
    .destroy = epoll_destroy,
    .now = epoll_now,
    .listen = epoll_listen,
    .accept_pause = epoll_accept_pause,
    .listen_stop = epoll_listen_stop,
    .connect = epoll_connect,
    .serve = epoll_serve,
    .receive_resume = epoll_receive_resume,
    .finish = epoll_finish,
    .abort = epoll_abort,
    .detach = epoll_detach,
    .attach = epoll_attach,
    .add_channel = ignore_channel,
    .turn = epoll_turn,
};

static int open_parts(struct epoll_engine *engine)
{
    const struct engine_options *options = &engine->base.options;
    int error;

    engine->wake_event = -1;
    engine->descriptor = epoll_create1(EPOLL_CLOEXEC);
    if (engine->descriptor >= 0)
        engine->wake_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->wake_event < 0)
        return -errno;
    error = epoll_watch(engine, engine->wake_event, EPOLLIN, &engine->wake_event);
    if (error == 0)
        error = slab_init(&engine->slots, sizeof(struct epoll_connection), options->max_connections, UINT32_MAX);
    if (error != 0)
        return error;
    engine->buffer = malloc(options->receive_buffer_bytes);
    return engine->buffer ? 0 : -ENOMEM;
}

/* Logged once per process, because the engines of all threads have the same option. */
static void explain_zerocopy(enum engine_zerocopy wanted)
{
    static _Atomic bool explained;

    if (wanted == ENGINE_ZEROCOPY_ON && !atomic_exchange_explicit(&explained, true, memory_order_relaxed))
        log_line(LOG_WARN, "epoll", "no zero-copy sends: only the uring engine has them; frames are copied into each socket");
}

int epoll_engine_create(struct engine **out, const struct engine_options *options, bool has_epoll_pwait2)
{
    struct epoll_engine *engine = aligned_alloc(_Alignof(struct epoll_engine), sizeof *engine);
    int error;

    assert(options->receive_buffers > 0 && options->receive_buffer_bytes > 0);
    assert(options->sends_per_turn > 0 && options->max_connections > 0);
    if (!engine)
        return -ENOMEM;
    memset(engine, 0, sizeof *engine);
    engine_init(&engine->base, &epoll_ops, options, epoll_wake);
    engine->has_epoll_pwait2 = has_epoll_pwait2;
    engine->reported_until_ns = clock_monotonic_ns();
    epoll_listener_init(engine);
    error = open_parts(engine);
    if (error != 0) {
        close_parts(engine);
        free(engine);
        return error;
    }
    explain_zerocopy(options->zerocopy);
    *out = &engine->base;
    return 0;
}

#include "engine/uring/uring.h"

#include "engine/base.h"
#include "engine/extents.h"
#include "flashrelay/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t uring_now(struct engine *base)
{
    (void)base;
    return clock_monotonic_ns();
}

/* Resets and closes the connections before the ring is closed, so that the kernel lets go of zero-copy sends. */
static void abort_all(struct uring_engine *engine)
{
    for (uint32_t i = 0; i < engine->slots.touched; i++) {
        struct uring_connection *connection = uring_slot(engine, i);

        if (connection->connecting)
            free(connection->remote);
        if (connection->reported)
            continue;
        extents_release(&engine->base, &connection->base);
        extents_pin(&engine->base, &connection->base, HOLDS_NONE);
        uring_reset(engine, connection);
        if (connection->descriptor >= 0)
            close(connection->descriptor);
    }
}

/* Closes the descriptors of prepared closes. These are not submitted: only the ring's owner may submit, and this may be another thread. */
static void close_prepared(struct uring_engine *engine)
{
    const struct io_uring_sq *queue = &engine->ring.sq;

    for (unsigned i = queue->sqe_head; i != queue->sqe_tail; i++) {
        const struct io_uring_sqe *submission = &queue->sqes[i & queue->ring_mask];

        if (submission->opcode == IORING_OP_CLOSE)
            close(submission->fd);
    }
}

static void uring_destroy(struct engine *base)
{
    struct uring_engine *engine = uring_of(base);

    abort_all(engine);
    close_prepared(engine);
    listener_close(&engine->listener);
    uring_ring_close(engine);
    uring_buffers_close(engine);
    uring_regions_close(engine);
    slab_dispose(&engine->slots);
    engine_dispose(base);
    free(engine);
}

const struct engine_ops uring_ops = {
    .destroy = uring_destroy,
    .now = uring_now,
    .listen = uring_listen,
    .accept_pause = uring_accept_pause,
    .listen_stop = uring_listen_stop,
    .connect = uring_connect,
    .serve = uring_serve,
    .receive_resume = uring_receive_resume,
    .finish = uring_finish,
    .abort = uring_abort,
    .detach = uring_detach,
    .attach = uring_attach,
    .add_channel = uring_add_channel,
    .turn = uring_turn,
};

/* Ring, then buffers, then slots: each is taken back if what follows fails. */
static int open_parts(struct uring_engine *engine, unsigned setup_flags)
{
    int error = uring_ring_open(engine, setup_flags);

    if (error != 0)
        return error;
    error = uring_buffers_open(engine);
    if (error == 0) {
        error = slab_init(&engine->slots, sizeof(struct uring_connection), engine->base.options.max_connections, UINT32_MAX);
        if (error == 0)
            return 0;
    }
    uring_ring_close(engine);
    uring_buffers_close(engine);
    return error;
}

static bool is_power_of_two(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

int engine_uring_create(struct engine **out, const struct engine_options *options)
{
    struct uring_features features;
    unsigned setup_flags;
    struct uring_engine *engine;
    int error = uring_probe(&features, &setup_flags);

    assert(is_power_of_two(options->receive_buffers) && options->receive_buffers <= URING_MAX_BUFFERS);
    assert(options->receive_buffer_bytes > 0 && options->sends_per_turn > 0 && options->max_connections > 0);
    if (error != 0)
        return error;
    engine = aligned_alloc(_Alignof(struct uring_engine), sizeof *engine);
    if (!engine)
        return -ENOMEM;
    memset(engine, 0, sizeof *engine);
    engine_init(&engine->base, &uring_ops, options, uring_wake);
    engine->features = features;
    uring_listener_init(engine);
    error = open_parts(engine, setup_flags);
    if (error != 0) {
        free(engine);
        return error;
    }
    *out = &engine->base;
    return 0;
}

const struct uring_features *engine_uring_features(const struct engine *engine)
{
    assert(engine->ops == &uring_ops);
    return &((const struct uring_engine *)(const void *)engine)->features;
}

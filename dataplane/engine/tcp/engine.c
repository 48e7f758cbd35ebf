/* The life of a TCP engine, and its table of functions. */
#include "engine/base.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/input.h"
#include "engine/tcp/recovery.h"
#include "engine/tcp/stream.h"
#include "engine/tcp/turn.h"

#include "engine/extents.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Wheels for deadlines: 64 slots of 1 ms, and 4,096 slots of 17 ms. */
#define NEAR_SLOTS 64
#define FAR_SLOTS  4096
/* Entries in all wheels: 3 in each wheel of deadlines, one to be paced, one for a delayed acknowledgement. */
#define ENTRIES_PER_CONNECTION 8
/* One connection in so many may be repairing losses at once; others then do without a scoreboard. */
#define CONNECTIONS_PER_RECOVERY 8
/* Connections served between two looks at what has arrived. */
#define SERVICES_PER_TURN 64

static uint64_t tcp_now(struct engine *base)
{
    struct port *port = tcp_of(base)->port;

    return port->ops->now(port);
}

static void add_channel(struct engine *base, const struct channel *channel)
{
    struct port *port = tcp_of(base)->port;
    const uint8_t *memory;
    size_t length;

    channel_memory(channel, &memory, &length);
    if (length > 0)
        port->ops->add_memory(port, memory, length);
}

static int tcp_listen(struct engine *base, const struct address *address, const struct engine_listen_options *options)
{
    struct tcp_engine *engine = tcp_of(base);

    (void)options; /* there is no backlog: what is not accepted comes again */
    if (engine->listening)
        return -EBUSY;
    if (address->port == 0)
        return -EADDRNOTAVAIL;
    base->listen_port = address->port;
    engine->listening = output_init(engine) == 0;
    return engine->listening ? 0 : -ENOMEM;
}

static void tcp_accept_pause(struct engine *base, bool paused)
{
    tcp_of(base)->accept_paused = paused;
}

static void tcp_listen_stop(struct engine *base)
{
    tcp_of(base)->stopped = true;
}

static struct connection *tcp_connect(struct engine *base, const struct address *remote, void *owner)
{
    (void)base;
    (void)remote;
    (void)owner;
    return NULL;
}

static void tcp_serve(struct engine *base, struct connection *connection)
{
    /* A connection that is paced is served when its time has come. */
    if (!tcp_connection_of(connection)->is_paced)
        tcp_enqueue(tcp_of(base), tcp_connection_of(connection));
}

/* Resets what is still there. */
static void abort_all(struct tcp_engine *engine)
{
    for (uint32_t i = 0; i < engine->slots.touched; i++) {
        struct tcp_connection *connection = slab_element(&engine->slots, i);

        if (connection->reported || connection->remote_port == 0)
            continue;
        extents_release(&engine->base, &connection->base);
        if (!connection->base.dead)
            tcp_abort(&engine->base, &connection->base);
    }
    output_flush(engine);
}

static void free_runs(struct tcp_engine *engine)
{
    for (uint32_t i = 0; i < engine->runs.touched; i++)
        free(((struct control_run *)slab_element(&engine->runs, i))->bytes);
}

static void unmap_stack(struct tcp_engine *engine, struct slot_stack *stack)
{
    if (stack->slots)
        munmap(stack->slots, engine->base.options.max_connections * sizeof *stack->slots);
}

static void dispose_parts(struct tcp_engine *engine)
{
    unmap_stack(engine, &engine->todo);
    unmap_stack(engine, &engine->todo_now);
    closed_tuples_dispose(&engine->closed);
    sums_dispose(&engine->sums);
    wheel_dispose(&engine->near_wheel);
    wheel_dispose(&engine->far_wheel);
    wheel_dispose(&engine->pace_wheel);
    wheel_dispose(&engine->ack_wheel);
    wheel_pool_dispose(&engine->pool);
    table_dispose(&engine->table);
    free_runs(engine);
    slab_dispose(&engine->runs);
    slab_dispose(&engine->recoveries);
    slab_dispose(&engine->slots);
}

static void tcp_destroy(struct engine *base)
{
    struct tcp_engine *engine = tcp_of(base);

    abort_all(engine);
    output_dispose(engine);
    engine->port->ops->close(engine->port);
    epochs_release_all(&engine->epochs, base);
    dispose_parts(engine);
    engine_dispose(base);
    free(engine);
}

static const struct engine_ops tcp_ops = {
    .destroy = tcp_destroy,
    .now = tcp_now,
    .listen = tcp_listen,
    .accept_pause = tcp_accept_pause,
    .listen_stop = tcp_listen_stop,
    .connect = tcp_connect,
    .serve = tcp_serve,
    .receive_resume = tcp_receive_resume,
    .finish = tcp_finish,
    .abort = tcp_abort,
    .add_channel = add_channel,
    .turn = tcp_turn,
};

static int map_stack(struct slot_stack *stack, uint32_t slots)
{
    void *memory =
        mmap(NULL, slots * sizeof *stack->slots, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return -ENOMEM;
    stack->slots = memory;
    return 0;
}

static int init_wheels(struct tcp_engine *engine, uint32_t slots)
{
    int error = wheel_pool_init(&engine->pool, (size_t)slots * ENTRIES_PER_CONNECTION, 3 * NEAR_SLOTS + FAR_SLOTS);

    if (error == 0)
        error = wheel_init(&engine->near_wheel, &engine->pool, NEAR_SLOTS, NEAR_SHIFT, engine->now);
    if (error == 0)
        error = wheel_init(&engine->far_wheel, &engine->pool, FAR_SLOTS, FAR_SHIFT, engine->now);
    if (error == 0)
        error = wheel_init(&engine->pace_wheel, &engine->pool, NEAR_SLOTS, NEAR_SHIFT, engine->now);
    return error == 0 ? wheel_init(&engine->ack_wheel, &engine->pool, NEAR_SLOTS, NEAR_SHIFT, engine->now) : error;
}

static int init_parts(struct tcp_engine *engine)
{
    uint32_t slots = engine->base.options.max_connections;
    int error = slab_init(&engine->slots, sizeof(struct tcp_connection), slots, UINT32_MAX);

    if (error == 0)
        error = slab_init(&engine->runs, sizeof(struct control_run), slots * TCP_MARKS, UINT32_MAX);
    if (error == 0)
        error = slab_init(&engine->recoveries, sizeof(struct tcp_recovery),
                          slots / CONNECTIONS_PER_RECOVERY > 0 ? slots / CONNECTIONS_PER_RECOVERY : 1, UINT32_MAX);
    if (error == 0)
        error = table_init(&engine->table, slots);
    if (error == 0)
        error = init_wheels(engine, slots);
    if (error == 0)
        error = sums_init(&engine->sums);
    if (error == 0)
        error = closed_tuples_init(&engine->closed);
    if (error == 0)
        error = map_stack(&engine->todo, slots);
    return error == 0 ? map_stack(&engine->todo_now, slots) : error;
}

int tcp_engine_create(struct engine **out, const struct engine_options *options, const struct tcp_options *tcp)
{
    struct tcp_engine *engine = aligned_alloc(_Alignof(struct tcp_engine), sizeof *engine);
    int error;

    assert(options->max_connections > 0 && options->max_connections <= TABLE_MAX_SLOTS && options->sends_per_turn > 0);
    if (!engine)
        return -ENOMEM;
    memset(engine, 0, sizeof *engine);
    engine_init(&engine->base, &tcp_ops, options, tcp_wake);
    if (engine->base.options.sends_per_turn > SERVICES_PER_TURN)
        engine->base.options.sends_per_turn = SERVICES_PER_TURN;
    engine->port = tcp->port;
    engine->host = tcp->host;
    engine->index = tcp->index;
    random_seed(&engine->random, tcp->seed);
    engine->key_source = tcp->seed != 0 ? &engine->random : NULL;
    engine->hash_seed = tcp->seed != 0 ? random_next(&engine->random) : random_system_seed();
    engine->now_ns = engine->reported_until_ns = engine->port->ops->now(engine->port);
    engine->now = ticks_of(engine->now_ns);
    engine->queue_first = NO_SLOT;
    cookie_keys_init(&engine->cookies, engine->key_source, engine->now_ns);
    epochs_init(&engine->epochs);
    error = init_parts(engine);
    if (error != 0) {
        dispose_parts(engine);
        engine_dispose(&engine->base);
        free(engine);
        return error;
    }
    *out = &engine->base;
    return 0;
}

/* NULL for an engine of another kind. */
static const struct tcp_engine *own_engine(const struct engine *engine)
{
    return engine->ops == &tcp_ops ? (const struct tcp_engine *)(const void *)engine : NULL;
}

const struct tcp_counters *tcp_engine_counters(const struct engine *engine)
{
    const struct tcp_engine *own = own_engine(engine);

    return own ? &own->counters : NULL;
}

const struct port_counters *tcp_engine_port_counters(const struct engine *engine)
{
    const struct tcp_engine *own = own_engine(engine);

    return own ? &own->port->counters : NULL;
}

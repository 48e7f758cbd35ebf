/* The simulated engine: its table of operations, and its turn. */
#include "engine/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- life --- */

static const struct engine_ops operations;

static void sim_wake(struct waker *waker, struct waker *from)
{
    (void)from;
    sim_engine_of(engine_of_waker(waker))->woken = true;
}

int engine_sim_create(struct engine **out, const struct engine_options *options, struct sim_network *network,
                      const struct ip_address *ip)
{
    void *memory;

    if (posix_memalign(&memory, _Alignof(struct sim_engine), sizeof(struct sim_engine)) != 0)
        return -ENOMEM;
    struct sim_engine *engine = memset(memory, 0, sizeof *engine);
    engine_init(&engine->common, &operations, options, sim_wake);
    engine->network = network;
    engine->ip = *ip;
    engine->reported_until_ns = network->now_ns;
    list_init(&engine->listener.backlog);
    list_init(&engine->connections);
    list_init(&engine->ready);
    list_init(&engine->to_serve);
    list_append(&network->engines, &engine->node);
    *out = &engine->common;
    return 0;
}

static void sim_destroy(struct engine *common)
{
    struct sim_engine *engine = sim_engine_of(common);

    while (!list_is_empty(&engine->connections)) {
        struct sim_connection *connection = LIST_ENTRY(list_first(&engine->connections), struct sim_connection, node);
        if (!connection->common.dead)
            sim_link_abort(connection->link, connection->side);
        sim_connection_destroy(connection);
    }
    sim_close_listener(engine);
    list_remove(&engine->node);
    engine_dispose(common);
    free(engine->order);
    free(engine);
}

/* --- connecting and ending --- */

static struct connection *sim_connect(struct engine *common, const struct address *remote, void *owner)
{
    struct sim_engine *engine = sim_engine_of(common);
    struct sim_network *network = engine->network;

    if (engine->connection_count == common->options.max_connections)
        return NULL;
    struct sim_link *link = sim_link_create(network);
    link->addresses[SIM_CONNECTOR] = (struct address){.ip = engine->ip, .port = sim_take_port(network)};
    link->addresses[SIM_ACCEPTOR] = *remote;
    struct sim_connection *connection = sim_connection_create(engine, link, SIM_CONNECTOR);
    connection->connecting = true;
    connection->common.owner = owner;
    counter_add(&common->counters.connects, 1);
    if (engine->no_descriptors) {
        link->errors[SIM_CONNECTOR] = -EMFILE;
        sim_connection_ready(connection);
    } else {
        sim_schedule(link, SIM_EVENT_SYN, SIM_ACCEPTOR, network->now_ns + sim_delay(network));
    }
    return &connection->common;
}

static void sim_serve(struct engine *engine, struct connection *connection)
{
    (void)engine;
    if (!sim_connection_of(connection)->late_send && !sim_connection_of(connection)->connecting)
        sim_connection_queue(sim_connection_of(connection));
}

static void sim_receive_resume(struct engine *engine, struct connection *common)
{
    struct sim_connection *connection = sim_connection_of(common);

    (void)engine;
    connection->paused = false;
    connection->resumed = true;
    sim_connection_ready(connection);
}

static void sim_finish(struct engine *engine, struct connection *common)
{
    struct sim_connection *connection = sim_connection_of(common);

    if (common->extent_count > 0 && !common->blocked)
        sim_serve(engine, common);
    sim_connection_ready(connection);
}

static void sim_abort(struct engine *engine, struct connection *common)
{
    struct sim_connection *connection = sim_connection_of(common);

    struct sim_network *network = sim_engine_of(engine)->network;

    sim_link_abort(connection->link, connection->side);
    connection->aborted_in_turn = sim_engine_of(engine)->turn;
    connection->cancelling = sim_chance(network, network->options.late_close_permille);
    if (connection->cancelling)
        sim_schedule(connection->link, SIM_EVENT_CANCELLED, connection->side, network->now_ns + sim_delay(network));
    sim_connection_ready(connection);
}

/* --- the turn --- */

/* Serves the connections handed over so far, in their order, at most sends_per_turn; those handed over meanwhile are for a later turn. */
static void serve_queued(struct sim_engine *engine)
{
    uint32_t budget = engine->common.options.sends_per_turn;
    struct list_node batch;

    list_init(&batch);
    while (budget > 0 && !list_is_empty(&engine->to_serve)) {
        struct list_node *node = list_first(&engine->to_serve);
        list_remove(node);
        list_append(&batch, node);
        budget--;
    }
    while (!list_is_empty(&batch)) {
        struct sim_connection *connection = LIST_ENTRY(list_first(&batch), struct sim_connection, serve_node);
        list_remove(&connection->serve_node);
        connection->common.queued = false;
        sim_connection_serve(connection);
    }
}

/* Moves the ready list into the scratch array, in a random order: completions of different connections may come in any. */
static size_t shuffle_ready(struct sim_engine *engine)
{
    size_t count = 0;

    while (!list_is_empty(&engine->ready)) {
        struct list_node *node = list_first(&engine->ready);
        if (count == engine->order_capacity) {
            engine->order_capacity = engine->order_capacity > 0 ? 2 * engine->order_capacity : 64;
            engine->order = reallocarray(engine->order, engine->order_capacity, sizeof(void *));
            if (!engine->order)
                abort();
        }
        list_remove(node);
        size_t place = random_below(&engine->network->random, count + 1);
        engine->order[count] = engine->order[place];
        engine->order[place] = LIST_ENTRY(node, struct sim_connection, ready_node);
        count++;
    }
    return count;
}

/* A connection is freed only while it is handled itself, so the other pointers in `order` stay valid. */
static void handle_ready(struct sim_engine *engine)
{
    size_t count = shuffle_ready(engine);

    for (size_t i = 0; i < count; i++)
        sim_connection_handle(engine->order[i]);
}

static void report_woken(struct sim_engine *engine)
{
    const struct engine_options *options = &engine->common.options;

    if (!engine->woken)
        return;
    engine->woken = false;
    counter_add(&engine->common.counters.wakeups, 1);
    if (options->handler->woken)
        options->handler->woken(options->context, engine->network->now_ns);
}

static void work(struct sim_engine *engine)
{
    bool sends_first = sim_chance(engine->network, 500);

    report_woken(engine);
    if (sends_first)
        serve_queued(engine);
    sim_accept_queued(engine);
    handle_ready(engine);
    if (!sends_first)
        serve_queued(engine);
}

/* A turn that would sleep does nothing, and leaves the waker sleeping (engine_sim_is_due). */
static uint64_t sim_turn(struct engine *common, uint64_t deadline_ns)
{
    struct sim_engine *engine = sim_engine_of(common);
    bool sleeps = waker_is_sleeping(&common->waker) && deadline_ns != 0 && !engine_sim_is_due(common);
    uint64_t turn_began_ns = engine->network->now_ns;

    engine->turn++;
    engine->starved = false;
    if (!sleeps) {
        waker_end_sleep(&common->waker);
        work(engine);
    }
    if (!engine->starved)
        engine->reported_until_ns = turn_began_ns;
    return engine->reported_until_ns;
}

bool engine_sim_is_due(const struct engine *common)
{
    const struct sim_engine *engine = (const struct sim_engine *)(const void *)common;

    return engine->woken || engine->listener.stopping || !list_is_empty(&engine->ready) || !list_is_empty(&engine->to_serve) ||
           sim_may_accept(engine);
}

void engine_sim_take_descriptors(struct engine *engine, bool taken)
{
    if (taken)
        counter_add(&engine->counters.accept_pauses, 1);
    sim_engine_of(engine)->no_descriptors = taken;
}

/* --- the table --- */

static uint64_t sim_now(struct engine *engine)
{
    return sim_engine_of(engine)->network->now_ns;
}

/* Channels need no registration: frames are sent from where they lie. */
static void sim_add_channel(struct engine *engine, const struct channel *channel)
{
    (void)engine;
    (void)channel;
}

static const struct engine_ops operations = {
    .destroy = sim_destroy,
    .now = sim_now,
    .listen = sim_listen,
    .accept_pause = sim_accept_pause,
    .listen_stop = sim_listen_stop,
    .connect = sim_connect,
    .serve = sim_serve,
    .receive_resume = sim_receive_resume,
    .finish = sim_finish,
    .abort = sim_abort,
    .add_channel = sim_add_channel,
    .turn = sim_turn,
};

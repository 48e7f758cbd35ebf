/* Listening: which listener a SYN reaches, its backlog, and accepting from it. */
#include "engine/sim/sim.h"

#include <errno.h>

static bool is_any_address(const struct ip_address *ip)
{
    static const struct ip_address any_v6;
    static const struct ip_address any_v4 = {{[10] = 0xff, [11] = 0xff}};

    return ip_address_equal(ip, &any_v6) || ip_address_equal(ip, &any_v4);
}

struct sim_engine *sim_find_listener(struct sim_network *network, const struct address *address)
{
    struct sim_engine *found = NULL;
    uint64_t matches = 0;

    for (struct list_node *node = network->engines.next; node != &network->engines; node = node->next) {
        struct sim_engine *engine = LIST_ENTRY(node, struct sim_engine, node);
        const struct address *bound = &engine->listener.address;

        if (!engine->listener.open || bound->port != address->port || !ip_address_equal(&engine->ip, &address->ip))
            continue;
        if (!is_any_address(&bound->ip) && !ip_address_equal(&bound->ip, &address->ip))
            continue;
        if (random_below(&network->random, ++matches) == 0)
            found = engine;
    }
    return found;
}

uint16_t sim_take_port(struct sim_network *network)
{
    if (network->next_port == 0)
        network->next_port = 1024;
    return network->next_port++;
}

int sim_listen(struct engine *common, const struct address *address, const struct engine_listen_options *options)
{
    struct sim_engine *engine = sim_engine_of(common);
    struct sim_listener *listener = &engine->listener;

    if (listener->open)
        return -EBUSY;
    listener->address = *address;
    if (address->port == 0)
        listener->address.port = sim_take_port(engine->network);
    listener->backlog_limit = options->backlog > 0 ? (unsigned)options->backlog : 1;
    listener->open = true;
    listener->stopping = false;
    common->listen_port = listener->address.port;
    return 0;
}

void sim_accept_pause(struct engine *engine, bool paused)
{
    sim_engine_of(engine)->listener.paused = paused;
}

void sim_listen_stop(struct engine *engine)
{
    if (sim_engine_of(engine)->listener.open)
        sim_engine_of(engine)->listener.stopping = true;
}

static struct sim_link *take_from_backlog(struct sim_listener *listener)
{
    struct sim_link *link = LIST_ENTRY(list_first(&listener->backlog), struct sim_link, backlog_node);

    list_remove(&link->backlog_node);
    listener->backlog_count--;
    return link;
}

static bool has_descriptor(const struct sim_engine *engine)
{
    const struct descriptor_budget *budget = engine->common.options.descriptors;

    return !engine->no_descriptors && (!budget || atomic_load_explicit(&budget->left, memory_order_relaxed) > 0);
}

bool sim_may_accept(const struct sim_engine *engine)
{
    const struct sim_listener *listener = &engine->listener;

    return listener->backlog_count > 0 && has_descriptor(engine) && (!listener->paused || listener->stopping) &&
           engine->connection_count < engine->common.options.max_connections;
}

static void accept_one(struct sim_engine *engine)
{
    const struct engine_options *options = &engine->common.options;
    struct sim_link *link = take_from_backlog(&engine->listener);
    struct sim_connection *connection = sim_connection_create(engine, link, SIM_ACCEPTOR);

    sim_link_release(link); /* the backlog's reference */
    counter_add(&engine->common.counters.accepts, 1);
    sim_connection_ready(connection); /* something may have arrived or happened already */
    options->handler->accepted(options->context, &connection->common, &link->addresses[SIM_CONNECTOR], engine->network->now_ns);
}

void sim_close_listener(struct sim_engine *engine)
{
    while (engine->listener.backlog_count > 0) {
        struct sim_link *link = take_from_backlog(&engine->listener);
        sim_link_abort(link, SIM_ACCEPTOR);
        sim_link_release(link);
    }
    engine->listener.open = false;
    engine->listener.stopping = false;
    engine->common.listen_port = 0;
}

void sim_accept_queued(struct sim_engine *engine)
{
    while (sim_may_accept(engine))
        accept_one(engine);
    if (engine->listener.stopping)
        sim_close_listener(engine);
}

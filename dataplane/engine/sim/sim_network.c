/* Virtual time, and the events that are scheduled in it. */
#include "engine/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FIRST_EPHEMERAL_PORT 32768

void *sim_allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (!memory)
        abort();
    return memory;
}

int sim_network_create(struct sim_network **out, const struct sim_network_options *options)
{
    struct sim_network *network = calloc(1, sizeof *network);

    if (!network)
        return -ENOMEM;
    assert(options->delay_min_ns <= options->delay_max_ns && options->segment_max_bytes > 0 && options->window_bytes > 0);
    network->options = *options;
    random_seed(&network->random, options->seed);
    network->now_ns = NS_PER_S; /* not 0, which often means "never happened" */
    network->next_port = FIRST_EPHEMERAL_PORT;
    list_init(&network->engines);
    *out = network;
    return 0;
}

void sim_network_destroy(struct sim_network *network)
{
    if (!network)
        return;
    assert(list_is_empty(&network->engines));
    for (size_t i = 0; i < network->event_count; i++)
        sim_link_release(network->events[i].link);
    free(network->events);
    free(network);
}

uint64_t sim_network_now(const struct sim_network *network)
{
    return network->now_ns;
}

uint64_t sim_network_next_event(const struct sim_network *network)
{
    return network->event_count > 0 ? network->events[0].at_ns : CLOCK_NEVER;
}

bool sim_chance(struct sim_network *network, uint32_t permille)
{
    return permille > 0 && random_below(&network->random, 1000) < permille;
}

uint64_t sim_delay(struct sim_network *network)
{
    const struct sim_network_options *options = &network->options;

    return options->delay_min_ns + random_below(&network->random, options->delay_max_ns - options->delay_min_ns + 1);
}

/* --- the heap --- */

static bool is_earlier(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void rise(struct sim_event *events, size_t i, struct sim_event event)
{
    while (i > 0 && is_earlier(&event, &events[(i - 1) / 2])) {
        events[i] = events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    events[i] = event;
}

static void sink(struct sim_event *events, size_t count, struct sim_event event)
{
    size_t i = 0, child;

    while ((child = 2 * i + 1) < count) {
        if (child + 1 < count && is_earlier(&events[child + 1], &events[child]))
            child++;
        if (!is_earlier(&events[child], &event))
            break;
        events[i] = events[child];
        i = child;
    }
    events[i] = event;
}

void sim_schedule(struct sim_link *link, enum sim_event_kind kind, uint8_t side, uint64_t at_ns)
{
    struct sim_network *network = link->network;
    struct sim_event event = {.at_ns = at_ns, .order = network->event_order++, .link = link, .kind = (uint8_t)kind, .side = side};

    if (network->event_count == network->event_capacity) {
        size_t capacity = network->event_capacity > 0 ? 2 * network->event_capacity : 256;
        struct sim_event *events = realloc(network->events, capacity * sizeof *events);
        if (!events)
            abort();
        network->events = events;
        network->event_capacity = capacity;
    }
    sim_link_reference(link);
    rise(network->events, network->event_count++, event);
}

void sim_network_advance(struct sim_network *network, uint64_t now_ns)
{
    assert(now_ns >= network->now_ns);
    while (network->event_count > 0 && network->events[0].at_ns <= now_ns) {
        struct sim_event event = network->events[0];

        network->event_count--;
        if (network->event_count > 0)
            sink(network->events, network->event_count, network->events[network->event_count]);
        if (event.at_ns > network->now_ns)
            network->now_ns = event.at_ns;
        sim_link_carry_out(event.link, &event);
        sim_link_release(event.link);
    }
    network->now_ns = now_ns;
}

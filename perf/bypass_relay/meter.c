#include "bypass_relay/meter.h"

#include "flashrelay/clock.h"

#include <rte_cycles.h>

/* Where the clock is put forward to an arrival it is put further by this: meanwhile arrivals gather, as in a sleep. */
#define NAP_NS (50 * NS_PER_US)

/* No part is at work for so long without a break: another program had the core meanwhile. That is left out. */
#define PREEMPTED_NS 1e6

/* Ports and engines do not know their meter. */
static struct meter *watching;

/* What a part did besides being held up is lost with that: some microseconds. */
static void leave_out(struct meter *meter, uint64_t cycles)
{
    meter->preempted_cycles += cycles;
    meter->preemptions++;
}

enum meter_part meter_enter(struct meter *meter, enum meter_part part)
{
    uint64_t now = rte_rdtsc(), client_cycles = population_figures(meter->population)->client_cycles;
    uint64_t passed = now - meter->since - (client_cycles - meter->client_cycles);
    enum meter_part previous = meter->part;
    bool may_be_long = previous == METER_SHARD && meter->has_long_lists;

    if (!may_be_long && (double)passed * meter->ns_per_cycle > PREEMPTED_NS)
        leave_out(meter, passed);
    else
        meter->cycles[previous] += passed;
    meter->since = now;
    meter->client_cycles = client_cycles;
    meter->part = part;
    return previous;
}

uint64_t meter_now_ns(struct meter *meter)
{
    uint64_t left_out, now = rte_rdtsc();

    if ((double)(now - meter->since) * meter->ns_per_cycle > PREEMPTED_NS) {
        meter_enter(meter, meter->part); /* leaves out what is to be left out so far, or the clock would go back later */
        now = meter->since;
    }
    left_out = meter->preempted_cycles + population_figures(meter->population)->client_cycles;
    return (uint64_t)((double)(now - meter->clock_base - left_out) * meter->ns_per_cycle) + meter->clock_jump_ns;
}

void meter_put_forward(struct meter *meter, uint64_t until_ns)
{
    uint64_t now_ns = meter_now_ns(meter);

    if (until_ns > now_ns)
        meter->clock_jump_ns += until_ns - now_ns;
}

uint64_t meter_working_cycles(const struct meter *meter)
{
    uint64_t sum = 0;

    for (unsigned part = METER_FRAME; part < METER_PARTS; part++)
        sum += meter->cycles[part];
    return sum;
}

const char *meter_part_name(enum meter_part part)
{
    static const char *const NAMES[METER_PARTS] = {
        [METER_OUTSIDE] = "outside", [METER_FRAME] = "frame",       [METER_SHARD] = "shard", [METER_TIMERS] = "timers",
        [METER_SERVICE] = "service", [METER_TRANSMIT] = "transmit", [METER_ACKS] = "acks",   [METER_ADMISSION] = "admission",
    };

    return NAMES[part];
}

/* --- the port --- */

static unsigned receive(struct port *port, struct port_packet *packets, unsigned capacity)
{
    unsigned count;

    if (watching->part != METER_ACKS)
        meter_enter(watching, METER_ACKS);
    count = watching->port_below->receive(port, packets, capacity);
    watching->packets += count;
    return count;
}

static void send_segments(struct port *port, const struct port_segment *segments, unsigned count)
{
    enum meter_part previous = meter_enter(watching, METER_TRANSMIT);

    watching->port_below->send(port, segments, count);
    watching->packets += count;
    meter_enter(watching, previous);
}

/* The engine calls it once per turn, before it serves. */
static bool flush(struct port *port)
{
    meter_enter(watching, METER_SERVICE);
    return watching->port_below->flush(port);
}

static uint64_t now(struct port *port)
{
    (void)port;
    return meter_now_ns(watching);
}

static void wait(struct port *port, uint64_t deadline_ns)
{
    uint64_t arrival_ns = population_next_arrival_ns(watching->population);

    (void)port;
    if (arrival_ns != CLOCK_NEVER)
        arrival_ns += NAP_NS;
    meter_put_forward(watching, arrival_ns < deadline_ns ? arrival_ns : deadline_ns);
}

/* --- the engine --- */

static uint64_t turn(struct engine *engine, uint64_t deadline_ns)
{
    uint64_t reported_until_ns;

    meter_enter(watching, METER_TIMERS);
    reported_until_ns = watching->engine_below->turn(engine, deadline_ns);
    meter_enter(watching, METER_SHARD);
    return reported_until_ns;
}

/* --- life --- */

void meter_init(struct meter *meter, struct population *population)
{
    *meter = (struct meter){
        .population = population,
        .ns_per_cycle = 1e9 / (double)rte_get_tsc_hz(),
        .clock_base = rte_rdtsc(),
        .clock_jump_ns = NS_PER_S, /* no time is 0 */
    };
    meter->since = meter->clock_base;
    watching = meter;
}

void meter_watch_port(struct meter *meter, struct port *port)
{
    meter->port_below = port->ops;
    meter->port = *port->ops;
    meter->port.receive = receive;
    meter->port.send = send_segments;
    meter->port.flush = flush;
    meter->port.now = now;
    meter->port.wait = wait;
    port->ops = &meter->port;
}

void meter_watch_engine(struct meter *meter, struct engine *engine)
{
    meter->engine_below = engine->ops;
    meter->engine = *engine->ops;
    meter->engine.turn = turn;
    engine->ops = &meter->engine;
}

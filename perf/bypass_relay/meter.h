/*
 * Where the shard's thread spends its time. A meter stands between the engine and its port, and between the shard and its engine: it learns
 * from their calls which part of a turn is at work, and gives the engine its clock. That costs a few readings of the time stamp counter per
 * turn, and two per burst of segments.
 */
#ifndef PERF_BYPASS_RELAY_METER_H
#define PERF_BYPASS_RELAY_METER_H

#include "engine/tcp/port.h"
#include "flashrelay/engine.h"
#include "population/population.h"

enum meter_part {
    METER_OUTSIDE,   /* the measurement itself, and the clients: never reported */
    METER_FRAME,     /* appending to the channel */
    METER_SHARD,     /* the shard outside of the engine's turn: offering, lag, marks */
    METER_TIMERS,    /* ends of connections, timers */
    METER_SERVICE,   /* cutting frames into segments, with what the shard makes of progress */
    METER_TRANSMIT,  /* the port: mbufs, the transmit ring, the freeing of what was sent */
    METER_ACKS,      /* receiving, with what the shard makes of what it is sent */
    METER_ADMISSION, /* control's answers */
    METER_PARTS
};

struct meter {
    struct population *population;
    uint64_t cycles[METER_PARTS];
    uint64_t packets; /* received, and segments handed to the port: tells whether a turn had anything to do */
    uint64_t preemptions, preempted_cycles; /* times that another program had the core */
    bool has_long_lists;                    /* the shard has lists of stalled subscribers, which it may walk for so long */
    uint64_t clock_base, clock_jump_ns;
    double ns_per_cycle;

    enum meter_part part; /* that is at work */
    uint64_t since, client_cycles;

    const struct port_ops *port_below;
    struct port_ops port;
    const struct engine_ops *engine_below;
    struct engine_ops engine;
};

/* Prepares the one meter of the program, and starts its clock. */
void meter_init(struct meter *meter, struct population *population);

/* Puts the meter before a port or an engine, for all of its life. */
void meter_watch_port(struct meter *meter, struct port *port);
void meter_watch_engine(struct meter *meter, struct engine *engine);

/* The time in ns: that of a machine that does not have the clients' work. Idle time is left out. */
uint64_t meter_now_ns(struct meter *meter);
void meter_put_forward(struct meter *meter, uint64_t until_ns);

/* The part that is at work from now on. Returns the one that was. */
enum meter_part meter_enter(struct meter *meter, enum meter_part part);

/* Cycles of all parts but METER_OUTSIDE so far. Called while that is at work. */
uint64_t meter_working_cycles(const struct meter *meter);

/* The part's name in tables and JSON. */
const char *meter_part_name(enum meter_part part);

#endif

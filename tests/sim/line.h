/* One connection of a simulated peer. */
#ifndef TESTS_SIM_LINE_H
#define TESTS_SIM_LINE_H

#include "flashrelay/engine.h"

struct sim_world;

/* One connection of a simulated peer, with what it wants to say and has not said yet. */
struct sim_line {
    enum sim_line_kind { LINE_CLIENT, LINE_FEED } kind;
    struct sim_world *world;
    struct engine *engine;
    struct connection *connection; /* NULL before and after */
    uint8_t *bytes;
    size_t length, capacity;
    uint64_t said_bytes;  /* ever */
    uint64_t taken_bytes; /* by the network */
    bool finish;          /* FIN after the rest */
};

void sim_line_dispose(struct sim_line *line);
void sim_line_say(struct sim_line *line, const void *bytes, size_t length);
void sim_line_finish(struct sim_line *line);
/* Says what there is to say, once the engine has room for it. */
void sim_line_flush(struct sim_line *line);
/* The other end of its connection, or NULL. */
struct connection *sim_line_other_end(const struct sim_line *line);
/* An engine with the handlers of simulated peers. */
struct engine *sim_line_engine_create(struct sim_world *world, struct ip_address ip, void *context);

#endif

/* One connection of a simulated peer. */
#ifndef TESTS_SIM_LINE_H
#define TESTS_SIM_LINE_H

#include "flashrelay/engine.h"

struct sim_world;

/* The connection, and the bytes that the peer has queued for it. */
struct sim_line {
    enum sim_line_kind { LINE_CLIENT, LINE_FEED } kind;
    struct sim_world *world;
    struct engine *engine;
    struct connection *connection; /* NULL while not connected */
    uint8_t *bytes;
    size_t length, capacity;
    uint64_t said_bytes;  /* queued since the beginning */
    uint64_t taken_bytes; /* of those, taken by the network */
    bool finish;          /* send FIN after the queued bytes */
};

void sim_line_dispose(struct sim_line *line);
void sim_line_say(struct sim_line *line, const void *bytes, size_t length);
void sim_line_finish(struct sim_line *line);
/* Hands the queued bytes to the engine, if it has room for them. */
void sim_line_flush(struct sim_line *line);
/* The relay's end of the connection, or NULL. */
struct connection *sim_line_other_end(const struct sim_line *line);
/* Creates an engine with the handlers of simulated peers. */
struct engine *sim_line_engine_create(struct sim_world *world, struct ip_address ip, void *context);

#endif

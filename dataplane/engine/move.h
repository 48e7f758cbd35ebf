/* Moving a connection between engines whose connections have descriptors: filling a handoff, and taking it over. */
#ifndef DATAPLANE_ENGINE_MOVE_H
#define DATAPLANE_ENGINE_MOVE_H

#include "flashrelay/engine.h"

/*
 * Calls `detached` for a connection of which no operation and no pin is outstanding, then lets go of its extents and unread bytes. The
 * handler owns the descriptor from then on. The connection is dead; only its slot is left to be given back.
 */
void move_hand_over(struct engine *engine, struct connection *connection, int descriptor, uint64_t now_ns);

/* Fills a new connection with what `handoff` describes. 0, or -ENOMEM and the connection is as before. */
int move_take_over(struct engine *engine, struct connection *connection, const struct engine_handoff *handoff);

#endif

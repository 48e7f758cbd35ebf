/* Moving a connection between engines whose connections have descriptors: what leaves with it, and arrives. */
#ifndef DATAPLANE_ENGINE_MOVE_H
#define DATAPLANE_ENGINE_MOVE_H

#include "flashrelay/engine.h"

/*
 * Tells the handler that the connection, of which no operation and no pin is outstanding, is detached, and lets go of what it had. The
 * descriptor is the handler's; the connection is dead and is no more than its slot.
 */
void move_hand_over(struct engine *engine, struct connection *connection, int descriptor, uint64_t now_ns);

/* Fills a new connection with what `handoff` describes. 0, or -ENOMEM and the connection is as before. */
int move_take_over(struct engine *engine, struct connection *connection, const struct engine_handoff *handoff);

#endif

/* The engine's turn, and ending its sleep. */
#ifndef DATAPLANE_ENGINE_TCP_TURN_H
#define DATAPLANE_ENGINE_TCP_TURN_H

#include "engine/tcp/internal.h"

/* As engine_turn. */
uint64_t tcp_turn(struct engine *base, uint64_t deadline_ns);

/* Ends the engine's sleep. Any thread. */
void tcp_wake(struct waker *waker, struct waker *from);

#endif

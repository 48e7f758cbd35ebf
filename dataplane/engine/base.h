/* The part that is common to all engines, besides extents: filling it in and disposing of it. */
#ifndef DATAPLANE_ENGINE_BASE_H
#define DATAPLANE_ENGINE_BASE_H

#include "flashrelay/engine.h"
#include "flashrelay/list.h"

/* Fills in the common part of a zeroed engine; `options` is copied, what it points to must outlive the engine; `wake` ends its sleep. */
void engine_init(struct engine *engine, const struct engine_ops *ops, const struct engine_options *options,
                 void (*wake)(struct waker *waker, struct waker *from));

/* Frees what the common part holds, once every connection's extents are released. */
void engine_dispose(struct engine *engine);

/* The engine that a waker belongs to. */
static inline struct engine *engine_of_waker(struct waker *waker)
{
    return LIST_ENTRY(waker, struct engine, waker);
}

#endif

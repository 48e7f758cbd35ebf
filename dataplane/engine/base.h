/* What engines share besides their extents: filling in and taking down the common part. */
#ifndef DATAPLANE_ENGINE_BASE_H
#define DATAPLANE_ENGINE_BASE_H

#include "flashrelay/engine.h"

/* Fills in the common part of a zeroed engine; `options` is copied, what it points to must outlive the engine. */
void engine_init(struct engine *engine, const struct engine_ops *ops, const struct engine_options *options);

/* Frees what the common part holds, once every connection's extents are released. */
void engine_dispose(struct engine *engine);

#endif

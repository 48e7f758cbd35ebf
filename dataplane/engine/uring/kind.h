#ifndef DATAPLANE_ENGINE_URING_KIND_H
#define DATAPLANE_ENGINE_URING_KIND_H

#include "flashrelay/engine_kind.h"

extern const struct engine_kind engine_kind_uring;

#endif

#ifndef DATAPLANE_ENGINE_EPOLL_KIND_H
#define DATAPLANE_ENGINE_EPOLL_KIND_H

#include "flashrelay/engine_kind.h"

extern const struct engine_kind engine_kind_epoll;

#endif

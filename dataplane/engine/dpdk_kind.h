/*
 * DPDK as a kind of engine to choose. Two files define it: dpdk/kind.c, in programs that are linked with DPDK, and no_dpdk.c, which refuses,
 * in all others.
 */
#ifndef DATAPLANE_ENGINE_DPDK_KIND_H
#define DATAPLANE_ENGINE_DPDK_KIND_H

#include "flashrelay/engine_kind.h"

extern const struct engine_kind engine_kind_dpdk;

#endif

#ifndef DATAPLANE_ENGINE_DPDK_EXPLAIN_H
#define DATAPLANE_ENGINE_DPDK_EXPLAIN_H

#include <stddef.h>

/* Writes into `error` why something is not possible, and what to type; returns `result`. */
int explain(char *error, size_t capacity, int result, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif

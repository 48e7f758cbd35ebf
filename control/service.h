/* The relay as a process runs it: data plane, limits, admission, metrics and health, put together from the options. */
#ifndef CONTROL_SERVICE_H
#define CONTROL_SERVICE_H

#include "options/options.h"

#include <stdint.h>

struct service;

/*
 * Creates everything, listens and starts. 0; or a negative errno and in `error` one line that says what could not be done: -ENOTSUP if the
 * engine was asked for by name, and can't be had.
 * `options` stays the caller's and outlives the service.
 */
int service_start(struct service **service, const struct options *options, char *error, size_t error_capacity);

/* Does what is due at `now_ns` (monotonic). Returns when the next call is due, or CLOCK_NEVER; an earlier call does no harm. One thread. */
uint64_t service_turn(struct service *service, uint64_t now_ns);

/* Begins the orderly end; returns at once. */
void service_drain(struct service *service);

/* True once a draining service has no connection left. */
bool service_is_finished(struct service *service);

/* Ends what still runs and frees everything. */
void service_destroy(struct service *service);

#endif

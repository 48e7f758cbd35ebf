/* Handlers for events of an engine that a test ignores. */
#ifndef TESTS_SUPPORT_IGNORED_EVENTS_H
#define TESTS_SUPPORT_IGNORED_EVENTS_H

#include "flashrelay/engine.h"

/* Each has the type of the member of struct engine_handler that it is named after, and does nothing. */
void ignore_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns);
void ignore_woken(void *context, uint64_t now_ns);

#endif

#include "support/ignored_events.h"

void ignore_progressed(void *context, struct connection *connection, const struct engine_progress *progress, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)progress;
    (void)now_ns;
}

void ignore_woken(void *context, uint64_t now_ns)
{
    (void)context;
    (void)now_ns;
}

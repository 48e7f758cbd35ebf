/* The default source of a channel's memory: a memfd, which another process can be given, on huge pages where the system has them. */
#ifndef DATAPLANE_CHANNEL_MEMORY_H
#define DATAPLANE_CHANNEL_MEMORY_H

#include "flashrelay/channel.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

extern const struct channel_memory_source channel_memory_memfd;

/* Makes the first `bytes` present, in steps, ahead of their use. Where that fails, a write faults its pages in, if it can. */
void channel_memory_populate(struct channel_memory *memory, size_t bytes);

#endif

/* The big mapping behind a channel: huge pages where the system has them, and every page present before it is used. */
#ifndef DATAPLANE_CHANNEL_MEMORY_H
#define DATAPLANE_CHANNEL_MEMORY_H

#include "flashrelay/channel.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

struct channel_memory {
    uint8_t *base;
    size_t length; /* as asked for, rounded up to whole pages: huge ones from HUGE_PAGE_BYTES on */
    enum channel_pages pages;
};

/* Maps and populates at least `bytes`. 0 or -ENOMEM. channel_memory_unmap takes it back. */
int channel_memory_map(struct channel_memory *memory, size_t bytes);
void channel_memory_unmap(struct channel_memory *memory);

#endif

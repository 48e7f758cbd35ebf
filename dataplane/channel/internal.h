/* What the publishing and the reading half of a channel share. */
#ifndef DATAPLANE_CHANNEL_INTERNAL_H
#define DATAPLANE_CHANNEL_INTERNAL_H

#include "channel/memory.h"
#include "flashrelay/channel.h"
#include "flashrelay/counter.h"

/* Where a frame lies. Written before the head reaches its sequence number, not changed until all readers have passed it. */
struct channel_entry {
    uint64_t offset; /* in the arena */
    uint64_t ingest_ns;
    uint32_t length; /* 0: a gap */
    uint8_t header_length;
};

struct channel {
    /* Fixed after creation. */
    const uint8_t *arena;
    struct channel_entry *entries; /* by sequence & mask */
    uint64_t mask;
    struct channel_marks *marks;
    struct channel_memory memory;
    const char *name;

    /*
     * Written by the publisher, read by all. Head and marks, and waiting and marks, are each written by one side and read by the other
     * in the opposite order (join against reclaim, moving a mark against failing to append), so all of these accesses are seq_cst:
     * at least one side then sees what the other wrote.
     */
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t floor;
    _Atomic bool waiting;

    /* The publisher's; the counters are read for figures. */
    _Alignas(64) counter tail; /* lowest sequence number held; head + 1 when empty */
    size_t write_offset;       /* where the next frame goes if it fits before the arena's end */
    counter held_bytes, frames, append_refusals, wraps;
};

static inline const struct channel_entry *channel_entry_at(const struct channel *channel, uint64_t sequence)
{
    return &channel->entries[sequence & channel->mask];
}

#endif

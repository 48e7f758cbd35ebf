/* What the files of a channel share. */
#ifndef DATAPLANE_CHANNEL_INTERNAL_H
#define DATAPLANE_CHANNEL_INTERNAL_H

#include "flashrelay/channel.h"
#include "flashrelay/counter.h"

/* Where a frame lies. Written before the head reaches its sequence number, not changed until all readers have passed it. */
struct channel_entry {
    const uint8_t *bytes; /* in the channel's arena or, in a view, in another's */
    uint64_t ingest_ns;
    uint64_t ordinal; /* number of frames appended up to this entry; a gap has its predecessor's */
    uint32_t length;  /* 0: a gap */
    uint8_t header_length;
};

struct channel {
    /* Fixed after creation. */
    struct channel_entry *entries; /* by sequence & mask */
    uint64_t mask;
    struct channel_marks *marks;
    const struct selection *_Atomic *selections; /* by number less 1 */
    uint16_t selection_limit;
    const struct channel_memory_source *source;
    const char *name;

    /*
     * Written by the publisher, read by all threads. A reader that joins sets its mark, then reads the head; the publisher moves the head,
     * then reads the marks. A reader moves its mark, then reads `waiting`; a failing append sets `waiting`, then reads the marks. All of these
     * accesses are seq_cst, so that in each case at least one side sees what the other wrote.
     */
    _Alignas(64) _Atomic uint64_t head;
    _Atomic uint64_t floor;
    _Atomic bool waiting;

    /* Written by the publisher; other threads read the counters, and the fixed parts of `memory`. */
    _Alignas(64) counter tail; /* lowest sequence number held; head + 1 when empty */
    struct channel_memory memory;
    size_t write_offset;      /* where the next frame goes if it fits before the arena's end */
    uint64_t oldest_in_arena; /* sequence number of the oldest frame held in the arena; the head's successor if there is none */
    uint64_t ordinal;         /* frames appended so far */
    counter held_bytes, frames, append_refusals, wraps;
};

static inline const struct channel_entry *channel_entry_at(const struct channel *channel, uint64_t sequence)
{
    return &channel->entries[sequence & channel->mask];
}

#endif

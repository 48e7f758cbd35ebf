/*
 * The frame log. A channel is a ring of immutable WebSocket frames (header and payload, contiguous) over one arena that is mapped at start;
 * one publisher thread appends, any number of reader threads follow. Frames have sequence numbers from 1; a sequence number may have no
 * frame in a channel (a gap: an entry of length 0). All channels of a relay share the sequence numbers and the set of reader marks.
 *
 * Rules (dataplane/README.md, "One log, many cursors" and "The publisher never waits"): frames never move; the publisher never waits for
 * a reader; a reader publishes in its mark the lowest sequence number that it may still touch; only the publisher frees, in order, below
 * the lowest mark; where room runs short it raises the channel's floor, and readers let go of what is below it at their next turn.
 */
#ifndef FLASHRELAY_CHANNEL_H
#define FLASHRELAY_CHANNEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_MAX_READERS 128
/* A mark's value when its reader touches nothing. */
#define CHANNEL_MARK_NONE UINT64_MAX

/* One reader's mark, in a cache line of its own. */
struct channel_mark {
    _Alignas(64) _Atomic uint64_t sequence;
};

/* The marks of all readers, shared by the channels of one relay. Owned by who made it; outlives the channels. */
struct channel_marks {
    struct channel_mark marks[CHANNEL_MAX_READERS];
    unsigned count; /* fixed before the first channel_append */
};

/* Sets all marks to CHANNEL_MARK_NONE. */
void channel_marks_init(struct channel_marks *marks, unsigned count);

struct channel;

struct channel_options {
    const char *name;   /* "json", "brotli"; must outlive the channel */
    size_t arena_bytes; /* at least twice the largest message; rounded up to whole pages, of 2 MiB from 2 MiB on */
    uint32_t entries;   /* power of two: most frames held at once */
    struct channel_marks *marks;
};

/* Why an arena is on what pages, for the start-up log. */
enum channel_pages { CHANNEL_PAGES_HUGE, CHANNEL_PAGES_TRANSPARENT, CHANNEL_PAGES_PLAIN };

/* Maps and populates arena and entries. 0, -ENOMEM, or -EINVAL for bad options. channel_destroy takes it back. */
int channel_create(struct channel **out, const struct channel_options *options);
void channel_destroy(struct channel *channel);

/* A frame as it lies in the log. Valid while the caller's mark is at or below its sequence. */
struct channel_frame {
    const uint8_t *bytes; /* WebSocket header, then payload */
    uint32_t length;      /* of both; 0 for a gap */
    uint8_t header_length;
    uint64_t ingest_ns; /* when its last byte arrived */
};

/* --- publisher thread --- */

/*
 * Appends one whole frame with `opcode` (RFC 6455, 5.2) and FIN as `sequence`, which must be above the head by at most the number of
 * entries; skipped numbers become gaps. Frees first what no reader touches any more; a log that is empty then begins again at its start.
 * Copies the payload once, behind its header. 0; -EMSGSIZE if the payload can never fit; -ENOSPC if there is no room now: the floor has
 * been raised as far as needed, nothing was appended, and the same call succeeds once the readers moved their marks.
 */
int channel_append(struct channel *channel, uint64_t sequence, uint8_t opcode, const void *payload, size_t length,
                   uint64_t ingest_ns);

/* Appends a gap: `sequence` is taken, without a frame. Same errors. */
int channel_append_gap(struct channel *channel, uint64_t sequence);

/* Frees what no reader touches any more, as channel_append does. */
void channel_reclaim(struct channel *channel);

/* True while the last append failed with -ENOSPC. Any thread; a reader that moved its mark then wakes the publisher. */
bool channel_is_waiting(const struct channel *channel);

/* --- reader threads --- */

/* The newest sequence number, 0 while empty. Everything up to it is readable. */
uint64_t channel_head(const struct channel *channel);

/* Readers must let go of frames below this sequence number. */
uint64_t channel_floor(const struct channel *channel);

/*
 * Takes up reading: sets the mark so that nothing from the returned sequence number on (the head's successor) is freed.
 * The reader's mark must be CHANNEL_MARK_NONE before; it is then the reader's to move with channel_mark_set.
 */
uint64_t channel_reader_join(struct channel *channel, unsigned reader);

/* Publishes the lowest sequence number that `reader` may still touch, in any channel; it only grows, until CHANNEL_MARK_NONE. */
void channel_mark_set(struct channel_marks *marks, unsigned reader, uint64_t sequence);

/* The frame `sequence`, between the reader's mark and the head. */
void channel_frame_get(const struct channel *channel, uint64_t sequence, struct channel_frame *frame);

/*
 * The longest run of contiguous bytes that starts `skip_bytes` into frame `from` and ends at most at the end of frame `to - 1`
 * or after `limit_bytes`. `*bytes` points into the log; returns the run's length, 0 only if from == to or all of them are gaps.
 */
size_t channel_run(const struct channel *channel, uint64_t from, uint64_t to, uint32_t skip_bytes, size_t limit_bytes,
                   const uint8_t **bytes);

/*
 * How far `taken_bytes` bytes, counted from `*skip_bytes` into frame `*from`, reach: moves `*from` past every frame that is complete
 * (and the gaps behind it, up to `to`) and leaves in `*skip_bytes` what was taken of the next. Returns how many frames were completed.
 */
uint32_t channel_advance(const struct channel *channel, uint64_t *from, uint64_t to, uint32_t *skip_bytes, size_t taken_bytes);

/* --- figures, any thread --- */

struct channel_figures {
    const char *name;
    enum channel_pages pages;
    uint64_t head, floor, tail; /* sequence numbers: newest, lowest promised, lowest held */
    uint64_t arena_bytes, held_bytes, frames;
    uint64_t append_refusals; /* appends that ended with -ENOSPC */
    uint64_t wraps;           /* times the log began at the arena's start again */
};

void channel_figures_get(const struct channel *channel, struct channel_figures *figures);

/* The arena, to register it with an engine. */
void channel_memory(const struct channel *channel, const uint8_t **base, size_t *length);

#endif

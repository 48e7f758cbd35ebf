/*
 * The frame log. A channel is a ring of immutable WebSocket frames (header and payload, contiguous) over one arena that is reserved at
 * start; one publisher thread appends, any number of reader threads follow. Frames have sequence numbers from 1. The numbers are the
 * publisher's events and the same in every channel of a relay; a number may have no frame in a channel (a gap: an entry of length 0).
 *
 * Frames never move. The publisher never waits for a reader: a reader publishes in its mark the lowest sequence number that it may still
 * touch, only the publisher frees, in order, below the lowest mark; where room runs short it raises the channel's floor, and readers let
 * go of what is below it at their next turn.
 *
 * An entry may also name a frame that lies in another channel (a view). Both channels then have the same set of marks, because a mark
 * protects the frame in both. Channels that name nothing of each other have sets of their own, so that readers of one do not hold up
 * the other.
 */
#ifndef FLASHRELAY_CHANNEL_H
#define FLASHRELAY_CHANNEL_H

#include "flashrelay/selection.h"

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

/* The marks of all readers of a channel, or of several where one is a view of another. Owned by who made it; outlives the channels. */
struct channel_marks {
    struct channel_mark marks[CHANNEL_MAX_READERS];
    unsigned count; /* fixed before the first channel_append */
};

/* Sets all marks to CHANNEL_MARK_NONE. */
void channel_marks_init(struct channel_marks *marks, unsigned count);

struct channel;

/* Why an arena is on what pages, for the start-up log. */
enum channel_pages { CHANNEL_PAGES_HUGE, CHANNEL_PAGES_TRANSPARENT, CHANNEL_PAGES_PLAIN };

/* The memory behind a channel. It never moves. */
struct channel_memory {
    uint8_t *base;
    size_t length;
    size_t populated_bytes; /* from the beginning: present, so that writing to them faults no page */
    enum channel_pages pages;
    int descriptor; /* of the memory, -1 if it has none */
};

/* Where the memory of channels comes from. */
struct channel_memory_source {
    /* Reserves at least `bytes`. 0 or a negative errno. */
    int (*map)(void *context, struct channel_memory *memory, size_t bytes);
    void (*unmap)(void *context, struct channel_memory *memory);
    void *context;
};

struct channel_options {
    const char *name;    /* "json", "brotli"; must outlive the channel */
    size_t arena_bytes;  /* at least twice the largest message; rounded up to whole pages; 0: only views are appended */
    uint32_t entries;    /* power of two: most frames held at once */
    uint16_t selections; /* highest number of a selection; 0: none but everything */
    struct channel_marks *marks;
    const struct channel_memory_source *memory; /* NULL: a memfd, huge pages where the system has them */
};

/* Reserves the arena, which is populated as it fills, and maps the entries. 0, -ENOMEM, or -EINVAL for bad options. channel_destroy takes it back. */
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

/*
 * Appends an entry that names the frame `sequence` of `source`, without copying it: a gap if that is one. Both channels have the same
 * marks, and the caller's own mark protects the frame meanwhile. Same errors.
 */
int channel_append_view(struct channel *view, uint64_t sequence, const struct channel *source);

/*
 * Makes `selection` known as `number` (1 to channel_options.selections), or forgets the number (NULL) once no reader uses it. Before
 * the number is given to readers.
 */
void channel_set_selection(struct channel *channel, uint16_t number, const struct selection *selection);

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

/* The selection with that number, NULL for 0: everything. */
const struct selection *channel_selection(const struct channel *channel, uint16_t number);

/* How many selected frames there are in [from, to): gaps and what is not selected do not count. Without selection in constant time. */
uint64_t channel_count_frames(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to);

/*
 * The longest run of contiguous bytes of selected frames that starts `skip_bytes` into frame `from` (or, if that is a gap or not
 * selected, with the next that is) and ends at most at the end of frame `to - 1` or after `limit_bytes`. `*bytes` points into the log;
 * returns the run's length, 0 only if there is no selected frame.
 */
size_t channel_run(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to,
                   uint32_t skip_bytes, size_t limit_bytes, const uint8_t **bytes);

/* What channel_advance passed. */
struct channel_advanced {
    uint32_t frames;        /* completed */
    uint64_t payload_bytes; /* of them */
};

/*
 * How far `taken_bytes` bytes of selected frames, counted from `*skip_bytes` into frame `*from`, reach: moves `*from` past every frame
 * that is complete (and what is not sent behind it, up to `to`) and leaves in `*skip_bytes` what was taken of the next.
 */
struct channel_advanced channel_advance(const struct channel *channel, const struct selection *selection, uint64_t *from,
                                        uint64_t to, uint32_t *skip_bytes, size_t taken_bytes);

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

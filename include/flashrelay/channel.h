/*
 * The frame log. A channel is a ring of immutable WebSocket frames (header and payload, contiguous) over one arena that is reserved at
 * start; one publisher thread appends, up to CHANNEL_MAX_READERS reader threads follow. Frames have sequence numbers from 1. A number stands
 * for one published message and is the same in every channel of a relay; a channel may have no frame for it (a gap: an entry of length 0).
 *
 * Frames never move, and the publisher never waits for a reader. Each reader publishes in its mark the lowest sequence number that it may
 * still touch. Only the publisher frees frames, in order, below the lowest mark. Where room runs short the publisher raises the channel's
 * floor, and each reader lets go of the frames below the floor at its next turn.
 *
 * An entry may also name a frame that lies in another channel (a view). Both channels then have the same set of marks, because a mark
 * protects the frame in both. Channels whose entries do not name frames of each other have separate sets of marks, so that readers of one
 * channel do not hold up the other.
 */
#ifndef FLASHRELAY_CHANNEL_H
#define FLASHRELAY_CHANNEL_H

#include "flashrelay/selection.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_MAX_READERS 128
/* The value of a mark whose reader touches no frame. */
#define CHANNEL_MARK_NONE UINT64_MAX

/* One reader's mark, in a cache line of its own. */
struct channel_mark {
    _Alignas(64) _Atomic uint64_t sequence;
};

/* The marks of all readers of a channel, or of several where one is a view of another. Owned by the caller; must outlive the channels. */
struct channel_marks {
    struct channel_mark marks[CHANNEL_MAX_READERS];
    unsigned count; /* fixed before the first channel_append */
};

/* Sets all marks to CHANNEL_MARK_NONE, for `count` readers: at most CHANNEL_MAX_READERS. Before any thread uses the marks. */
void channel_marks_init(struct channel_marks *marks, unsigned count);

struct channel;

/* The kind of pages of an arena: from the system's pool of huge pages, transparent huge pages (requested with madvise), or plain ones. */
enum channel_pages { CHANNEL_PAGES_HUGE, CHANNEL_PAGES_TRANSPARENT, CHANNEL_PAGES_PLAIN };

/* The memory behind a channel. It never moves. */
struct channel_memory {
    uint8_t *base;
    size_t length;
    size_t populated_bytes; /* from the beginning: already present, so that writing there faults no page */
    enum channel_pages pages;
    int descriptor; /* of the memory, -1 if it has none */
};

/* Where the memory of channels comes from. */
struct channel_memory_source {
    /* Reserves at least `bytes` and describes them in *memory. 0 or a negative errno. */
    int (*map)(void *context, struct channel_memory *memory, size_t bytes);
    /* Gives back what `map` reserved. */
    void (*unmap)(void *context, struct channel_memory *memory);
    void *context;
};

struct channel_options {
    const char *name;    /* "json", "brotli"; must outlive the channel */
    size_t arena_bytes;  /* at least twice the largest message; rounded up to whole pages; 0: only views are appended */
    uint32_t entries;    /* power of two: most sequence numbers held at once, gaps included */
    uint16_t selections; /* highest number of a selection; 0: there is only number 0, everything */
    struct channel_marks *marks;
    const struct channel_memory_source *memory; /* NULL: a memfd, huge pages where the system has them */
};

/*
 * Creates a channel: reserves the arena, which is populated as it fills unless its source populated it, and allocates the entries. 0, -ENOMEM,
 * -EINVAL for bad options, or the error of the memory source. The caller frees it with channel_destroy (NULL is allowed there) once no thread
 * uses it any more.
 */
int channel_create(struct channel **out, const struct channel_options *options);
void channel_destroy(struct channel *channel);

/* A frame as it lies in the log. Valid while the caller's mark is at or below its sequence. */
struct channel_frame {
    const uint8_t *bytes; /* WebSocket header, then payload */
    uint32_t length;      /* of header and payload; 0 for a gap */
    uint8_t header_length;
    uint64_t ingest_ns; /* when the message's last byte arrived */
};

/* --- publisher thread --- */

/*
 * Appends one whole frame with `opcode` (RFC 6455, 5.2) and FIN as `sequence`, which must be above the head by at most the number of
 * entries; skipped numbers become gaps. First frees the frames that no reader touches any more; if the log is then empty, it begins again
 * at the arena's start. Copies the payload once, behind its header. 0; -EMSGSIZE if the payload can never fit; -ENOSPC if there is no room
 * now: the floor has been raised as far as needed, nothing was appended, and the same call succeeds once the readers have moved their marks.
 */
int channel_append(struct channel *channel, uint64_t sequence, uint8_t opcode, const void *payload, size_t length,
                   uint64_t ingest_ns);

/* Appends a gap: uses up `sequence` without a frame. 0 or -ENOSPC, as channel_append. */
int channel_append_gap(struct channel *channel, uint64_t sequence);

/*
 * Appends an entry that names the frame `sequence` of `source`, without copying it; a gap there becomes a gap here. Both channels must have
 * the same marks, and the caller's own mark must protect the frame during the call. 0 or -ENOSPC, as channel_append.
 */
int channel_append_view(struct channel *view, uint64_t sequence, const struct channel *source);

/*
 * Registers `selection`, which the caller owns, as `number` (1 to channel_options.selections), before the number is given to readers. NULL
 * forgets the number, once no reader uses it.
 */
void channel_set_selection(struct channel *channel, uint16_t number, const struct selection *selection);

/* Frees the frames that no reader touches any more, as channel_append does. */
void channel_reclaim(struct channel *channel);

/* True from an append that finds no room until one succeeds: a reader that has moved its mark then wakes the publisher. Any thread. */
bool channel_is_waiting(const struct channel *channel);

/* --- reader threads --- */

/* The newest sequence number, 0 before the first append. Entries up to it are complete. Any thread. */
uint64_t channel_head(const struct channel *channel);

/* The floor: readers must let go of frames below this sequence number. Any thread. */
uint64_t channel_floor(const struct channel *channel);

/*
 * Begins reading: sets the mark of `reader` so that no frame from the returned sequence number on (the head's successor) is freed.
 * The mark must be CHANNEL_MARK_NONE before; from then on the reader moves it with channel_mark_set.
 */
uint64_t channel_reader_join(struct channel *channel, unsigned reader);

/* Sets the mark of `reader`: the lowest sequence number that it may still touch in any channel. It only grows; CHANNEL_MARK_NONE ends reading. */
void channel_mark_set(struct channel_marks *marks, unsigned reader, uint64_t sequence);

/* Describes frame `sequence`, which must be between the reader's mark and the head. */
void channel_frame_get(const struct channel *channel, uint64_t sequence, struct channel_frame *frame);

/* The selection registered as `number`; NULL for 0: everything. */
const struct selection *channel_selection(const struct channel *channel, uint16_t number);

/* Counts the selected frames in [from, to), without gaps. Takes constant time if `selection` is NULL (everything). */
uint64_t channel_count_frames(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to);

/* The first selected frame in [from, to) that is no gap; `to` if there is none. */
uint64_t channel_next_frame(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to);

/*
 * Finds the longest run of contiguous bytes of selected frames that starts `skip_bytes` into frame `from` (or, if that is a gap or not
 * selected, at the next selected frame) and ends at the latest with frame `to - 1` or after `limit_bytes`. `*bytes` points into the log.
 * Returns the run's length, 0 only if there is no selected frame.
 */
size_t channel_run(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to,
                   uint32_t skip_bytes, size_t limit_bytes, const uint8_t **bytes);

/* What channel_advance passed. */
struct channel_progress {
    uint32_t frames;        /* completed */
    uint64_t payload_bytes; /* of them */
};

/*
 * Advances a position, which is `*skip_bytes` into frame `*from`, by `taken_bytes` bytes of selected frames: moves `*from` past every frame
 * that is complete and past gaps and unselected frames behind it, up to `to`; sets `*skip_bytes` to the bytes taken of frame `*from`.
 */
struct channel_progress channel_advance(const struct channel *channel, const struct selection *selection, uint64_t *from,
                                        uint64_t to, uint32_t *skip_bytes, size_t taken_bytes);

/* --- figures, any thread --- */

struct channel_figures {
    const char *name;
    enum channel_pages pages;
    uint64_t head, floor, tail; /* sequence numbers: newest, lowest that readers may keep, lowest held */
    uint64_t arena_bytes, held_bytes, frames;
    uint64_t append_refusals; /* appends that ended with -ENOSPC */
    uint64_t wraps;           /* times the log began at the arena's start again */
};

/* Copies the figures, one after the other; `name` points to the channel's name. */
void channel_figures_get(const struct channel *channel, struct channel_figures *figures);

/* The arena's address and length in bytes, with which an engine registers it. */
void channel_memory(const struct channel *channel, const uint8_t **base, size_t *length);

#endif

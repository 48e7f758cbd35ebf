/*
 * A selection: a set of a channel's frames, for readers that receive only some of them. It consists of a predicate and of one bit for each
 * of the newest frames, which keeps the predicate's result, so that a frame is evaluated once however many readers share the selection.
 * For older frames the predicate is evaluated again.
 *
 * One thread, the channel's publisher, notes results; any number of reader threads ask for them. Nothing blocks.
 */
#ifndef FLASHRELAY_SELECTION_H
#define FLASHRELAY_SELECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct channel;
struct channel_frame;

/* Sequence numbers whose bits are kept. */
#define SELECTION_WINDOW 4096

struct selection {
    /* True if the frame is selected: always the same result for the same frame. Any thread. */
    bool (*matches)(const void *context, const struct channel_frame *frame);
    const void *context;
    uint64_t first;          /* older frames were never noted */
    _Atomic uint64_t newest; /* noted, or about to be */
    _Atomic uint64_t bits[SELECTION_WINDOW / 64];
};

/* Prepares a selection whose first noted frame will be `first`. It and `context` outlive their use by readers. */
void selection_init(struct selection *selection, uint64_t first,
                    bool (*matches)(const void *context, const struct channel_frame *frame), const void *context);

/* Notes a result. The publisher calls it for each sequence number in order, before the head reaches the number; a gap is not selected. */
void selection_note(struct selection *selection, uint64_t sequence, bool selected);

/* True if frame `sequence` of `channel`, which must be between the reader's mark and the head, is selected; false for a gap. */
bool selection_has(const struct selection *selection, const struct channel *channel, uint64_t sequence);

#endif

/*
 * A selection: a set of a channel's frames, for readers that receive only some of them. It is a predicate and what it said of the newest
 * frames, one bit each, so that a frame is evaluated once however many readers share the selection. What is older than the bits is
 * evaluated again.
 *
 * One thread, the channel's publisher, notes; any number of reader threads ask. Nothing blocks.
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
    /* Says of any frame whether it is selected: always the same of the same frame, from any thread. */
    bool (*matches)(const void *context, const struct channel_frame *frame);
    const void *context;
    uint64_t first;          /* what is older was never noted */
    _Atomic uint64_t newest; /* noted, or about to be */
    _Atomic uint64_t bits[SELECTION_WINDOW / 64];
};

/* Prepares a selection whose first noted frame will be `first`. It and `context` outlive their use by readers. */
void selection_init(struct selection *selection, uint64_t first,
                    bool (*matches)(const void *context, const struct channel_frame *frame), const void *context);

/* The publisher, for each sequence number in order, before the channel's head reaches it. A gap is noted as not selected. */
void selection_note(struct selection *selection, uint64_t sequence, bool selected);

/* True if frame `sequence` of `channel`, between the reader's mark and the head, is selected; false for a gap. */
bool selection_has(const struct selection *selection, const struct channel *channel, uint64_t sequence);

#endif

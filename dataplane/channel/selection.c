#include "flashrelay/selection.h"

#include "flashrelay/channel.h"

#include <assert.h>

void selection_init(struct selection *selection, uint64_t first,
                    bool (*matches)(const void *context, const struct channel_frame *frame), const void *context)
{
    *selection = (struct selection){.matches = matches, .context = context, .first = first};
    atomic_init(&selection->newest, first - 1);
    for (unsigned i = 0; i < SELECTION_WINDOW / 64; i++)
        atomic_init(&selection->bits[i], 0);
}

/* Stores `newest` before it changes the bit, which belonged to an older frame until now: see selection_has. */
void selection_note(struct selection *selection, uint64_t sequence, bool selected)
{
    _Atomic uint64_t *word = &selection->bits[sequence % SELECTION_WINDOW / 64];
    uint64_t bit = UINT64_C(1) << sequence % 64;
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);

    assert(sequence == atomic_load_explicit(&selection->newest, memory_order_relaxed) + 1);
    atomic_store_explicit(&selection->newest, sequence, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(word, selected ? bits | bit : bits & ~bit, memory_order_relaxed);
}

/*
 * Reads the bit first, then checks by `newest` that it belonged to this frame: a thread that read a bit already changed for a newer frame
 * sees that frame in `newest`. The frame's own bit was written before the channel's head reached the frame.
 */
bool selection_has(const struct selection *selection, const struct channel *channel, uint64_t sequence)
{
    uint64_t word = atomic_load_explicit(&selection->bits[sequence % SELECTION_WINDOW / 64], memory_order_relaxed);
    struct channel_frame frame;

    atomic_thread_fence(memory_order_acquire);
    if (sequence >= selection->first &&
        atomic_load_explicit(&selection->newest, memory_order_relaxed) - sequence < SELECTION_WINDOW)
        return word >> sequence % 64 & 1;
    channel_frame_get(channel, sequence, &frame);
    return frame.length > 0 && selection->matches(selection->context, &frame);
}

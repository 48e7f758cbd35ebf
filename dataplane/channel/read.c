/* The readers' half of a channel: marks, and frames as runs of bytes. */
#include "channel/internal.h"

#include <assert.h>

bool channel_is_waiting(const struct channel *channel)
{
    return atomic_load_explicit(&channel->waiting, memory_order_seq_cst);
}

uint64_t channel_head(const struct channel *channel)
{
    return atomic_load_explicit(&channel->head, memory_order_seq_cst);
}

uint64_t channel_floor(const struct channel *channel)
{
    return atomic_load_explicit(&channel->floor, memory_order_seq_cst);
}

/*
 * The publisher frees only frames up to its head, and reads the marks after it has moved the head. So a frame above the head that is read
 * here, after the mark was set, can be freed only once the publisher has seen the mark.
 */
uint64_t channel_reader_join(struct channel *channel, unsigned reader)
{
    _Atomic uint64_t *mark = &channel->marks->marks[reader].sequence;

    assert(reader < channel->marks->count);
    assert(atomic_load_explicit(mark, memory_order_relaxed) == CHANNEL_MARK_NONE);
    atomic_store_explicit(mark, channel_head(channel) + 1, memory_order_seq_cst);
    uint64_t next = channel_head(channel) + 1;
    channel_mark_set(channel->marks, reader, next);
    return next;
}

void channel_mark_set(struct channel_marks *marks, unsigned reader, uint64_t sequence)
{
    assert(reader < marks->count);
    _Atomic uint64_t *mark = &marks->marks[reader].sequence;
    uint64_t current = atomic_load_explicit(mark, memory_order_relaxed);

    assert(sequence >= current);
    if (sequence != current)
        atomic_store_explicit(mark, sequence, memory_order_seq_cst);
}

void channel_frame_get(const struct channel *channel, uint64_t sequence, struct channel_frame *frame)
{
    const struct channel_entry *entry = channel_entry_at(channel, sequence);

    frame->bytes = entry->bytes;
    frame->length = entry->length;
    frame->header_length = entry->header_length;
    frame->ingest_ns = entry->ingest_ns;
}

const struct selection *channel_selection(const struct channel *channel, uint16_t number)
{
    if (number == 0)
        return NULL;
    assert(number <= channel->selection_limit);
    return atomic_load_explicit(&channel->selections[number - 1], memory_order_acquire);
}

/* The length of frame `sequence`; 0 for a gap or a frame that is not selected. */
static inline uint32_t sent_bytes(const struct channel *channel, const struct selection *selection, uint64_t sequence)
{
    if (selection && !selection_has(selection, channel, sequence))
        return 0;
    return channel_entry_at(channel, sequence)->length;
}

uint64_t channel_count_frames(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to)
{
    uint64_t count = 0;

    if (from >= to)
        return 0;
    if (!selection)
        return channel_entry_at(channel, to - 1)->ordinal - channel_entry_at(channel, from)->ordinal +
               (channel_entry_at(channel, from)->length != 0);
    for (; from < to; from++)
        count += sent_bytes(channel, selection, from) != 0;
    return count;
}

uint64_t channel_next_frame(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to)
{
    while (from < to && sent_bytes(channel, selection, from) == 0)
        from++;
    return from;
}

/* Frames are packed, so a run ends only where a frame is left out (by the selection, or by a view), or where the arena begins again. */
size_t channel_run(const struct channel *channel, const struct selection *selection, uint64_t from, uint64_t to,
                   uint32_t skip_bytes, size_t limit_bytes, const uint8_t **bytes)
{
    from = channel_next_frame(channel, selection, from, to);
    if (from >= to)
        return 0;
    const struct channel_entry *entry = channel_entry_at(channel, from);
    assert(skip_bytes < entry->length);
    const uint8_t *end = entry->bytes + entry->length;
    size_t run = entry->length - skip_bytes;
    *bytes = entry->bytes + skip_bytes;
    while (run < limit_bytes && ++from < to) {
        entry = channel_entry_at(channel, from);
        if (sent_bytes(channel, selection, from) == 0)
            continue;
        if (entry->bytes != end)
            break;
        end += entry->length;
        run += entry->length;
    }
    return run < limit_bytes ? run : limit_bytes;
}

/* A selection always gives the same result for a frame, so that frame `*from` is still selected if `*skip_bytes` of it were taken. */
struct channel_progress channel_advance(const struct channel *channel, const struct selection *selection, uint64_t *from,
                                        uint64_t to, uint32_t *skip_bytes, size_t taken_bytes)
{
    struct channel_progress progress = {0};
    uint64_t sequence = *from;
    uint32_t skip = *skip_bytes;

    for (; sequence < to; sequence++) {
        uint32_t length = sent_bytes(channel, selection, sequence);
        if (taken_bytes < length - skip)
            break;
        if (length == 0)
            continue;
        taken_bytes -= length - skip;
        skip = 0;
        progress.frames++;
        progress.payload_bytes += length - channel_entry_at(channel, sequence)->header_length;
    }
    assert(sequence < to || taken_bytes == 0);
    *from = sequence;
    *skip_bytes = skip + (uint32_t)taken_bytes;
    return progress;
}

void channel_figures_get(const struct channel *channel, struct channel_figures *figures)
{
    *figures = (struct channel_figures){
        .name = channel->name,
        .pages = channel->memory.pages,
        .head = channel_head(channel),
        .floor = channel_floor(channel),
        .tail = counter_read(&channel->tail),
        .arena_bytes = channel->memory.length,
        .held_bytes = counter_read(&channel->held_bytes),
        .frames = counter_read(&channel->frames),
        .append_refusals = counter_read(&channel->append_refusals),
        .wraps = counter_read(&channel->wraps),
    };
}

void channel_memory(const struct channel *channel, const uint8_t **base, size_t *length)
{
    *base = channel->memory.base;
    *length = channel->memory.length;
}

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
 * The publisher frees only what its head has passed, and looks at the marks after it moved the head. So what is above the head that
 * is read here after the mark was set can be freed only by a publisher that sees the mark.
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
    _Atomic uint64_t *mark = &marks->marks[reader].sequence;
    uint64_t current = atomic_load_explicit(mark, memory_order_relaxed);

    assert(reader < marks->count);
    assert(sequence >= current);
    if (sequence != current)
        atomic_store_explicit(mark, sequence, memory_order_seq_cst);
}

void channel_frame_get(const struct channel *channel, uint64_t sequence, struct channel_frame *frame)
{
    const struct channel_entry *entry = channel_entry_at(channel, sequence);

    frame->bytes = channel->arena + entry->offset;
    frame->length = entry->length;
    frame->header_length = entry->header_length;
    frame->ingest_ns = entry->ingest_ns;
}

/* Frames are packed, so one run covers all of them but where the log began again at the arena's start. */
size_t channel_run(const struct channel *channel, uint64_t from, uint64_t to, uint32_t skip_bytes, size_t limit_bytes,
                   const uint8_t **bytes)
{
    const struct channel_entry *entry = NULL;

    for (; from < to; from++) {
        entry = channel_entry_at(channel, from);
        if (entry->length != 0)
            break;
    }
    if (from >= to)
        return 0;
    assert(skip_bytes < entry->length);
    uint64_t end = entry->offset + entry->length;
    size_t run = entry->length - skip_bytes;
    *bytes = channel->arena + entry->offset + skip_bytes;
    while (run < limit_bytes && ++from < to) {
        entry = channel_entry_at(channel, from);
        if (entry->length == 0)
            continue;
        if (entry->offset != end)
            break;
        end += entry->length;
        run += entry->length;
    }
    return run < limit_bytes ? run : limit_bytes;
}

uint32_t channel_advance(const struct channel *channel, uint64_t *from, uint64_t to, uint32_t *skip_bytes, size_t taken_bytes)
{
    uint64_t sequence = *from;
    uint32_t skip = *skip_bytes, frames = 0;

    for (; sequence < to; sequence++) {
        uint32_t length = channel_entry_at(channel, sequence)->length;
        if (taken_bytes < length - skip)
            break;
        taken_bytes -= length - skip;
        skip = 0;
        frames += length != 0;
    }
    assert(sequence < to || taken_bytes == 0);
    *from = sequence;
    *skip_bytes = skip + (uint32_t)taken_bytes;
    return frames;
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
    *base = channel->arena;
    *length = channel->memory.length;
}

/* The publisher's half of a channel: appending, freeing, and raising the floor. */
#include "channel/internal.h"
#include "flashrelay/ws.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_OFFSET SIZE_MAX

void channel_marks_init(struct channel_marks *marks, unsigned count)
{
    assert(count <= CHANNEL_MAX_READERS);
    for (unsigned i = 0; i < CHANNEL_MAX_READERS; i++)
        atomic_init(&marks->marks[i].sequence, CHANNEL_MARK_NONE);
    marks->count = count;
}

/* Writes to every entry, so that none faults later. */
static struct channel_entry *create_entries(uint32_t count)
{
    void *entries;

    if (posix_memalign(&entries, 64, count * sizeof(struct channel_entry)) != 0)
        return NULL;
    memset(entries, 0, count * sizeof(struct channel_entry));
    return entries;
}

int channel_create(struct channel **out, const struct channel_options *options)
{
    uint32_t entries = options->entries;
    void *memory;

    if (options->arena_bytes == 0 || entries == 0 || (entries & (entries - 1)) != 0 || !options->marks)
        return -EINVAL;
    if (posix_memalign(&memory, _Alignof(struct channel), sizeof(struct channel)) != 0)
        return -ENOMEM;
    struct channel *channel = memory;
    memset(channel, 0, sizeof *channel);
    channel->entries = create_entries(entries);
    if (!channel->entries || channel_memory_map(&channel->memory, options->arena_bytes) != 0) {
        free(channel->entries);
        free(channel);
        return -ENOMEM;
    }
    channel->arena = channel->memory.base;
    channel->mask = entries - 1;
    channel->marks = options->marks;
    channel->name = options->name;
    atomic_init(&channel->floor, 1);
    counter_set(&channel->tail, 1);
    *out = channel;
    return 0;
}

void channel_destroy(struct channel *channel)
{
    if (!channel)
        return;
    channel_memory_unmap(&channel->memory);
    free(channel->entries);
    free(channel);
}

/* Only the publisher writes the head, so it may read it as it likes. */
static uint64_t own_head(const struct channel *channel)
{
    return atomic_load_explicit(&channel->head, memory_order_relaxed);
}

static uint64_t lowest_mark(const struct channel_marks *marks)
{
    uint64_t lowest = CHANNEL_MARK_NONE;

    for (unsigned i = 0; i < marks->count; i++) {
        uint64_t mark = atomic_load_explicit(&marks->marks[i].sequence, memory_order_seq_cst);
        if (mark < lowest)
            lowest = mark;
    }
    return lowest;
}

void channel_reclaim(struct channel *channel)
{
    uint64_t end = own_head(channel) + 1;
    uint64_t lowest = lowest_mark(channel->marks);
    uint64_t tail = counter_read(&channel->tail);

    for (end = lowest < end ? lowest : end; tail < end; tail++) {
        uint32_t length = channel_entry_at(channel, tail)->length;
        counter_subtract(&channel->held_bytes, length);
        counter_subtract(&channel->frames, length != 0);
    }
    counter_set(&channel->tail, tail);
}

/* Where `length` bytes would go if everything below `tail` were free; NO_OFFSET if nowhere. An empty log starts again at 0. */
static size_t find_offset(const struct channel *channel, uint64_t tail, size_t length)
{
    uint64_t head = own_head(channel);
    size_t write = channel->write_offset, arena_bytes = channel->memory.length;

    while (tail <= head && channel_entry_at(channel, tail)->length == 0)
        tail++;
    if (tail > head)
        return length <= arena_bytes ? 0 : NO_OFFSET;
    size_t oldest = channel_entry_at(channel, tail)->offset;
    if (write <= oldest)
        return length <= oldest - write ? write : NO_OFFSET;
    if (length <= arena_bytes - write)
        return write;
    return length <= oldest ? 0 : NO_OFFSET;
}

/* The same, for a frame `sequence`, which also needs entries up to its own. */
static size_t find_room(const struct channel *channel, uint64_t tail, uint64_t sequence, size_t length)
{
    return sequence - tail <= channel->mask ? find_offset(channel, tail, length) : NO_OFFSET;
}

/* Raises the floor just as far as the frame needs. */
static void raise_floor(struct channel *channel, uint64_t sequence, size_t length)
{
    uint64_t head = own_head(channel);
    uint64_t floor = atomic_load_explicit(&channel->floor, memory_order_relaxed);
    uint64_t tail = counter_read(&channel->tail);
    uint64_t needed = floor > tail ? floor : tail;

    while (needed <= head && find_room(channel, needed, sequence, length) == NO_OFFSET)
        needed++;
    if (needed > floor)
        atomic_store_explicit(&channel->floor, needed, memory_order_seq_cst);
}

/*
 * Frees first, whether room is short or not: a log whose readers keep up starts again at its beginning, in memory that is still cached.
 * Looks at the marks once more after `waiting` is set, as a reader looks at `waiting` after it moved its mark.
 */
static size_t make_room(struct channel *channel, uint64_t sequence, size_t length)
{
    channel_reclaim(channel);
    size_t offset = find_room(channel, counter_read(&channel->tail), sequence, length);
    if (offset != NO_OFFSET)
        return offset;

    raise_floor(channel, sequence, length);
    atomic_store_explicit(&channel->waiting, true, memory_order_seq_cst);
    channel_reclaim(channel);
    offset = find_room(channel, counter_read(&channel->tail), sequence, length);
    if (offset == NO_OFFSET)
        counter_add(&channel->append_refusals, 1);
    return offset;
}

/* Records everything up to `sequence` and shows it to the readers. */
static void publish(struct channel *channel, uint64_t sequence, const struct channel_entry *entry)
{
    static const struct channel_entry gap;

    for (uint64_t skipped = own_head(channel) + 1; skipped < sequence; skipped++)
        channel->entries[skipped & channel->mask] = gap;
    channel->entries[sequence & channel->mask] = *entry;
    counter_add(&channel->held_bytes, entry->length);
    counter_add(&channel->frames, entry->length != 0);
    if (atomic_load_explicit(&channel->waiting, memory_order_relaxed))
        atomic_store_explicit(&channel->waiting, false, memory_order_seq_cst);
    atomic_store_explicit(&channel->head, sequence, memory_order_seq_cst);
}

static void assert_sequence(const struct channel *channel, uint64_t sequence)
{
    assert(sequence > own_head(channel));
    assert(sequence - own_head(channel) <= channel->mask + 1);
}

int channel_append(struct channel *channel, uint64_t sequence, uint8_t opcode, const void *payload, size_t length,
                   uint64_t ingest_ns)
{
    uint8_t header[WS_MAX_HEADER_BYTES];

    assert_sequence(channel, sequence);
    if (length > channel->memory.length || length > UINT32_MAX - WS_MAX_HEADER_BYTES)
        return -EMSGSIZE;
    size_t header_length = ws_write_header(header, opcode, length, NULL);
    size_t total = header_length + length;
    if (total > channel->memory.length)
        return -EMSGSIZE;
    size_t offset = make_room(channel, sequence, total);
    if (offset == NO_OFFSET)
        return -ENOSPC;

    uint8_t *frame = channel->memory.base + offset;
    memcpy(frame, header, header_length);
    if (length > 0)
        memcpy(frame + header_length, payload, length);
    if (offset == 0 && channel->write_offset != 0)
        counter_add(&channel->wraps, 1);
    channel->write_offset = offset + total;
    struct channel_entry entry = {
        .offset = offset, .ingest_ns = ingest_ns, .length = (uint32_t)total, .header_length = (uint8_t)header_length};
    publish(channel, sequence, &entry);
    return 0;
}

int channel_append_gap(struct channel *channel, uint64_t sequence)
{
    assert_sequence(channel, sequence);
    if (make_room(channel, sequence, 0) == NO_OFFSET)
        return -ENOSPC;
    publish(channel, sequence, &(struct channel_entry){.length = 0});
    return 0;
}

/* The publisher's half of a channel: appending, freeing, and raising the floor. */
#include "channel/internal.h"
#include "channel/memory.h"
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

/* Writes to every entry, so that no later write to one faults a page. */
static struct channel_entry *create_entries(uint32_t count)
{
    void *entries;

    if (posix_memalign(&entries, 64, count * sizeof(struct channel_entry)) != 0)
        return NULL;
    memset(entries, 0, count * sizeof(struct channel_entry));
    return entries;
}

static bool options_are_valid(const struct channel_options *options)
{
    uint32_t entries = options->entries;

    return entries != 0 && (entries & (entries - 1)) == 0 && options->marks;
}

static int create_parts(struct channel *channel, const struct channel_options *options)
{
    channel->entries = create_entries(options->entries);
    if (!channel->entries)
        return -ENOMEM;
    if (options->selections > 0) {
        channel->selections = calloc(options->selections, sizeof *channel->selections);
        if (!channel->selections)
            return -ENOMEM;
    }
    channel->selection_limit = options->selections;
    if (options->arena_bytes == 0)
        return 0;
    return channel->source->map(channel->source->context, &channel->memory, options->arena_bytes);
}

int channel_create(struct channel **out, const struct channel_options *options)
{
    void *memory;

    if (!options_are_valid(options))
        return -EINVAL;
    if (posix_memalign(&memory, _Alignof(struct channel), sizeof(struct channel)) != 0)
        return -ENOMEM;
    struct channel *channel = memset(memory, 0, sizeof *channel);
    channel->mask = options->entries - 1;
    channel->marks = options->marks;
    channel->name = options->name;
    channel->source = options->memory ? options->memory : &channel_memory_memfd;
    channel->memory.descriptor = -1;
    channel->oldest_in_arena = 1;
    atomic_init(&channel->floor, 1);
    counter_set(&channel->tail, 1);
    int error = create_parts(channel, options);
    if (error != 0) {
        channel_destroy(channel);
        return error;
    }
    *out = channel;
    return 0;
}

void channel_destroy(struct channel *channel)
{
    if (!channel)
        return;
    if (channel->memory.base)
        channel->source->unmap(channel->source->context, &channel->memory);
    free((void *)channel->selections);
    free(channel->entries);
    free(channel);
}

void channel_set_selection(struct channel *channel, uint16_t number, const struct selection *selection)
{
    assert(number > 0 && number <= channel->selection_limit);
    atomic_store_explicit(&channel->selections[number - 1], selection, memory_order_release);
}

/* Only the publisher writes the head, so that its own reads need no memory order. */
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

/* True if the entry names a frame in the channel's own arena: it is neither a gap nor a view. */
static bool is_in_arena(const struct channel *channel, uint64_t sequence)
{
    const struct channel_entry *entry = channel_entry_at(channel, sequence);
    const uint8_t *base = channel->memory.base;

    return entry->length != 0 && entry->bytes >= base && entry->bytes < base + channel->memory.length;
}

/* The first frame in the arena from `sequence` on, or the head's successor if there is none. */
static uint64_t find_in_arena(const struct channel *channel, uint64_t sequence)
{
    uint64_t head = own_head(channel);

    while (sequence <= head && !is_in_arena(channel, sequence))
        sequence++;
    return sequence;
}

void channel_reclaim(struct channel *channel)
{
    uint64_t end = own_head(channel) + 1;
    uint64_t lowest = lowest_mark(channel->marks);
    uint64_t tail = counter_read(&channel->tail);

    for (end = lowest < end ? lowest : end; tail < end; tail++) {
        uint32_t length = channel_entry_at(channel, tail)->length;
        counter_subtract(&channel->held_bytes, is_in_arena(channel, tail) ? length : 0);
        counter_subtract(&channel->frames, length != 0);
    }
    counter_set(&channel->tail, tail);
    channel->oldest_in_arena = find_in_arena(channel, channel->oldest_in_arena > tail ? channel->oldest_in_arena : tail);
}

/* The offset at which `length` bytes have room if `oldest` is the oldest frame in the arena, or NO_OFFSET. An empty log starts again at 0. */
static size_t find_offset(const struct channel *channel, uint64_t oldest, size_t length)
{
    size_t write = channel->write_offset, arena_bytes = channel->memory.length;

    if (oldest > own_head(channel))
        return length <= arena_bytes ? 0 : NO_OFFSET;
    size_t begin = (size_t)(channel_entry_at(channel, oldest)->bytes - channel->memory.base);
    if (write <= begin)
        return length <= begin - write ? write : NO_OFFSET;
    if (length <= arena_bytes - write)
        return write;
    return length <= begin ? 0 : NO_OFFSET;
}

/* The offset at which frame `sequence` has room now, or NO_OFFSET; the entries up to its own must be free too. */
static size_t find_room(const struct channel *channel, uint64_t sequence, size_t length)
{
    return sequence - counter_read(&channel->tail) <= channel->mask ? find_offset(channel, channel->oldest_in_arena, length)
                                                                    : NO_OFFSET;
}

/* Raises the floor only as far as the frame needs: past the number that uses its entry, and past frames in the arena until its bytes have room. */
static void raise_floor(struct channel *channel, uint64_t sequence, size_t length)
{
    uint64_t head = own_head(channel);
    uint64_t floor = atomic_load_explicit(&channel->floor, memory_order_relaxed);
    uint64_t tail = counter_read(&channel->tail);
    uint64_t needed = floor > tail ? floor : tail;

    if (sequence > channel->mask && needed < sequence - channel->mask)
        needed = sequence - channel->mask;
    for (uint64_t oldest = find_in_arena(channel, needed); oldest <= head && find_offset(channel, oldest, length) == NO_OFFSET;) {
        needed = oldest + 1;
        oldest = find_in_arena(channel, needed);
    }
    if (needed > floor)
        atomic_store_explicit(&channel->floor, needed, memory_order_seq_cst);
}

/*
 * Frees frames even where room is not short: a log whose readers keep up then starts again at the arena's beginning, in memory that is still
 * cached. Reads the marks once more after it has set `waiting`, because a reader reads `waiting` after it has moved its mark.
 */
static size_t make_room(struct channel *channel, uint64_t sequence, size_t length)
{
    channel_reclaim(channel);
    size_t offset = find_room(channel, sequence, length);
    if (offset != NO_OFFSET)
        return offset;

    raise_floor(channel, sequence, length);
    atomic_store_explicit(&channel->waiting, true, memory_order_seq_cst);
    channel_reclaim(channel);
    offset = find_room(channel, sequence, length);
    if (offset == NO_OFFSET)
        counter_add(&channel->append_refusals, 1);
    return offset;
}

static void write_entry(struct channel *channel, uint64_t sequence, const struct channel_entry *entry)
{
    struct channel_entry *written = &channel->entries[sequence & channel->mask];

    channel->ordinal += entry->length != 0;
    *written = *entry;
    written->ordinal = channel->ordinal;
}

/* Writes all entries up to `sequence`, with gaps for skipped numbers, and makes them visible to the readers. */
static void publish(struct channel *channel, uint64_t sequence, const struct channel_entry *entry)
{
    static const struct channel_entry gap;

    for (uint64_t skipped = own_head(channel) + 1; skipped < sequence; skipped++)
        write_entry(channel, skipped, &gap);
    write_entry(channel, sequence, entry);
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
    channel_memory_populate(&channel->memory, offset + total);
    memcpy(frame, header, header_length);
    if (length > 0)
        memcpy(frame + header_length, payload, length);
    if (offset == 0 && channel->write_offset != 0)
        counter_add(&channel->wraps, 1);
    channel->write_offset = offset + total;
    counter_add(&channel->held_bytes, total);
    struct channel_entry entry = {
        .bytes = frame, .ingest_ns = ingest_ns, .length = (uint32_t)total, .header_length = (uint8_t)header_length};
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

int channel_append_view(struct channel *view, uint64_t sequence, const struct channel *source)
{
    assert_sequence(view, sequence);
    assert(view->marks == source->marks);
    if (make_room(view, sequence, 0) == NO_OFFSET)
        return -ENOSPC;
    publish(view, sequence, channel_entry_at(source, sequence));
    return 0;
}

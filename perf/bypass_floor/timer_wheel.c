#include "bypass_floor/timer_wheel.h"

#include "population/huge_memory.h"

#include <err.h>
#include <errno.h>
#include <stddef.h>

static size_t chunk_bytes(const struct timer_wheel *wheel)
{
    return wheel->chunk_count * sizeof *wheel->chunks;
}

int timer_wheel_init(struct timer_wheel *wheel, uint32_t connections, uint64_t now_ms)
{
    /* Every slot may have a chunk that is not full, and chunk 0 is never used. */
    *wheel = (struct timer_wheel){
        .chunk_count = 1 + WHEEL_NEAR_SLOTS + WHEEL_FAR_SLOTS + 2 * connections / WHEEL_CHUNK_ENTRIES,
        .untouched = 1,
        .now_ms = now_ms,
    };
    wheel->chunks = huge_memory_map(chunk_bytes(wheel));
    return wheel->chunks ? 0 : -ENOMEM;
}

void timer_wheel_dispose(struct timer_wheel *wheel)
{
    huge_memory_unmap(wheel->chunks, chunk_bytes(wheel));
    *wheel = (struct timer_wheel){0};
}

static uint32_t take_chunk(struct timer_wheel *wheel)
{
    uint32_t number = wheel->free;

    if (number)
        wheel->free = wheel->chunks[number].next;
    else if (wheel->untouched < wheel->chunk_count)
        number = wheel->untouched++;
    else
        errx(1, "timer wheel: all %u chunks are in use", wheel->chunk_count);
    return number;
}

void timer_wheel_add(struct timer_wheel *wheel, enum wheel_part part, uint64_t deadline_ms, uint32_t entry)
{
    uint64_t slot_ms = deadline_ms > wheel->now_ms ? deadline_ms : wheel->now_ms + 1;
    uint32_t *first = part == WHEEL_NEAR ? &wheel->near[slot_ms % WHEEL_NEAR_SLOTS]
                                         : &wheel->far[(slot_ms / WHEEL_FAR_MS + 1) % WHEEL_FAR_SLOTS];

    if (*first == 0 || wheel->chunks[*first].count == WHEEL_CHUNK_ENTRIES) {
        uint32_t number = take_chunk(wheel);

        wheel->chunks[number].next = *first;
        wheel->chunks[number].count = 0;
        *first = number;
    }
    struct timer_chunk *chunk = &wheel->chunks[*first];
    chunk->entries[chunk->count++] = entry;
}

static void fire_slot(struct timer_wheel *wheel, enum wheel_part part, uint32_t *first, wheel_fired *fired, void *context)
{
    uint32_t number = *first;

    *first = 0;
    while (number) {
        struct timer_chunk *chunk = &wheel->chunks[number];
        uint32_t next = chunk->next;

        __builtin_prefetch(&wheel->chunks[next]);
        fired(context, part, chunk->entries, chunk->count);
        chunk->next = wheel->free;
        wheel->free = number;
        number = next;
    }
}

void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms, wheel_fired *fired, void *context)
{
    while (wheel->now_ms < now_ms) {
        uint64_t tick = ++wheel->now_ms;

        fire_slot(wheel, WHEEL_NEAR, &wheel->near[tick % WHEEL_NEAR_SLOTS], fired, context);
        if (tick % WHEEL_FAR_MS == 0)
            fire_slot(wheel, WHEEL_FAR, &wheel->far[tick / WHEEL_FAR_MS % WHEEL_FAR_SLOTS], fired, context);
    }
}

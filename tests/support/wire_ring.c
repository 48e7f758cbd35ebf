#include "support/wire_ring.h"

#include "flashrelay/clock.h"
#include "support/wire_cut.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int wire_ring_init(struct wire_ring *ring, const struct wire_ring_options *options, uint64_t seed)
{
    *ring = (struct wire_ring){.options = *options};
    ring->segments = calloc((size_t)options->ring_segments + options->queue_segments, sizeof *ring->segments);
    random_seed(&ring->random, seed);
    return ring->segments ? 0 : -ENOMEM;
}

static struct wire_ring_segment *segment_at(const struct wire_ring *ring, uint32_t index)
{
    return &ring->segments[(ring->first + index) % (ring->options.ring_segments + ring->options.queue_segments)];
}

static void free_segment(struct wire_ring *ring, struct wire_ring_segment *entry)
{
    if (entry->is_copy)
        free((void *)(uintptr_t)entry->segment.payload);
    if (entry->epoch > 0) {
        assert(ring->epoch_segments[entry->epoch % PORT_EPOCHS] > 0);
        ring->epoch_segments[entry->epoch % PORT_EPOCHS]--;
    }
    ring->on_freed(ring->context, entry->segment.header);
}

void wire_ring_clear(struct wire_ring *ring)
{
    uint32_t count = ring->sent + ring->ringed + ring->queued;

    for (uint32_t i = 0; i < count; i++)
        free_segment(ring, segment_at(ring, i));
    ring->sent = ring->ringed = ring->queued = 0;
}

void wire_ring_dispose(struct wire_ring *ring)
{
    wire_ring_clear(ring);
    free(ring->segments);
    ring->segments = NULL;
    ring->sent = ring->ringed = ring->queued = 0;
}

static void free_first(struct wire_ring *ring)
{
    free_segment(ring, segment_at(ring, 0));
    ring->first = (ring->first + 1) % (ring->options.ring_segments + ring->options.queue_segments);
    ring->sent--;
}

void wire_ring_reclaim(struct wire_ring *ring)
{
    while (ring->sent > 0)
        free_first(ring);
}

/* Draws how long a segment is at the head of the ring. */
static uint64_t draw_stay_ns(struct wire_ring *ring)
{
    uint64_t spread_ns = ring->options.stay_maximum_ns - ring->options.stay_minimum_ns;

    return ring->options.stay_minimum_ns + (spread_ns > 0 ? random_below(&ring->random, spread_ns + 1) : 0);
}

/* Moves segments from the queue to the ring as far as it has room. */
static void fill(struct wire_ring *ring, uint64_t now_ns)
{
    while (ring->queued > 0) {
        struct wire_ring_segment *entry = segment_at(ring, ring->sent + ring->ringed);

        if (ring->sent + ring->ringed == ring->options.ring_segments) {
            if (ring->sent == 0)
                return;
            free_first(ring);
        }
        ring->busy_until_ns = (ring->busy_until_ns > now_ns ? ring->busy_until_ns : now_ns) + draw_stay_ns(ring);
        entry->leaves_ns = ring->busy_until_ns;
        ring->ringed++;
        ring->queued--;
    }
}

struct leaving {
    struct wire_ring *ring;
    uint64_t now_ns;
};

static void on_cut(void *context, const uint8_t *bytes, size_t length)
{
    struct leaving *leaving = context;

    leaving->ring->on_packet(leaving->ring->context, bytes, length, leaving->now_ns);
}

void wire_ring_advance(struct wire_ring *ring, uint64_t now_ns)
{
    for (; ring->ringed > 0 && segment_at(ring, ring->sent)->leaves_ns <= now_ns;) {
        struct wire_ring_segment *entry = segment_at(ring, ring->sent);
        struct leaving leaving = {.ring = ring, .now_ns = entry->leaves_ns};

        wire_cut(&entry->segment, on_cut, &leaving);
        ring->ringed--;
        ring->sent++;
        if (!ring->options.frees_late)
            wire_ring_reclaim(ring);
        fill(ring, leaving.now_ns);
    }
}

bool wire_ring_add(struct wire_ring *ring, const struct port_segment *segment, bool is_copy, uint64_t now_ns)
{
    bool refers = segment->payload && !is_copy;

    if (ring->queued == ring->options.queue_segments)
        return false;
    *segment_at(ring, ring->sent + ring->ringed + ring->queued) =
        (struct wire_ring_segment){.segment = *segment, .epoch = refers ? ring->epoch : 0, .is_copy = is_copy};
    ring->queued++;
    if (refers) {
        assert(ring->epoch_open);
        assert(ring->epoch_sent < PORT_EPOCH_SEGMENTS);
        ring->epoch_sent++;
        ring->epoch_segments[ring->epoch % PORT_EPOCHS]++;
    }
    fill(ring, now_ns);
    return true;
}

uint64_t wire_ring_next_ns(const struct wire_ring *ring)
{
    return ring->ringed > 0 ? segment_at(ring, ring->sent)->leaves_ns : CLOCK_NEVER;
}

uint64_t wire_ring_begin_epoch(struct wire_ring *ring)
{
    ring->epoch_open = ring->epoch + 1 - wire_ring_oldest_epoch(ring) < PORT_EPOCHS;
    if (!ring->epoch_open)
        return 0;
    ring->epoch_sent = 0;
    return ++ring->epoch;
}

uint64_t wire_ring_oldest_epoch(const struct wire_ring *ring)
{
    uint64_t oldest = ring->epoch >= PORT_EPOCHS ? ring->epoch - PORT_EPOCHS + 1 : 1;

    while (oldest <= ring->epoch && ring->epoch_segments[oldest % PORT_EPOCHS] == 0)
        oldest++;
    return oldest;
}

#include "common/wire.h"

#include "common/wire_packet.h"
#include "common/wire_queue.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MEMORY_BYTES (64 << 20)

struct wire_side {
    struct wire_settings settings;
    struct wire_counters counters;
    struct wire_queue queue;
    uint64_t idle_at_ns; /* when the bottleneck has sent all that it has taken */
    uint64_t last_ns;    /* when the last frame arrives that was not held back */
};

struct wire {
    struct wire_side sides[2];
    struct random random;
    size_t memory_bytes, held_bytes;
    uint64_t frames;
    wire_filter *filter;
    void *filter_context;
};

int wire_create(struct wire **out, const struct wire_options *options)
{
    struct wire *wire = calloc(1, sizeof *wire);

    if (!wire)
        return -ENOMEM;
    for (unsigned i = 0; i < 2; i++)
        wire->sides[i].settings = options->directions[i];
    random_seed(&wire->random, options->seed);
    wire->memory_bytes = options->memory_bytes > 0 ? options->memory_bytes : DEFAULT_MEMORY_BYTES;
    *out = wire;
    return 0;
}

void wire_destroy(struct wire *wire)
{
    if (!wire)
        return;
    for (unsigned i = 0; i < 2; i++)
        wire_queue_dispose(&wire->sides[i].queue);
    free(wire);
}

void wire_set(struct wire *wire, enum wire_direction direction, const struct wire_settings *settings)
{
    wire->sides[direction].settings = *settings;
}

void wire_set_filter(struct wire *wire, wire_filter *filter, void *context)
{
    wire->filter = filter;
    wire->filter_context = context;
}

static bool happens(struct wire *wire, double probability)
{
    return probability > 0 && (double)(random_next(&wire->random) >> 11) * 0x1p-53 < probability;
}

static uint64_t up_to(struct wire *wire, uint64_t most_ns)
{
    return most_ns > 0 ? random_below(&wire->random, most_ns + 1) : 0;
}

/* Puts a copy of a frame on its way; it is dropped if there is no memory for it. */
static struct wire_frame *add(struct wire *wire, struct wire_side *side, const uint8_t *bytes, size_t length, uint64_t due_ns)
{
    struct wire_frame *frame = NULL;

    if (wire->held_bytes + length <= wire->memory_bytes)
        frame = malloc(sizeof *frame + length);
    if (frame) {
        *frame = (struct wire_frame){.due_ns = due_ns, .number = wire->frames++, .length = length};
        memcpy(frame->bytes, bytes, length);
        if (wire_queue_add(&side->queue, frame) == 0) {
            wire->held_bytes += length;
            return frame;
        }
        free(frame);
    }
    side->counters.overruns++;
    return NULL;
}

/*
 * Flips a bit of an IP packet. Version, length of the IPv4 header, and of the IPv6 header all but the addresses are spared: there no
 * checksum would tell with certainty.
 */
static void corrupt(struct wire *wire, struct wire_side *side, struct wire_frame *frame)
{
    struct wire_packet_layout layout;
    size_t from, bit;

    if (!wire_packet_lay_out(&layout, frame->bytes, frame->length) || !layout.is_ip)
        return;
    from = layout.link_bytes + (layout.is_v6 ? 8 : 1);
    bit = random_below(&wire->random, 8 * (layout.link_bytes + layout.ip_bytes + layout.segment_bytes - from));
    frame->bytes[from + bit / 8] ^= (uint8_t)(1 << bit % 8);
    side->counters.corrupted++;
}

/* Answers a packet that is longer than the path allows. */
static void answer_too_big(struct wire *wire, enum wire_direction direction, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct wire_side *back = &wire->sides[!direction];
    const struct wire_settings *settings = &wire->sides[direction].settings;
    uint8_t answer[WIRE_ICMP_BYTES];
    size_t answer_bytes = wire_packet_write_too_big(answer, bytes, length, (uint16_t)settings->mtu);

    if (settings->is_silent_on_mtu || answer_bytes == 0)
        return;
    add(wire, back, answer, answer_bytes, now_ns + back->settings.delay_ns);
    wire->sides[direction].counters.too_big_answers++;
}

static bool is_too_big(const struct wire_settings *settings, const uint8_t *bytes, size_t length)
{
    struct wire_packet_layout layout;

    return settings->mtu > 0 && wire_packet_lay_out(&layout, bytes, length) && layout.is_ip &&
           layout.ip_bytes + layout.segment_bytes > settings->mtu;
}

/* When the bottleneck has sent a frame that reaches it now; CLOCK_NEVER if its queue has no room. */
static uint64_t pass_bottleneck(struct wire_side *side, size_t length, uint64_t now_ns)
{
    const struct wire_settings *settings = &side->settings;
    uint64_t waiting_ns = side->idle_at_ns > now_ns ? side->idle_at_ns - now_ns : 0;

    if (settings->rate_bits == 0)
        return now_ns;
    if (waiting_ns > 0 && (double)waiting_ns * (double)settings->rate_bits / 8e9 + (double)length > (double)settings->queue_bytes)
        return CLOCK_NEVER;
    side->idle_at_ns = now_ns + waiting_ns + (uint64_t)((double)length * 8e9 / (double)settings->rate_bits);
    return side->idle_at_ns;
}

/* When a frame arrives that leaves the bottleneck at `sent_ns`. */
static uint64_t arrival(struct wire *wire, struct wire_side *side, uint64_t sent_ns)
{
    uint64_t due_ns = sent_ns + side->settings.delay_ns + up_to(wire, side->settings.jitter_ns);

    if (happens(wire, side->settings.reorder)) {
        side->counters.reordered++;
        return due_ns + up_to(wire, side->settings.reorder_ns);
    }
    if (due_ns < side->last_ns)
        due_ns = side->last_ns;
    side->last_ns = due_ns;
    return due_ns;
}

void wire_push(struct wire *wire, enum wire_direction direction, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct wire_side *side = &wire->sides[direction];
    uint64_t sent_ns;
    unsigned copies;

    assert(length > 0 && length <= WIRE_LONGEST_BYTES);
    side->counters.pushed++;
    if (wire->filter && wire->filter(wire->filter_context, direction, bytes, length)) {
        side->counters.filtered++;
        return;
    }
    if (is_too_big(&side->settings, bytes, length)) {
        side->counters.too_big++;
        answer_too_big(wire, direction, bytes, length, now_ns);
        return;
    }
    sent_ns = pass_bottleneck(side, length, now_ns);
    if (sent_ns == CLOCK_NEVER) {
        side->counters.queue_drops++;
        return;
    }
    if (happens(wire, side->settings.loss)) {
        side->counters.lost++;
        return;
    }
    copies = happens(wire, side->settings.duplicate) ? 2 : 1;
    side->counters.duplicated += copies - 1;
    for (unsigned i = 0; i < copies; i++) {
        struct wire_frame *frame = add(wire, side, bytes, length, arrival(wire, side, sent_ns));

        if (frame && happens(wire, side->settings.corrupt))
            corrupt(wire, side, frame);
    }
}

uint64_t wire_next_in_ns(const struct wire *wire, enum wire_direction direction)
{
    const struct wire_frame *first = wire_queue_first(&wire->sides[direction].queue);

    return first ? first->due_ns : CLOCK_NEVER;
}

uint64_t wire_next_ns(const struct wire *wire)
{
    uint64_t forth_ns = wire_next_in_ns(wire, WIRE_FORTH), back_ns = wire_next_in_ns(wire, WIRE_BACK);

    return forth_ns < back_ns ? forth_ns : back_ns;
}

size_t wire_take(struct wire *wire, enum wire_direction direction, uint64_t now_ns, uint8_t *bytes)
{
    struct wire_side *side = &wire->sides[direction];
    struct wire_frame *frame;
    size_t length;

    if (wire_next_in_ns(wire, direction) > now_ns || !wire_queue_first(&side->queue))
        return 0;
    frame = wire_queue_take(&side->queue);
    length = frame->length;
    memcpy(bytes, frame->bytes, length);
    free(frame);
    wire->held_bytes -= length;
    side->counters.delivered++;
    return length;
}

const struct wire_counters *wire_counters(const struct wire *wire, enum wire_direction direction)
{
    return &wire->sides[direction].counters;
}

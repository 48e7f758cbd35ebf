#include "support/wire_port.h"

#include "common/wire_packet.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "support/wire_ring.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MTU             1500
#define DEFAULT_RING_SEGMENTS   1024
#define DEFAULT_QUEUE_SEGMENTS  8192
#define DEFAULT_RECEIVE_BUFFERS 1024
#define MEMORIES                16

/* Bytes of a receive buffer that the engine may change, however short the packet is. */

/* A received packet; its buffer is no longer than it must be, so that reading beyond it is noticed. */
struct arrived {
    uint8_t *bytes;
    uint32_t length;
};

struct memory {
    const uint8_t *base;
    size_t length;
};

struct wire_port {
    struct port port;
    struct wire_port_options options;
    struct wire_ring ring;
    struct random random;
    struct arrived *arrived; /* a circle of receive buffers */
    uint32_t first_arrived, arrived_count;
    uint32_t lent; /* packets of the last `receive` that were not given back */
    uint32_t headers_used;
    struct memory memories[MEMORIES];
    unsigned memory_count;
    uint64_t deadline_ns; /* of the last `wait`; 0: none */
    atomic_bool is_woken;
};

static struct wire_port *wire_port_from(struct port *port)
{
    return (struct wire_port *)port;
}

static uint64_t now_of(const struct wire_port *port)
{
    return *port->options.clock_ns;
}

static void on_packet(void *context, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct wire_port *port = context;
    struct wire_packet_layout layout;

    assert(wire_packet_lay_out(&layout, bytes, length));
    assert(length - layout.link_bytes <= port->port.limits.mtu || length <= WIRE_SHORTEST_BYTES);
    counter_add(&port->port.counters.sent_packets, 1);
    counter_add(&port->port.counters.sent_bytes, length);
    wire_push(port->options.wire, port->options.sends, bytes, length, now_ns);
}

static void on_freed(void *context, uint8_t *header)
{
    struct wire_port *port = context;

    assert(port->headers_used > 0);
    port->headers_used--;
    free(header);
}

static size_t buffer_bytes(size_t length)
{
    return length < PORT_PACKET_BYTES ? PORT_PACKET_BYTES : length;
}

static void take_arrivals(struct wire_port *port)
{
    uint8_t bytes[WIRE_LONGEST_BYTES];
    size_t length;

    while ((length = wire_take(port->options.wire, !port->options.sends, now_of(port), bytes)) > 0) {
        struct arrived *arrived;

        if (port->arrived_count + port->lent >= port->options.receive_buffers) {
            counter_add(&port->port.counters.receive_drops, 1);
            continue;
        }
        arrived = &port->arrived[(port->first_arrived + port->arrived_count++) % port->options.receive_buffers];
        *arrived = (struct arrived){.bytes = malloc(buffer_bytes(length)), .length = (uint32_t)length};
        assert(arrived->bytes);
        memset(arrived->bytes, 0xa5, buffer_bytes(length));
        memcpy(arrived->bytes, bytes, length);
    }
}

void wire_port_advance(struct wire_port *port)
{
    wire_ring_advance(&port->ring, now_of(port));
    take_arrivals(port);
}

static void add_memory(struct port *base, const void *bytes, size_t length)
{
    struct wire_port *port = wire_port_from(base);

    assert(port->memory_count < MEMORIES);
    assert(counter_read(&base->counters.sent_packets) == 0);
    port->memories[port->memory_count++] = (struct memory){bytes, length};
}

/* --- receiving --- */

static void judge(const struct wire_port *port, struct port_packet *packet)
{
    struct wire_packet_layout layout;

    if (!port->options.has_verdicts || !wire_packet_lay_out(&layout, packet->bytes, packet->length) || !layout.is_ip)
        return;
    packet->ip_good = wire_packet_ip_sum_is_good(&layout, packet->bytes);
    packet->tcp_good = packet->ip_good && layout.protocol == WIRE_TCP && wire_packet_segment_sum_is_good(&layout, packet->bytes);
}

static unsigned receive(struct port *base, struct port_packet *packets, unsigned capacity)
{
    struct wire_port *port = wire_port_from(base);
    unsigned count = 0;

    assert(port->lent == 0 && capacity <= PORT_BURST);
    wire_port_advance(port);
    for (; count < capacity && port->arrived_count > 0; count++, port->arrived_count--) {
        struct arrived *arrived = &port->arrived[port->first_arrived];

        port->first_arrived = (port->first_arrived + 1) % port->options.receive_buffers;
        packets[count] = (struct port_packet){.bytes = arrived->bytes, .length = arrived->length, .buffer = arrived->bytes};
        judge(port, &packets[count]);
        counter_add(&base->counters.received_packets, 1);
        counter_add(&base->counters.received_bytes, arrived->length);
    }
    port->lent = count;
    return count;
}

static void release(struct port *base, struct port_packet *packets, unsigned count)
{
    struct wire_port *port = wire_port_from(base);

    assert(count == port->lent);
    for (unsigned i = 0; i < count; i++)
        if (!packets[i].taken)
            free(packets[i].buffer);
    port->lent = 0;
}

static void submit(struct wire_port *port, const struct port_segment *segment, bool is_copy)
{
    if (wire_ring_add(&port->ring, segment, is_copy, now_of(port)))
        return;
    counter_add(&port->port.counters.send_drops, 1);
    if (is_copy)
        free((void *)(uintptr_t)segment->payload);
    on_freed(port, segment->header);
}

/* The packet's buffer goes through the ring like a header buffer that needs none of the pool. */
static void reflect(struct port *base, struct port_packet *packet, uint32_t length)
{
    struct wire_port *port = wire_port_from(base);
    struct port_segment segment = {.header = packet->buffer, .header_bytes = (uint16_t)length};

    assert(port->lent > 0 && !packet->taken && length <= buffer_bytes(packet->length));
    packet->taken = true;
    port->headers_used++;
    submit(port, &segment, false);
    wire_port_advance(port);
}

/* --- sending --- */

static bool take_headers(struct port *base, uint8_t **headers, unsigned count)
{
    struct wire_port *port = wire_port_from(base);
    double draw = (double)(random_next(&port->random) >> 11) * 0x1p-53;

    assert(count <= PORT_BURST);
    if (port->headers_used + count > port->options.header_buffers || draw < port->options.header_shortage) {
        counter_add(&base->counters.buffer_shortages, 1);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        headers[i] = malloc(PORT_HEADER_BYTES);
        assert(headers[i]);
        memset(headers[i], 0xa5, PORT_HEADER_BYTES);
    }
    port->headers_used += count;
    return true;
}

static void return_headers(struct port *base, uint8_t **headers, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        on_freed(wire_port_from(base), headers[i]);
}

static bool is_known(const struct wire_port *port, const struct port_segment *segment)
{
    for (unsigned i = 0; i < port->memory_count; i++) {
        const struct memory *memory = &port->memories[i];

        if (segment->payload >= memory->base && segment->payload + segment->payload_bytes <= memory->base + memory->length)
            return true;
    }
    return false;
}

/* Payload outside of the memory that the device knows is copied at once, and then belongs to no epoch. */
static bool copy_unknown(struct wire_port *port, struct port_segment *segment)
{
    uint8_t *copy;

    if (!segment->payload || is_known(port, segment))
        return false;
    copy = malloc(segment->payload_bytes);
    assert(copy);
    memcpy(copy, segment->payload, segment->payload_bytes);
    segment->payload = copy;
    counter_add(&port->port.counters.copied_segments, 1);
    return true;
}

static void send_segments(struct port *base, const struct port_segment *segments, unsigned count)
{
    struct wire_port *port = wire_port_from(base);

    assert(count <= PORT_BURST);
    for (unsigned i = 0; i < count; i++) {
        struct port_segment segment = segments[i];

        assert(segment.header_bytes <= PORT_HEADER_BYTES);
        assert(segment.mss == 0 || (segment.payload_bytes > 0 && segment.payload_bytes <= base->limits.tso_bytes));
        submit(port, &segment, copy_unknown(port, &segment));
    }
    wire_port_advance(port);
}

static bool flush(struct port *base)
{
    struct wire_port *port = wire_port_from(base);

    wire_port_advance(port);
    return port->ring.queued == 0;
}

static uint64_t begin_epoch(struct port *base)
{
    struct wire_port *port = wire_port_from(base);
    uint64_t epoch = wire_ring_begin_epoch(&port->ring);

    if (epoch == 0)
        counter_add(&base->counters.epochs_waited, 1);
    return epoch;
}

static uint64_t oldest_epoch(struct port *base)
{
    struct wire_port *port = wire_port_from(base);

    wire_port_advance(port);
    return wire_ring_oldest_epoch(&port->ring);
}

static void reclaim(struct port *base, bool urgent)
{
    struct wire_port *port = wire_port_from(base);

    wire_port_advance(port);
    if (urgent || !port->options.cannot_reclaim)
        wire_ring_reclaim(&port->ring);
}

static void close_port(struct port *base)
{
    wire_ring_clear(&wire_port_from(base)->ring);
}

/* --- time --- */

static uint64_t now(struct port *base)
{
    return now_of(wire_port_from(base));
}

static void wait_for(struct port *base, uint64_t deadline_ns)
{
    struct wire_port *port = wire_port_from(base);
    uint64_t now_ns = now_of(port);

    port->deadline_ns = deadline_ns > now_ns ? deadline_ns : now_ns;
}

static void wake(struct port *base)
{
    atomic_store(&wire_port_from(base)->is_woken, true);
}

static void update_counters(struct port *base)
{
    (void)base;
}

uint64_t wire_port_next_ns(const struct wire_port *port)
{
    uint64_t leaves_ns = wire_ring_next_ns(&port->ring), arrives_ns = wire_next_in_ns(port->options.wire, !port->options.sends);

    if (port->arrived_count > 0)
        return now_of(port);
    return leaves_ns < arrives_ns ? leaves_ns : arrives_ns;
}

uint64_t wire_port_take_deadline_ns(struct wire_port *port)
{
    uint64_t deadline_ns = atomic_exchange(&port->is_woken, false) ? now_of(port) : port->deadline_ns;

    port->deadline_ns = 0;
    return deadline_ns;
}

/* --- figures --- */

uint32_t wire_port_headers_used(const struct wire_port *port)
{
    return port->headers_used;
}

uint32_t wire_port_segments_held(const struct wire_port *port)
{
    return port->ring.sent + port->ring.ringed + port->ring.queued;
}

/* --- life --- */

static const struct port_ops ops = {
    .add_memory = add_memory,
    .receive = receive,
    .release = release,
    .reflect = reflect,
    .take_headers = take_headers,
    .return_headers = return_headers,
    .send = send_segments,
    .flush = flush,
    .begin_epoch = begin_epoch,
    .oldest_epoch = oldest_epoch,
    .reclaim = reclaim,
    .close = close_port,
    .now = now,
    .wait = wait_for,
    .wake = wake,
    .update_counters = update_counters,
};

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value > 0 ? value : otherwise;
}

static void fill_options(struct wire_port_options *options)
{
    options->mtu = (uint16_t)or_default(options->mtu, DEFAULT_MTU);
    options->ring_segments = or_default(options->ring_segments, DEFAULT_RING_SEGMENTS);
    options->queue_segments = or_default(options->queue_segments, DEFAULT_QUEUE_SEGMENTS);
    options->header_buffers = or_default(options->header_buffers, options->ring_segments + options->queue_segments + PORT_BURST);
    options->receive_buffers = or_default(options->receive_buffers, DEFAULT_RECEIVE_BUFFERS);
}

int wire_port_create(struct wire_port **out, const struct wire_port_options *options)
{
    struct wire_port *port = calloc(1, sizeof *port);
    struct wire_ring_options ring = {0};

    if (!port)
        return -ENOMEM;
    port->options = *options;
    fill_options(&port->options);
    port->port.ops = &ops;
    memcpy(port->port.limits.mac, options->mac, 6);
    port->port.limits.mtu = port->options.mtu;
    port->port.limits.tso_bytes = options->tso_bytes;
    random_seed(&port->random, options->seed);
    ring = (struct wire_ring_options){.ring_segments = port->options.ring_segments,
                                      .queue_segments = port->options.queue_segments,
                                      .stay_minimum_ns = options->stay_minimum_ns,
                                      .stay_maximum_ns = options->stay_maximum_ns,
                                      .frees_late = options->frees_late};
    port->arrived = calloc(port->options.receive_buffers, sizeof *port->arrived);
    if (!port->arrived || wire_ring_init(&port->ring, &ring, random_next(&port->random)) != 0) {
        free(port->arrived);
        free(port);
        return -ENOMEM;
    }
    port->ring.on_packet = on_packet;
    port->ring.on_freed = on_freed;
    port->ring.context = port;
    *out = port;
    return 0;
}

void wire_port_destroy(struct wire_port *port)
{
    if (!port)
        return;
    wire_ring_dispose(&port->ring);
    assert(port->lent == 0);
    assert(port->headers_used == 0);
    for (; port->arrived_count > 0; port->arrived_count--) {
        free(port->arrived[port->first_arrived].bytes);
        port->first_arrived = (port->first_arrived + 1) % port->options.receive_buffers;
    }
    free(port->arrived);
    free(port);
}

struct port *wire_port_of(struct wire_port *port)
{
    return &port->port;
}

#include "common/wire_packet.h"
#include "flashrelay/clock.h"
#include "support/must.h"
#include "support/wire_port.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LINK_BYTES 14
#define TCP_BYTES  20

static uint64_t clock_ns;
static uint8_t memory[8192];

struct world {
    struct wire *wire;
    struct wire_port *wire_port;
    struct port *port;
};

static struct world open_world(struct wire_port_options options)
{
    struct world world;

    clock_ns = 1000;
    must(wire_create(&world.wire, &(struct wire_options){0}) == 0);
    options.wire = world.wire;
    options.sends = WIRE_FORTH;
    options.clock_ns = &clock_ns;
    must(wire_port_create(&world.wire_port, &options) == 0);
    world.port = wire_port_of(world.wire_port);
    for (size_t i = 0; i < sizeof memory; i++)
        memory[i] = (uint8_t)(i * 7);
    world.port->ops->add_memory(world.port, memory, sizeof memory);
    return world;
}

static void close_world(struct world *world)
{
    wire_port_destroy(world->wire_port);
    wire_destroy(world->wire);
}

/* Takes a header buffer and fills it for `payload_bytes` of the memory, with flags ACK, PSH and FIN. */
static struct port_segment make_segment(struct world *world, bool is_v6, uint32_t payload_bytes, uint16_t mss)
{
    struct wire_packet packet = {.is_v6 = is_v6, .sequence = 100, .flags = WIRE_ACK | WIRE_PSH | WIRE_FIN, .payload = memory};
    struct port_segment segment = {.payload = payload_bytes > 0 ? memory : NULL,
                                   .payload_bytes = payload_bytes,
                                   .mss = mss,
                                   .link_bytes = LINK_BYTES,
                                   .ip_bytes = is_v6 ? 40 : 20,
                                   .tcp_bytes = TCP_BYTES,
                                   .is_v6 = is_v6};
    uint8_t frame[WIRE_LONGEST_BYTES];

    packet.payload_bytes = payload_bytes;
    wire_packet_write(&packet, frame);
    must(world->port->ops->take_headers(world->port, &segment.header, 1));
    segment.header_bytes = (uint16_t)(LINK_BYTES + segment.ip_bytes + TCP_BYTES);
    memcpy(segment.header, frame, segment.header_bytes);
    if (mss > 0)
        wire_packet_store16(segment.header + LINK_BYTES + segment.ip_bytes + 16,
                            wire_packet_fold(wire_packet_pseudo_sum(frame + LINK_BYTES, is_v6, WIRE_TCP, 0)) ^ 0xffff);
    return segment;
}

static void send_one(struct world *world, uint32_t payload_bytes)
{
    struct port_segment segment = make_segment(world, false, payload_bytes, 0);

    world->port->ops->send(world->port, &segment, 1);
}

static enum wire_packet_verdict take(struct world *world, struct wire_packet *packet)
{
    static uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = wire_take(world->wire, WIRE_FORTH, clock_ns, frame);

    *packet = (struct wire_packet){0};
    return length > 0 ? wire_packet_parse(packet, frame, length, NULL) : WIRE_OTHER;
}

static void advance(struct world *world, uint64_t by_ns)
{
    clock_ns += by_ns;
    wire_port_advance(world->wire_port);
}

static void payload_is_read_when_the_segment_leaves(void **state)
{
    struct world world = open_world((struct wire_port_options){.stay_minimum_ns = 50, .stay_maximum_ns = 50});
    struct wire_packet packet;

    (void)state;
    assert_int_equal(world.port->ops->oldest_epoch(world.port), 1);
    assert_int_equal(world.port->ops->begin_epoch(world.port), 1);
    send_one(&world, 1000);
    assert_int_equal(world.port->ops->oldest_epoch(world.port), 1);
    assert_int_equal(wire_port_next_ns(world.wire_port), clock_ns + 50);
    advance(&world, 49);
    assert_int_equal(take(&world, &packet), WIRE_OTHER);
    memory[999] ^= 1;
    advance(&world, 1);
    assert_int_equal(take(&world, &packet), WIRE_CORRUPT);
    assert_int_equal(world.port->ops->oldest_epoch(world.port), 2);
    assert_int_equal(wire_port_headers_used(world.wire_port), 0);
    close_world(&world);
}

static void a_late_card_lets_go_when_it_is_told_to_or_needs_room(void **state)
{
    struct world world = open_world((struct wire_port_options){.frees_late = true, .cannot_reclaim = true, .ring_segments = 4});
    struct wire_packet packet;

    (void)state;
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(world.port->ops->begin_epoch(world.port), i);
        send_one(&world, 100);
        assert_int_equal(take(&world, &packet), WIRE_GOOD);
        assert_int_equal(world.port->ops->oldest_epoch(world.port), 1);
    }
    send_one(&world, 0);
    assert_int_equal(world.port->ops->oldest_epoch(world.port), 2);
    world.port->ops->reclaim(world.port, false);
    assert_int_equal(world.port->ops->oldest_epoch(world.port), 2);
    world.port->ops->reclaim(world.port, true);
    assert_int_equal(world.port->ops->oldest_epoch(world.port), 5);
    close_world(&world);
}

static void what_ring_and_queue_cannot_take_is_dropped(void **state)
{
    struct world world = open_world(
        (struct wire_port_options){.ring_segments = 2, .queue_segments = 3, .stay_minimum_ns = 10, .stay_maximum_ns = 10});

    (void)state;
    assert_int_equal(world.port->ops->begin_epoch(world.port), 1);
    for (unsigned i = 0; i < 6; i++)
        send_one(&world, 10);
    assert_int_equal(counter_read(&world.port->counters.send_drops), 1);
    assert_int_equal(wire_port_segments_held(world.wire_port), 5);
    assert_false(world.port->ops->flush(world.port));
    clock_ns += 30;
    assert_true(world.port->ops->flush(world.port));
    assert_int_equal(wire_port_segments_held(world.wire_port), 2);
    advance(&world, 20);
    assert_int_equal(wire_counters(world.wire, WIRE_FORTH)->pushed, 5);
    close_world(&world);
}

static void check_cut(bool is_v6)
{
    struct world world = open_world((struct wire_port_options){.tso_bytes = 60000});
    struct port_segment segment = make_segment(&world, is_v6, 2500, 1000);
    struct wire_packet packet;

    assert_int_equal(world.port->ops->begin_epoch(world.port), 1);
    world.port->ops->send(world.port, &segment, 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(take(&world, &packet), WIRE_GOOD);
        assert_int_equal(packet.sequence, 100 + i * 1000);
        assert_int_equal(packet.payload_bytes, i < 2 ? 1000 : 500);
        assert_int_equal(packet.flags, i < 2 ? WIRE_ACK : WIRE_ACK | WIRE_PSH | WIRE_FIN);
        assert_memory_equal(packet.payload, memory + i * 1000, packet.payload_bytes);
    }
    assert_int_equal(take(&world, &packet), WIRE_OTHER);
    close_world(&world);
}

static void a_long_segment_is_cut_as_by_a_card(void **state)
{
    (void)state;
    check_cut(false);
    check_cut(true);
}

static void payload_that_the_device_does_not_know_is_copied(void **state)
{
    struct world world = open_world((struct wire_port_options){.stay_minimum_ns = 10, .stay_maximum_ns = 10});
    struct port_segment segment = make_segment(&world, false, 500, 0);
    uint8_t elsewhere[500];
    struct wire_packet packet;

    (void)state;
    memcpy(elsewhere, memory, sizeof elsewhere);
    segment.payload = elsewhere;
    world.port->ops->send(world.port, &segment, 1);
    memset(elsewhere, 0, sizeof elsewhere);
    advance(&world, 10);
    assert_int_equal(take(&world, &packet), WIRE_GOOD);
    assert_int_equal(counter_read(&world.port->counters.copied_segments), 1);
    close_world(&world);
}

static void header_buffers_run_short(void **state)
{
    struct world world = open_world((struct wire_port_options){.header_buffers = 3});
    uint8_t *headers[PORT_BURST];

    (void)state;
    assert_false(world.port->ops->take_headers(world.port, headers, 4));
    assert_true(world.port->ops->take_headers(world.port, headers, 3));
    assert_false(world.port->ops->take_headers(world.port, headers + 3, 1));
    world.port->ops->return_headers(world.port, headers, 3);
    assert_int_equal(counter_read(&world.port->counters.buffer_shortages), 2);
    close_world(&world);
}

static void an_epoch_more_waits_for_the_oldest(void **state)
{
    struct world world = open_world((struct wire_port_options){.frees_late = true});

    (void)state;
    for (unsigned i = 1; i <= PORT_EPOCHS; i++) {
        assert_int_equal(world.port->ops->begin_epoch(world.port), i);
        send_one(&world, 1);
    }
    assert_int_equal(world.port->ops->begin_epoch(world.port), 0);
    world.port->ops->reclaim(world.port, false);
    assert_int_equal(world.port->ops->begin_epoch(world.port), PORT_EPOCHS + 1);
    close_world(&world);
}

static void push_back(struct world *world, bool damage)
{
    struct wire_packet packet = {.sequence = 5, .flags = WIRE_ACK};
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = wire_packet_write(&packet, frame);

    frame[LINK_BYTES + 24] ^= damage;
    wire_push(world->wire, WIRE_BACK, frame, length, clock_ns);
}

static void received_packets_come_with_a_verdict(void **state)
{
    struct world world = open_world((struct wire_port_options){.has_verdicts = true, .receive_buffers = 3});
    struct port_packet packets[PORT_BURST];

    (void)state;
    for (unsigned i = 0; i < 4; i++)
        push_back(&world, i == 1);
    assert_int_equal(world.port->ops->receive(world.port, packets, 2), 2);
    assert_true(packets[0].ip_good && packets[0].tcp_good);
    assert_true(packets[1].ip_good && !packets[1].tcp_good);
    world.port->ops->release(world.port, packets, 2);
    assert_int_equal(world.port->ops->receive(world.port, packets, PORT_BURST), 1);
    world.port->ops->release(world.port, packets, 1);
    assert_int_equal(counter_read(&world.port->counters.receive_drops), 1);
    close_world(&world);
}

static void a_reflected_packet_is_sent(void **state)
{
    struct world world = open_world((struct wire_port_options){.header_buffers = 1});
    struct port_packet packets[PORT_BURST];
    struct wire_packet packet;

    (void)state;
    push_back(&world, false);
    assert_int_equal(world.port->ops->receive(world.port, packets, PORT_BURST), 1);
    world.port->ops->reflect(world.port, &packets[0], packets[0].length);
    assert_true(packets[0].taken);
    world.port->ops->release(world.port, packets, 1);
    assert_int_equal(take(&world, &packet), WIRE_GOOD);
    assert_int_equal(packet.sequence, 5);
    close_world(&world);
}

static void waiting_notes_the_deadline_and_a_wake_ends_it(void **state)
{
    struct world world = open_world((struct wire_port_options){0});

    (void)state;
    assert_int_equal(wire_port_take_deadline_ns(world.wire_port), 0);
    world.port->ops->wait(world.port, clock_ns + 5);
    assert_int_equal(wire_port_take_deadline_ns(world.wire_port), clock_ns + 5);
    world.port->ops->wait(world.port, CLOCK_NEVER);
    world.port->ops->wake(world.port);
    assert_int_equal(wire_port_take_deadline_ns(world.wire_port), clock_ns);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(payload_is_read_when_the_segment_leaves),
        cmocka_unit_test(a_late_card_lets_go_when_it_is_told_to_or_needs_room),
        cmocka_unit_test(what_ring_and_queue_cannot_take_is_dropped),
        cmocka_unit_test(a_long_segment_is_cut_as_by_a_card),
        cmocka_unit_test(payload_that_the_device_does_not_know_is_copied),
        cmocka_unit_test(header_buffers_run_short),
        cmocka_unit_test(an_epoch_more_waits_for_the_oldest),
        cmocka_unit_test(received_packets_come_with_a_verdict),
        cmocka_unit_test(a_reflected_packet_is_sent),
        cmocka_unit_test(waiting_notes_the_deadline_and_a_wake_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "common/wire.h"
#include "common/wire_packet.h"
#include "flashrelay/clock.h"
#include "support/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define PAYLOAD_BYTES 1000

static struct wire *open_wire(const struct wire_settings *forth)
{
    struct wire_options options = {.directions = {*forth}, .seed = 7};
    struct wire *wire;

    must(wire_create(&wire, &options) == 0);
    return wire;
}

/* A segment with PAYLOAD_BYTES of payload. Returns the frame's length. */
static size_t write_frame(uint8_t *bytes, bool is_v6, uint32_t sequence)
{
    uint8_t payload[PAYLOAD_BYTES];
    struct wire_packet packet = {.is_v6 = is_v6,
                                 .source_mac = {2, 0, 0, 0, 0, 1},
                                 .destination_mac = {2, 0, 0, 0, 0, 2},
                                 .source_port = 4000,
                                 .destination_port = 80,
                                 .sequence = sequence,
                                 .flags = WIRE_ACK | WIRE_PSH,
                                 .payload = payload,
                                 .payload_bytes = sizeof payload};

    memset(payload, (int)sequence, sizeof payload);
    must(ip_address_parse(&packet.source, is_v6 ? "2001:db8::1" : "198.18.0.1", is_v6 ? 11 : 10) == 0);
    must(ip_address_parse(&packet.destination, is_v6 ? "2001:db8::2" : "198.18.0.2", is_v6 ? 11 : 10) == 0);
    return wire_packet_write(&packet, bytes);
}

static void push(struct wire *wire, uint32_t sequence, uint64_t now_ns)
{
    uint8_t frame[WIRE_LONGEST_BYTES];

    wire_push(wire, WIRE_FORTH, frame, write_frame(frame, false, sequence), now_ns);
}

/* The sequence number of the next frame that has arrived; 0: none. */
static uint32_t take(struct wire *wire, uint64_t now_ns)
{
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = wire_take(wire, WIRE_FORTH, now_ns, frame);
    struct wire_packet packet;

    if (length == 0)
        return 0;
    assert_int_equal(wire_packet_parse(&packet, frame, length, NULL), WIRE_GOOD);
    return packet.sequence;
}

static void frames_arrive_unchanged_after_the_delay(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){.delay_ns = 10});
    uint8_t sent[WIRE_LONGEST_BYTES], arrived[WIRE_LONGEST_BYTES];
    size_t length = write_frame(sent, true, 1);

    (void)state;
    wire_push(wire, WIRE_FORTH, sent, length, 100);
    assert_int_equal(wire_next_ns(wire), 110);
    assert_int_equal(wire_take(wire, WIRE_FORTH, 109, arrived), 0);
    assert_int_equal(wire_take(wire, WIRE_BACK, 110, arrived), 0);
    assert_int_equal(wire_take(wire, WIRE_FORTH, 110, arrived), length);
    assert_memory_equal(arrived, sent, length);
    assert_true(wire_next_ns(wire) == CLOCK_NEVER);
    wire_destroy(wire);
}

static void jitter_keeps_the_order(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){.delay_ns = 10, .jitter_ns = 1000});

    (void)state;
    for (uint32_t i = 1; i <= 100; i++)
        push(wire, i, i);
    for (uint32_t i = 1; i <= 100; i++)
        assert_int_equal(take(wire, CLOCK_NEVER - 1), i);
    wire_destroy(wire);
}

static void a_frame_that_is_held_back_is_overtaken(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){.reorder = 0.2, .reorder_ns = 50});
    unsigned overtaken = 0;
    uint32_t last = 0;

    (void)state;
    for (uint32_t i = 1; i <= 100; i++)
        push(wire, i, i);
    for (uint32_t i = 1; i <= 100; i++) {
        uint32_t sequence = take(wire, CLOCK_NEVER - 1);

        overtaken += sequence < last;
        last = sequence > last ? sequence : last;
    }
    assert_true(overtaken > 0 && overtaken <= wire_counters(wire, WIRE_FORTH)->reordered);
    wire_destroy(wire);
}

static void losses_and_copies_are_counted(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){.loss = 0.3, .duplicate = 0.3});
    const struct wire_counters *counters = wire_counters(wire, WIRE_FORTH);
    unsigned arrived = 0;

    (void)state;
    for (uint32_t i = 1; i <= 1000; i++)
        push(wire, i, i);
    while (take(wire, CLOCK_NEVER - 1) > 0)
        arrived++;
    assert_in_range(counters->lost, 200, 400);
    assert_in_range(counters->duplicated, 100, 300);
    assert_int_equal(arrived, 1000 - counters->lost + counters->duplicated);
    assert_int_equal(counters->delivered, arrived);
    wire_destroy(wire);
}

static void the_same_seed_repeats_a_run(void **state)
{
    struct wire_settings settings = {.loss = 0.2, .duplicate = 0.2, .reorder = 0.2, .reorder_ns = 20, .jitter_ns = 5};
    struct wire *first = open_wire(&settings), *second = open_wire(&settings);
    uint32_t sequence;

    (void)state;
    for (uint32_t i = 1; i <= 200; i++) {
        push(first, i, i);
        push(second, i, i);
    }
    do {
        assert_int_equal(wire_next_ns(first), wire_next_ns(second));
        sequence = take(first, CLOCK_NEVER - 1);
        assert_int_equal(take(second, CLOCK_NEVER - 1), sequence);
    } while (sequence > 0);
    wire_destroy(first);
    wire_destroy(second);
}

static void a_checksum_finds_every_flipped_bit(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){.corrupt = 1});
    uint8_t frame[WIRE_LONGEST_BYTES];
    struct wire_packet packet;

    (void)state;
    for (uint32_t i = 0; i < 4000; i++) {
        size_t length = write_frame(frame, i % 2 == 0, i);

        wire_push(wire, WIRE_FORTH, frame, length, i);
        length = wire_take(wire, WIRE_FORTH, i, frame);
        assert_int_equal(wire_packet_parse(&packet, frame, length, NULL), WIRE_CORRUPT);
    }
    assert_int_equal(wire_counters(wire, WIRE_FORTH)->corrupted, 4000);
    wire_destroy(wire);
}

static void the_bottleneck_spaces_frames_and_drops_what_its_queue_cannot_hold(void **state)
{
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length = write_frame(frame, false, 1);
    uint64_t frame_ns = length * 8 * NS_PER_S / 1000000;
    struct wire *wire = open_wire(&(struct wire_settings){.rate_bits = 1000000, .queue_bytes = 3 * length});

    (void)state;
    for (uint32_t i = 1; i <= 5; i++)
        push(wire, i, 0);
    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(wire_next_ns(wire), i * frame_ns);
        assert_int_equal(take(wire, i * frame_ns), i);
    }
    assert_true(wire_next_ns(wire) == CLOCK_NEVER);
    assert_int_equal(wire_counters(wire, WIRE_FORTH)->queue_drops, 2);
    push(wire, 6, 3 * frame_ns);
    assert_int_equal(wire_next_ns(wire), 4 * frame_ns);
    wire_destroy(wire);
}

static void check_too_big_answer(bool is_v6)
{
    struct wire *wire = open_wire(&(struct wire_settings){.mtu = PAYLOAD_BYTES});
    uint8_t frame[WIRE_LONGEST_BYTES], answer[WIRE_LONGEST_BYTES];
    struct wire_packet_layout layout;
    const uint8_t *icmp;
    size_t length;

    wire_push(wire, WIRE_FORTH, frame, write_frame(frame, is_v6, 9), 5);
    assert_int_equal(wire_take(wire, WIRE_FORTH, 5, answer), 0);
    length = wire_take(wire, WIRE_BACK, 5, answer);
    assert_true(wire_packet_lay_out(&layout, answer, length));
    assert_true(wire_packet_ip_sum_is_good(&layout, answer));
    assert_true(wire_packet_segment_sum_is_good(&layout, answer));
    assert_int_equal(layout.protocol, is_v6 ? WIRE_ICMPV6 : WIRE_ICMP);
    icmp = answer + layout.link_bytes + layout.ip_bytes;
    assert_int_equal(icmp[0], is_v6 ? 2 : 3);
    assert_int_equal(icmp[1], is_v6 ? 0 : 4);
    assert_int_equal(wire_packet_load32(icmp + 4), PAYLOAD_BYTES);
    assert_memory_equal(icmp + 8, frame + WIRE_ETHERNET_BYTES, 28);
    assert_memory_equal(answer, frame + 6, 6);
    wire_destroy(wire);
}

static void a_packet_beyond_the_mtu_is_answered_and_not_delivered(void **state)
{
    (void)state;
    check_too_big_answer(false);
    check_too_big_answer(true);
}

static void the_mtu_may_change_and_be_silent(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){0});
    uint8_t answer[WIRE_LONGEST_BYTES];

    (void)state;
    push(wire, 1, 0);
    wire_set(wire, WIRE_FORTH, &(struct wire_settings){.mtu = 1039, .is_silent_on_mtu = true});
    push(wire, 2, 0);
    wire_set(wire, WIRE_FORTH, &(struct wire_settings){.mtu = 1040});
    push(wire, 3, 0);
    assert_int_equal(take(wire, 0), 1);
    assert_int_equal(take(wire, 0), 3);
    assert_int_equal(wire_take(wire, WIRE_BACK, 0, answer), 0);
    assert_int_equal(wire_counters(wire, WIRE_FORTH)->too_big, 1);
    wire_destroy(wire);
}

static bool drops_second(void *context, enum wire_direction direction, const uint8_t *bytes, size_t length)
{
    unsigned *count = context;

    (void)bytes;
    (void)length;
    return direction == WIRE_FORTH && ++*count == 2;
}

static void a_filter_drops_what_it_chooses(void **state)
{
    struct wire *wire = open_wire(&(struct wire_settings){0});
    unsigned count = 0;

    (void)state;
    wire_set_filter(wire, drops_second, &count);
    for (uint32_t i = 1; i <= 3; i++)
        push(wire, i, 0);
    assert_int_equal(take(wire, 0), 1);
    assert_int_equal(take(wire, 0), 3);
    assert_int_equal(wire_counters(wire, WIRE_FORTH)->filtered, 1);
    wire_destroy(wire);
}

static void the_wire_holds_no_more_than_its_memory(void **state)
{
    struct wire_options options = {.memory_bytes = 2500};
    struct wire *wire;

    (void)state;
    must(wire_create(&wire, &options) == 0);
    for (uint32_t i = 1; i <= 3; i++)
        push(wire, i, 0);
    assert_int_equal(wire_counters(wire, WIRE_FORTH)->overruns, 1);
    assert_int_equal(take(wire, 0), 1);
    push(wire, 4, 0);
    assert_int_equal(take(wire, 0), 2);
    assert_int_equal(take(wire, 0), 4);
    wire_destroy(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_arrive_unchanged_after_the_delay),
        cmocka_unit_test(jitter_keeps_the_order),
        cmocka_unit_test(a_frame_that_is_held_back_is_overtaken),
        cmocka_unit_test(losses_and_copies_are_counted),
        cmocka_unit_test(the_same_seed_repeats_a_run),
        cmocka_unit_test(a_checksum_finds_every_flipped_bit),
        cmocka_unit_test(the_bottleneck_spaces_frames_and_drops_what_its_queue_cannot_hold),
        cmocka_unit_test(a_packet_beyond_the_mtu_is_answered_and_not_delivered),
        cmocka_unit_test(the_mtu_may_change_and_be_silent),
        cmocka_unit_test(a_filter_drops_what_it_chooses),
        cmocka_unit_test(the_wire_holds_no_more_than_its_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

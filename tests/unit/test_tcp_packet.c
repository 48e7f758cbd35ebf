/* The parser of received packets. Frames are built by the tests' own code (common/wire_packet.h), and parsed in memory of their exact size. */
#include "engine/tcp/packet.h"

#include "common/wire_packet.h"
#include "engine/tcp/host.h"
#include "support/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct port_limits limits = {.mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500};
static const uint8_t payload[5] = "hello";

static struct host *host;
static uint8_t frame[WIRE_LONGEST_BYTES];
static size_t length;
static struct packet packet;

static int begin(void **state)
{
    struct host_options options = {.address_count = 2, .mtu = 1500};

    (void)state;
    options.addresses[0] = (struct host_address){ip_of("192.0.2.1"), 24};
    options.addresses[1] = (struct host_address){ip_of("2001:db8::1"), 64};
    return host_create(&host, &options, &limits, 1);
}

static int end(void **state)
{
    (void)state;
    host_destroy(host);
    return 0;
}

static void build(bool is_v6, const struct wire_packet_options *options, size_t payload_bytes)
{
    struct wire_packet built = {.is_v6 = is_v6,
                                .source = ip_of(is_v6 ? "2001:db8::2" : "192.0.2.2"),
                                .destination = ip_of(is_v6 ? "2001:db8::1" : "192.0.2.1"),
                                .source_port = 40000,
                                .destination_port = 8545,
                                .sequence = 0xdeadbeef,
                                .acknowledgement = 0x12345678,
                                .flags = WIRE_ACK | WIRE_PSH,
                                .window = 0xabcd,
                                .payload = payload,
                                .payload_bytes = payload_bytes,
                                .vlan = host->options.vlan};

    if (options)
        built.options = *options;
    length = wire_packet_write(&built, frame);
}

/* Parses the first `bytes` bytes of the frame; `packet` stays valid but for its pointers. */
static enum packet_kind parse_part(size_t bytes)
{
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);
    struct port_packet source = {.bytes = copy, .length = (uint32_t)bytes};
    enum packet_kind kind;

    memcpy(copy, frame, bytes);
    memset(&packet, 0xee, sizeof packet); /* what the parser leaves out is not zero */
    kind = packet_parse(&packet, &source, host);
    if (kind == PACKET_TCP) {
        assert_true(packet.payload + packet.payload_bytes <= copy + bytes);
        assert_memory_equal(packet.payload, payload, packet.payload_bytes);
    }
    free(copy);
    return kind;
}

static enum packet_kind parse(void)
{
    return parse_part(length);
}

static void assert_fields(bool is_v6)
{
    struct ip_address remote = ip_of(is_v6 ? "2001:db8::2" : "192.0.2.2");

    assert_true(ip_address_equal(&packet.remote, &remote));
    assert_int_equal(packet.local, is_v6);
    assert_int_equal(packet.is_v6, is_v6);
    assert_int_equal(packet.remote_port, 40000);
    assert_int_equal(packet.local_port, 8545);
    assert_int_equal(packet.sequence, 0xdeadbeef);
    assert_int_equal(packet.acknowledgement, 0x12345678);
    assert_int_equal(packet.flags, TCP_ACK | TCP_PSH);
    assert_int_equal(packet.window, 0xabcd);
}

static void fields_of_a_segment(void **state)
{
    (void)state;
    for (int is_v6 = 0; is_v6 < 2; is_v6++)
        for (size_t bytes = 0; bytes <= sizeof payload; bytes++) {
            build(is_v6, NULL, bytes);
            assert_int_equal(parse(), PACKET_TCP);
            assert_fields(is_v6);
            assert_int_equal(packet.payload_bytes, bytes); /* without the padding of a short frame */
            assert_int_equal(packet.mss, 0);
            assert_false(packet.has_scale || packet.sack_permitted || packet.sack_count > 0);
        }
}

static void options_of_a_segment(void **state)
{
    const struct wire_packet_options options = {.has_mss = true,
                                                .mss = 1460,
                                                .has_scale = true,
                                                .scale = 7,
                                                .has_sack_permitted = true,
                                                .has_timestamps = true,
                                                .sack_count = 1,
                                                .sacks = {{100, 200}}};

    (void)state;
    for (int is_v6 = 0; is_v6 < 2; is_v6++) {
        build(is_v6, &options, 5);
        assert_int_equal(parse(), PACKET_TCP);
        assert_fields(is_v6);
        assert_int_equal(packet.mss, 1460);
        assert_true(packet.has_scale && packet.scale == 7 && packet.sack_permitted);
        assert_int_equal(packet.sack_count, 1);
        assert_int_equal(packet.sacks[0].start, 100);
        assert_int_equal(packet.sacks[0].end, 200);
    }
}

static void four_selective_acknowledgements(void **state)
{
    const struct wire_packet_options options = {.sack_count = 4, .sacks = {{1, 2}, {3, 4}, {5, 6}, {7, 0xffffffff}}};

    (void)state;
    build(false, &options, 0);
    assert_int_equal(parse(), PACKET_TCP);
    assert_int_equal(packet.sack_count, 4);
    assert_int_equal(packet.sacks[3].start, 7);
    assert_int_equal(packet.sacks[3].end, 0xffffffff);
}

/* Writes options over those of a built segment that has 40 bytes of them, and repairs the checksum. */
static enum packet_kind parse_options(const uint8_t *options, size_t bytes)
{
    const struct wire_packet_options room = {.sack_count = 4, .has_sack_permitted = true};
    struct wire_packet_layout layout;
    uint8_t *tcp;

    build(false, &room, 0);
    wire_packet_lay_out(&layout, frame, length);
    tcp = frame + layout.link_bytes + layout.ip_bytes;
    assert_int_equal(tcp[12] >> 4, 15);
    memset(tcp + 20, 0, 40);
    memcpy(tcp + 20, options, bytes);
    wire_packet_store16(tcp + 16, 0);
    wire_packet_store16(tcp + 16, wire_packet_fold(wire_packet_sum(
                                      wire_packet_pseudo_sum(frame + layout.link_bytes, false, WIRE_TCP, layout.segment_bytes),
                                      tcp, layout.segment_bytes)));
    return parse();
}

static void malformed_options_end_the_list(void **state)
{
    static const uint8_t mss[4] = {2, 4, 5, 0xb4};
    static const struct {
        uint8_t bytes[8];
        size_t length;
    } bad[] = {{{9, 0}, 2}, {{9, 1}, 2}, {{0}, 1}, {{2, 41}, 2}, {{5, 255}, 2}};
    uint8_t options[40];

    (void)state;
    assert_int_equal(parse_options(mss, sizeof mss), PACKET_TCP);
    assert_int_equal(packet.mss, 1460);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        memcpy(options, bad[i].bytes, bad[i].length);
        memcpy(options + bad[i].length, mss, sizeof mss);
        assert_int_equal(parse_options(options, bad[i].length + sizeof mss), PACKET_TCP);
        assert_int_equal(packet.mss, 0);
    }
}

static void options_of_wrong_lengths_are_skipped(void **state)
{
    static const uint8_t options[] = {2, 3, 9, 3, 4, 1, 1, 4, 3, 0, 5, 9, 1, 2, 3, 4, 5, 6, 7, 2, 4, 5, 0xb4};

    (void)state;
    assert_int_equal(parse_options(options, sizeof options), PACKET_TCP);
    assert_int_equal(packet.mss, 1460);
    assert_false(packet.has_scale || packet.sack_permitted || packet.sack_count > 0);
}

static void an_option_may_end_with_the_header(void **state)
{
    uint8_t options[40];

    (void)state;
    memset(options, 1, sizeof options);
    memcpy(options + 36, (const uint8_t[]){2, 4, 5, 0xb4}, 4);
    parse_options(options, 40);
    assert_int_equal(packet.mss, 1460);
    options[39] = 2; /* a kind without a length */
    options[36] = options[37] = options[38] = 1;
    assert_int_equal(parse_options(options, 40), PACKET_TCP);
    assert_int_equal(packet.mss, 0);
}

static void a_packet_cut_anywhere_is_refused(void **state)
{
    const struct wire_packet_options options = {.has_mss = true, .mss = 1460};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        host->options.vlan = i >= 2 ? 7 : 0;
        build(i % 2 == 1, &options, 5);
        assert_int_equal(parse(), PACKET_TCP);
        for (size_t bytes = 0; bytes < length; bytes++)
            assert_int_equal(parse_part(bytes), PACKET_MALFORMED);
    }
}

static void a_changed_bit_is_noticed(void **state)
{
    (void)state;
    for (int is_v6 = 0; is_v6 < 2; is_v6++) {
        build(is_v6, NULL, 5);
        for (size_t bit = (size_t)14 * 8; bit < (is_v6 ? 14u + 40 + 25 : 14u + 20 + 25) * 8; bit++) {
            bool is_hidden = is_v6 && bit >= 14 * 8 + 4 && bit < (14 + 4) * 8; /* traffic class and flow label have no checksum */

            is_hidden = is_hidden || (is_v6 && bit / 8 == 14 + 7); /* nor has the hop limit */
            frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (!is_hidden && !(is_v6 && bit / 8 == 14))
                assert_int_not_equal(parse(), PACKET_TCP);
            frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void the_card_s_verdict_replaces_checksums(void **state)
{
    struct port_packet source = {.bytes = frame};

    (void)state;
    build(false, NULL, 5);
    frame[14 + 20 + 20 + 4] ^= 1; /* the last byte of the payload */
    source.length = (uint32_t)length;
    assert_int_equal(packet_parse(&packet, &source, host), PACKET_BAD_CHECKSUM);
    source.tcp_good = true;
    assert_int_equal(packet_parse(&packet, &source, host), PACKET_TCP);
    frame[14 + 8] ^= 1; /* time to live */
    assert_int_equal(packet_parse(&packet, &source, host), PACKET_BAD_CHECKSUM);
    source.ip_good = true;
    assert_int_equal(packet_parse(&packet, &source, host), PACKET_TCP);
}

/* Repairs the checksum of the IPv4 header. */
static enum packet_kind parse_header_v4(void)
{
    wire_packet_store16(frame + 14 + 10, 0);
    wire_packet_store16(frame + 14 + 10, wire_packet_fold(wire_packet_sum(0, frame + 14, 20)));
    return parse();
}

static void fragments_and_ip_options_are_told(void **state)
{
    (void)state;
    build(false, NULL, 5);
    frame[14 + 6] = 0x20; /* more fragments */
    assert_int_equal(parse_header_v4(), PACKET_FRAGMENT);
    frame[14 + 6] = 0;
    frame[14 + 7] = 1; /* an offset */
    assert_int_equal(parse_header_v4(), PACKET_FRAGMENT);
    frame[14 + 7] = 0;
    assert_int_equal(parse_header_v4(), PACKET_TCP);
    frame[14] = 0x46; /* options */
    assert_int_equal(parse_header_v4(), PACKET_FRAGMENT);
    frame[14] = 0x44; /* less than a header */
    assert_int_equal(parse_header_v4(), PACKET_FRAGMENT);
    frame[14] = 0x55;
    assert_int_equal(parse_header_v4(), PACKET_MALFORMED);
}

static void extension_headers_are_told(void **state)
{
    static const uint8_t extensions[] = {0, 43, 44, 60};

    (void)state;
    build(true, NULL, 5);
    for (size_t i = 0; i < sizeof extensions; i++) {
        frame[14 + 6] = extensions[i];
        assert_int_equal(parse(), PACKET_FRAGMENT);
    }
    frame[14 + 6] = 17;
    assert_int_equal(parse(), PACKET_FOREIGN);
}

static void what_is_not_for_us_is_foreign(void **state)
{
    (void)state;
    build(false, NULL, 5);
    frame[14 + 19] ^= 2;
    assert_int_equal(parse(), PACKET_FOREIGN);
    build(true, NULL, 5);
    frame[14 + 39] ^= 2;
    assert_int_equal(parse(), PACKET_FOREIGN);
    build(false, NULL, 5);
    frame[14 + 9] = 17;
    assert_int_equal(parse_header_v4(), PACKET_FOREIGN);
    build(false, NULL, 5);
    frame[12] = 0x88;
    assert_int_equal(parse(), PACKET_FOREIGN);
}

static void tcp_to_a_multicast_address_is_foreign(void **state)
{
    static const uint8_t solicited_node[16] = {0xff, 0x02, [11] = 1, [12] = 0xff, [15] = 1};

    (void)state;
    build(true, NULL, 5);
    memcpy(frame + 14 + 24, solicited_node, 16);
    assert_int_equal(parse(), PACKET_FOREIGN);
}

static void only_packets_of_the_own_vlan_are_taken(void **state)
{
    (void)state;
    for (uint16_t tag = 0; tag < 3; tag++)
        for (uint16_t own = 0; own < 3; own++) {
            host->options.vlan = tag;
            build(false, NULL, 5);
            host->options.vlan = own;
            assert_int_equal(parse(), tag == own ? PACKET_TCP : PACKET_FOREIGN);
        }
    host->options.vlan = 5;
    build(false, NULL, 5);
    frame[14] |= 0xe0; /* its priority does not matter */
    assert_int_equal(parse(), PACKET_TCP);
}

static void impossible_lengths_are_malformed(void **state)
{
    (void)state;
    build(false, NULL, 5);
    wire_packet_store16(frame + 14 + 2, 19);
    assert_int_equal(parse_header_v4(), PACKET_MALFORMED);
    wire_packet_store16(frame + 14 + 2, (uint16_t)(length - 14 + 1));
    assert_int_equal(parse_header_v4(), PACKET_MALFORMED);
    build(false, NULL, 5);
    for (uint8_t words = 0; words < 16; words++) {
        frame[14 + 20 + 12] = (uint8_t)(words << 4);
        assert_int_equal(parse(), words < 5 || words > 6 ? PACKET_MALFORMED : words == 5 ? PACKET_TCP : PACKET_BAD_CHECKSUM);
    }
}

static void requests_of_arp_for_us(void **state)
{
    static const uint8_t request[] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, 2, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1};

    (void)state;
    memset(frame, 0, sizeof frame);
    wire_packet_store16(frame + 12, WIRE_TYPE_ARP);
    memcpy(frame + 14, request, sizeof request);
    for (length = 0; length < 14 + sizeof request; length++)
        assert_int_equal(parse(), PACKET_MALFORMED);
    assert_int_equal(parse(), PACKET_ARP);
    assert_int_equal(packet.local, 0);
    frame[14 + 27] = 9;
    assert_int_equal(parse(), PACKET_FOREIGN);
    frame[14 + 1] = 6; /* hardware other than Ethernet */
    assert_int_equal(parse(), PACKET_MALFORMED);
}

static void icmp_needs_a_header_and_a_good_sum(void **state)
{
    static const uint8_t echo[8] = {8, 0, 0xf7, 0xff};

    (void)state;
    build(false, NULL, 5);
    frame[14 + 9] = WIRE_ICMP;
    wire_packet_store16(frame + 14 + 2, 28);
    memcpy(frame + 34, echo, sizeof echo);
    assert_int_equal(parse_header_v4(), PACKET_ICMP);
    frame[35] = 1;
    assert_int_equal(parse(), PACKET_BAD_CHECKSUM);
    wire_packet_store16(frame + 14 + 2, 27);
    assert_int_equal(parse_header_v4(), PACKET_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_of_a_segment, begin, end),
        cmocka_unit_test_setup_teardown(options_of_a_segment, begin, end),
        cmocka_unit_test_setup_teardown(four_selective_acknowledgements, begin, end),
        cmocka_unit_test_setup_teardown(malformed_options_end_the_list, begin, end),
        cmocka_unit_test_setup_teardown(options_of_wrong_lengths_are_skipped, begin, end),
        cmocka_unit_test_setup_teardown(an_option_may_end_with_the_header, begin, end),
        cmocka_unit_test_setup_teardown(a_packet_cut_anywhere_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_changed_bit_is_noticed, begin, end),
        cmocka_unit_test_setup_teardown(the_card_s_verdict_replaces_checksums, begin, end),
        cmocka_unit_test_setup_teardown(fragments_and_ip_options_are_told, begin, end),
        cmocka_unit_test_setup_teardown(extension_headers_are_told, begin, end),
        cmocka_unit_test_setup_teardown(what_is_not_for_us_is_foreign, begin, end),
        cmocka_unit_test_setup_teardown(tcp_to_a_multicast_address_is_foreign, begin, end),
        cmocka_unit_test_setup_teardown(only_packets_of_the_own_vlan_are_taken, begin, end),
        cmocka_unit_test_setup_teardown(impossible_lengths_are_malformed, begin, end),
        cmocka_unit_test_setup_teardown(requests_of_arp_for_us, begin, end),
        cmocka_unit_test_setup_teardown(icmp_needs_a_header_and_a_good_sum, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

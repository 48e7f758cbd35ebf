/* ARP, neighbour discovery and ICMP, as the engine answers them on a wire; and whom it answers at all. */
#include "support/ip.h"
#include "support/tcp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define LINK_BYTES 14
#define IP_BYTES   40
#define ICMP6_AT   (LINK_BYTES + IP_BYTES)

static struct tcp_world *world;

static int begin(void **state)
{
    (void)state;
    world = tcp_world_open(&(struct tcp_world_options){0});
    tcp_world_run(world, 10 * NS_PER_MS);
    return 0;
}

static int end(void **state)
{
    (void)state;
    tcp_world_close(world);
    return 0;
}

/* Sends a segment of port 50000 and waits for the answer. Returns how many there were. */
static unsigned exchange(const struct wire_packet *segment)
{
    unsigned before = world->answers_for_others;

    tcp_world_inject_segment(world, segment);
    tcp_world_run(world, 10 * NS_PER_MS);
    return world->answers_for_others - before;
}

static struct wire_packet syn_of(bool is_v6, uint32_t sequence)
{
    return (struct wire_packet){.is_v6 = is_v6, .source_port = 50000, .sequence = sequence, .flags = WIRE_SYN, .window = 60000};
}

/* The ACK that follows the answer to a SYN. */
static struct wire_packet ack_of(const struct wire_packet *syn)
{
    struct wire_packet ack = *syn;

    ack.sequence++;
    ack.acknowledgement = world->answer.sequence + 1;
    ack.flags = WIRE_ACK;
    return ack;
}

static void open_connection(bool is_v6)
{
    struct wire_packet syn = syn_of(is_v6, 1000), ack;

    assert_int_equal(exchange(&syn), 1);
    ack = ack_of(&syn);
    exchange(&ack);
    assert_int_equal(world->accepts, 1);
}

/* Writes an ICMPv6 message from 2001:db8::2 to the engine; without source for a probe of an address (RFC 4862, 5.4.2). */
static void send_icmp6(const uint8_t *message, size_t length, uint8_t hop_limit, bool has_source)
{
    static const uint8_t engine_mac[6] = {2, 0, 0, 0, 0, 1}, peer_mac[6] = {2, 0, 0, 0, 0, 9};
    struct ip_address own = ip_of("2001:db8::1"), peer = ip_of("2001:db8::2");
    uint8_t frame[256] = {0}, *ip = frame + LINK_BYTES, *icmp = ip + IP_BYTES;

    memcpy(frame, engine_mac, 6);
    memcpy(frame + 6, peer_mac, 6);
    wire_packet_store16(frame + 12, WIRE_TYPE_IPV6);
    ip[0] = 0x60;
    wire_packet_store16(ip + 4, (uint16_t)length);
    ip[6] = WIRE_ICMPV6;
    ip[7] = hop_limit;
    if (has_source)
        memcpy(ip + 8, peer.bytes, 16);
    memcpy(ip + 24, own.bytes, 16);
    memcpy(icmp, message, length);
    wire_packet_store16(icmp + 2, 0);
    wire_packet_store16(icmp + 2,
                        wire_packet_fold(wire_packet_sum(wire_packet_pseudo_sum(ip, true, WIRE_ICMPV6, length), icmp, length)));
    tcp_world_inject(world, frame, LINK_BYTES + IP_BYTES + length);
    tcp_world_run(world, 5 * NS_PER_MS);
}

/* --- who is answered --- */

static void nobody_connects_from_an_address_of_many(void **state)
{
    static const char *const addresses[] = {"192.0.2.255", "255.255.255.255", "224.0.0.5", "127.0.0.1", "0.0.0.1", "192.0.2.1"};

    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        struct wire_packet syn = syn_of(false, 1000);

        syn.source = ip_of(addresses[i]);
        assert_int_equal(exchange(&syn), 0);
        assert_int_equal(counter_read(&tcp_world_engine(world)->counters.dropped[DROP_FOREIGN]), i + 1);
    }
}

/* After the end of a connection only a SYN with a higher sequence number begins another one (RFC 6191, without time stamps). */
static void a_late_syn_opens_no_closed_connection_again(void **state)
{
    struct wire_packet syn = syn_of(false, 1000), segment;

    (void)state;
    open_connection(false);
    segment = ack_of(&syn);
    segment.flags = WIRE_RST;
    exchange(&segment);
    assert_int_equal(world->closes, 1);
    exchange(&syn);
    segment = ack_of(&syn);
    exchange(&segment);
    assert_int_equal(world->accepts, 1);
    syn.sequence += 100000;
    assert_int_equal(exchange(&syn), 1);
    segment = ack_of(&syn);
    exchange(&segment);
    assert_int_equal(world->accepts, 2);
}

/* --- echo --- */

static void echoes_are_limited_per_second(void **state)
{
    static const uint8_t request[16] = {128, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8};

    (void)state;
    tcp_world_run(world, 1200 * NS_PER_MS);
    world->others = 0;
    for (unsigned i = 0; i < 150; i++)
        send_icmp6(request, sizeof request, 64, true);
    assert_int_equal(world->other[ICMP6_AT], 129);
    assert_memory_equal(world->other + ICMP6_AT + 4, request + 4, sizeof request - 4);
    assert_in_range(world->others, 90, 110); /* 750 ms, which may lie in two seconds of the engine */
}

/* --- neighbour discovery --- */

static void message_about(uint8_t *message, uint8_t type, const char *target, uint8_t option)
{
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
    struct ip_address ip = ip_of(target);

    memset(message, 0, 32);
    message[0] = type;
    memcpy(message + 8, ip.bytes, 16);
    message[24] = option;
    message[25] = 1;
    memcpy(message + 26, mac, 6);
}

static void a_probe_of_our_address_is_answered_to_all_nodes(void **state)
{
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1}, all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    uint8_t message[32];

    (void)state;
    message_about(message, 135, "2001:db8::1", 0);
    world->others = 0;
    send_icmp6(message, 24, 255, false);
    assert_int_equal(world->others, 1);
    assert_memory_equal(world->other, all_nodes_mac, 6);
    assert_memory_equal(world->other + LINK_BYTES + 24, all_nodes, 16);
    assert_int_equal(world->other[ICMP6_AT], 136);
}

static void a_solicitation_is_answered_to_who_asks(void **state)
{
    struct ip_address peer = ip_of("2001:db8::2");
    uint8_t message[32];

    (void)state;
    message_about(message, 135, "2001:db8::1", 1);
    send_icmp6(message, 32, 255, true);
    assert_memory_equal(world->other + LINK_BYTES + 24, peer.bytes, 16);
    assert_int_equal(world->other[ICMP6_AT], 136);
    world->others = 0;
    send_icmp6(message, 32, 254, true); /* it has come through a router */
    message_about(message, 135, "2001:db8::7", 1);
    send_icmp6(message, 32, 255, true); /* for somebody else */
    assert_int_equal(world->others, 0);
}

static void an_advertisement_is_believed_only_from_the_link(void **state)
{
    static const uint8_t before[6] = {2, 0, 0, 0, 0, 2}, after[6] = {2, 0, 0, 0, 0, 9};
    uint8_t message[32], mac[6];

    (void)state;
    open_connection(true);
    message_about(message, 136, "2001:db8::2", 2);
    send_icmp6(message, 32, 254, true);
    host_neighbour_mac(world->host, 0, mac);
    assert_memory_equal(mac, before, 6);
    send_icmp6(message, 32, 255, true);
    host_neighbour_mac(world->host, 0, mac);
    assert_memory_equal(mac, after, 6);
}

/* While it is used, a neighbour is asked for once per second from 30 s after it was last confirmed. */
static void a_neighbour_that_was_not_confirmed_is_asked_for(void **state)
{
    static const uint8_t solicited_mac[6] = {0x33, 0x33, 0xff, 0, 0, 2};
    uint8_t message[32];

    (void)state;
    open_connection(true);
    world->others = 0;
    tcp_world_run(world, 28 * NS_PER_S);
    assert_int_equal(world->others, 0);
    tcp_world_run(world, 4 * NS_PER_S);
    assert_in_range(world->others, 2, 4);
    assert_memory_equal(world->other, solicited_mac, 6);
    assert_int_equal(world->other[ICMP6_AT], 135);
    message_about(message, 136, "2001:db8::2", 2);
    send_icmp6(message, 32, 255, true);
    world->others = 0;
    tcp_world_run(world, 20 * NS_PER_S);
    assert_int_equal(world->others, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nobody_connects_from_an_address_of_many, begin, end),
        cmocka_unit_test_setup_teardown(a_late_syn_opens_no_closed_connection_again, begin, end),
        cmocka_unit_test_setup_teardown(echoes_are_limited_per_second, begin, end),
        cmocka_unit_test_setup_teardown(a_probe_of_our_address_is_answered_to_all_nodes, begin, end),
        cmocka_unit_test_setup_teardown(a_solicitation_is_answered_to_who_asks, begin, end),
        cmocka_unit_test_setup_teardown(an_advertisement_is_believed_only_from_the_link, begin, end),
        cmocka_unit_test_setup_teardown(a_neighbour_that_was_not_confirmed_is_asked_for, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

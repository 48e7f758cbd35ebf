/*
 * ARP, neighbour discovery and ICMP at an engine with a connection: the input is a script of such packets, with bytes of the fuzzer's in
 * them and checksums repaired, or of any bytes. The engine survives, answers in valid packets only, and not more often than it is asked.
 */
#include "support/fuzz_script.h"
#include "support/ip.h"
#include "support/must.h"
#include "support/tcp_world.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

enum kind { ARP, ICMP, ICMPV6, TOO_BIG, ANY, KINDS };

#define LINK_BYTES 14
#define LONGEST    600

static size_t write_arp(uint8_t *frame, struct fuzz_script *script)
{
    static const uint8_t request[28] = {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, 2, [24] = 192, 0, 2, 1};
    size_t length;
    const uint8_t *bytes;

    wire_packet_store16(frame + 12, WIRE_TYPE_ARP);
    memcpy(frame + LINK_BYTES, request, sizeof request);
    bytes = fuzz_script_take(script, fuzz_script_next(script) % 24, &length);
    for (size_t i = 0; i < length; i++)
        frame[LINK_BYTES + 7 + i % 21] ^= bytes[i];
    return wire_packet_pad(frame, LINK_BYTES + sizeof request);
}

/* An ICMP message of the fuzzer's bytes, for the engine. */
static size_t write_icmp(uint8_t *frame, struct fuzz_script *script, bool is_v6)
{
    size_t ip_bytes = is_v6 ? 40 : 20, length;
    uint8_t flags = fuzz_script_next(script), *ip = frame + LINK_BYTES, *icmp = ip + ip_bytes;
    const uint8_t *bytes = fuzz_script_take(script, fuzz_script_next(script) * 2, &length);
    struct ip_address own = ip_of(is_v6 ? "2001:db8::1" : "192.0.2.1"), peer = ip_of(is_v6 ? "2001:db8::2" : "192.0.2.2");

    if (length > LONGEST - ip_bytes - LINK_BYTES)
        length = LONGEST - ip_bytes - LINK_BYTES;
    wire_packet_store16(frame + 12, is_v6 ? WIRE_TYPE_IPV6 : WIRE_TYPE_IPV4);
    memcpy(icmp, bytes, length);
    if (is_v6) {
        ip[0] = 0x60;
        wire_packet_store16(ip + 4, (uint16_t)length);
        ip[6] = WIRE_ICMPV6;
        ip[7] = (flags & 1) != 0 ? 64 : 255;
        memcpy(ip + 8, peer.bytes, 16);
        memcpy(ip + 24, own.bytes, 16);
        if ((flags & 2) != 0)
            memset(ip + 8, 0, 16);
    } else {
        ip[0] = 0x45;
        wire_packet_store16(ip + 2, (uint16_t)(ip_bytes + length));
        ip[8] = 64;
        ip[9] = WIRE_ICMP;
        memcpy(ip + 12, peer.bytes + 12, 4);
        memcpy(ip + 16, own.bytes + 12, 4);
        wire_packet_store16(ip + 10, wire_packet_fold(wire_packet_sum(0, ip, 20)));
    }
    if (length >= 4) {
        uint32_t sum = is_v6 ? wire_packet_pseudo_sum(ip, true, WIRE_ICMPV6, length) : 0;

        wire_packet_store16(icmp + 2, 0);
        wire_packet_store16(icmp + 2, wire_packet_fold(wire_packet_sum(sum, icmp, length)));
    }
    return wire_packet_pad(frame, LINK_BYTES + ip_bytes + length);
}

/* "Too big" of a segment that client 0 was sent, nearly. */
static size_t write_too_big(uint8_t *frame, struct fuzz_script *script, const struct tcp_world *world)
{
    struct wire_packet quoted = {.source = ip_of("192.0.2.1"),
                                 .destination = ip_of("192.0.2.2"),
                                 .source_port = TCP_WORLD_PORT,
                                 .destination_port = 40000,
                                 .flags = WIRE_ACK};
    uint8_t packet[WIRE_LONGEST_BYTES];
    size_t length;

    if (world->connections[0])
        quoted.sequence = tcp_connection_of(world->connections[0])->una + fuzz_script_next(script);
    length = wire_packet_write(&quoted, packet);
    return wire_packet_write_too_big(frame, packet, length, (uint16_t)(fuzz_script_next(script) * 8));
}

static void send_one(struct tcp_world *world, struct fuzz_script *script)
{
    uint8_t frame[1024] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    enum kind kind = fuzz_script_next(script) % KINDS;
    size_t length = 0;

    switch (kind) {
    case ARP:
        length = write_arp(frame, script);
        break;
    case ICMP:
    case ICMPV6:
        length = write_icmp(frame, script, kind == ICMPV6);
        break;
    case TOO_BIG:
        length = write_too_big(frame, script, world);
        break;
    default: {
        const uint8_t *bytes = fuzz_script_take(script, fuzz_script_next(script), &length);

        memcpy(frame, bytes, length);
        break;
    }
    }
    if (length > 0)
        tcp_world_inject(world, frame, length);
}

static uint64_t packets_sent(const struct tcp_world *world)
{
    return counter_read(&wire_port_of(world->card)->counters.sent_packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct fuzz_script script = {input, length};
    struct tcp_world *world = tcp_world_open(&(struct tcp_world_options){0});
    struct connection *connection;

    tcp_world_connect(world, 0);
    tcp_world_run(world, 100 * NS_PER_MS);
    connection = world->connections[0];
    must(connection != NULL);
    for (unsigned step = 0; step < 100 && script.length > 0; step++) {
        uint64_t before = packets_sent(world);
        bool publishes = (fuzz_script_next(&script) & 7) == 0;
        bool is_quiet = !publishes && tcp_unacknowledged(tcp_connection_of(connection)) == 0;

        if (publishes)
            tcp_world_publish(world, 5000);
        send_one(world, &script);
        tcp_world_run(world, NS_PER_MS + 10 * NS_PER_US);
        must(!is_quiet || packets_sent(world) <= before + 3);
    }
    tcp_world_run(world, 5 * NS_PER_S);
    must(world->closes == 0 && tcp_peer_status(world->peers[0])->violations == 0);
    must(tcp_connection_of(connection)->una == tcp_connection_of(connection)->nxt);
    tcp_world_close(world);
    return 0;
}

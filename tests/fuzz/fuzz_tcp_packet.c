/*
 * The parser of received packets, in memory of their exact size. The first byte chooses: bytes as they are, or repaired so that they get past
 * lengths and checksums.
 */
#include "engine/tcp/packet.h"

#include "common/wire_packet.h"
#include "engine/tcp/host.h"
#include "support/fuzz_script.h"
#include "support/ip.h"
#include "support/must.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length);

#define IP_GOOD  1
#define TCP_GOOD 2
#define REPAIR   4
#define VLAN     8

static struct host *open_host(bool has_vlan)
{
    static const struct port_limits limits = {.mtu = 1500};
    struct host_options options = {.address_count = 2, .mtu = 1500, .vlan = has_vlan ? 5 : 0};
    struct host *host;

    options.addresses[0] = (struct host_address){ip_of("192.0.2.1"), 24};
    options.addresses[1] = (struct host_address){ip_of("2001:db8::1"), 64};
    must(host_create(&host, &options, &limits, 1) == 0);
    return host;
}

/* Writes what a receiver looks at first: addresses and checksums. */
static void repair(uint8_t *bytes, size_t length, const struct host *host)
{
    struct wire_packet_layout layout;
    uint8_t *ip, *segment;
    size_t sum;

    if (!wire_packet_lay_out(&layout, bytes, length) || !layout.is_ip)
        return;
    ip = bytes + layout.link_bytes;
    segment = ip + layout.ip_bytes;
    if (layout.is_v6) {
        memcpy(ip + 24, host->options.addresses[1].ip.bytes, 16);
    } else {
        memcpy(ip + 16, host->options.addresses[0].ip.bytes + 12, 4);
        wire_packet_store16(ip + 10, 0);
        wire_packet_store16(ip + 10, wire_packet_fold(wire_packet_sum(0, ip, layout.ip_bytes)));
    }
    sum = layout.protocol == WIRE_TCP ? 16 : 2;
    if (layout.segment_bytes < sum + 2)
        return;
    wire_packet_store16(segment + sum, 0);
    wire_packet_store16(
        segment + sum,
        wire_packet_fold(wire_packet_sum(
            layout.protocol == WIRE_ICMP ? 0 : wire_packet_pseudo_sum(ip, layout.is_v6, layout.protocol, layout.segment_bytes),
            segment, layout.segment_bytes)));
}

static void check(const struct packet *packet, const uint8_t *bytes, size_t length, enum packet_kind kind)
{
    const uint8_t *end = bytes + length;

    if (kind != PACKET_TCP && kind != PACKET_ARP && kind != PACKET_ICMP)
        return;
    must(packet->ethernet == bytes && packet->ip > bytes && packet->ip < end && packet->local < 2);
    must(packet->payload >= packet->ip && packet->payload <= end);
    must(packet->payload_bytes <= (size_t)(end - packet->payload));
    if (kind != PACKET_TCP)
        return;
    must(packet->payload >= packet->tcp + TCP_BYTES && packet->sack_count <= PACKET_SACK_BLOCKS);
    must(packet->is_v6 == (packet->local == 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t length)
{
    struct fuzz_script script = {input, length};
    uint8_t flags = fuzz_script_next(&script);
    struct host *host = open_host((flags & VLAN) != 0);
    uint8_t *bytes = malloc(script.length > 0 ? script.length : 1);
    struct port_packet source = {.bytes = bytes, .length = (uint32_t)script.length};
    struct packet packet;

    if (!bytes)
        abort();
    memcpy(bytes, script.bytes, script.length);
    source.ip_good = (flags & IP_GOOD) != 0;
    source.tcp_good = (flags & TCP_GOOD) != 0;
    if ((flags & REPAIR) != 0)
        repair(bytes, script.length, host);
    check(&packet, bytes, script.length, packet_parse(&packet, &source, host));
    free(bytes);
    host_destroy(host);
    return 0;
}

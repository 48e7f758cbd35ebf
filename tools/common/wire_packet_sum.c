#include "common/wire_packet.h"

#include <string.h>

uint16_t wire_packet_load16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t wire_packet_load32(const uint8_t *bytes)
{
    return (uint32_t)wire_packet_load16(bytes) << 16 | wire_packet_load16(bytes + 2);
}

void wire_packet_store16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

void wire_packet_store32(uint8_t *bytes, uint32_t value)
{
    wire_packet_store16(bytes, (uint16_t)(value >> 16));
    wire_packet_store16(bytes + 2, (uint16_t)value);
}

uint32_t wire_packet_sum(uint32_t sum, const uint8_t *bytes, size_t length)
{
    size_t i;

    for (i = 0; i + 1 < length; i += 2)
        sum += wire_packet_load16(bytes + i);
    if (i < length)
        sum += (uint32_t)bytes[i] << 8;
    return (sum & 0xffff) + (sum >> 16);
}

uint16_t wire_packet_fold(uint32_t sum)
{
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

uint32_t wire_packet_pseudo_sum(const uint8_t *ip, bool is_v6, uint8_t protocol, size_t segment_bytes)
{
    uint32_t sum = is_v6 ? wire_packet_sum(0, ip + 8, 32) : wire_packet_sum(0, ip + 12, 8);

    return sum + protocol + (uint32_t)segment_bytes;
}

bool wire_packet_ip_sum_is_good(const struct wire_packet_layout *layout, const uint8_t *bytes)
{
    return layout->is_v6 || wire_packet_fold(wire_packet_sum(0, bytes + layout->link_bytes, layout->ip_bytes)) == 0;
}

bool wire_packet_segment_sum_is_good(const struct wire_packet_layout *layout, const uint8_t *bytes)
{
    const uint8_t *ip = bytes + layout->link_bytes;
    uint32_t sum =
        layout->protocol == WIRE_ICMP ? 0 : wire_packet_pseudo_sum(ip, layout->is_v6, layout->protocol, layout->segment_bytes);

    return wire_packet_fold(wire_packet_sum(sum, ip + layout->ip_bytes, layout->segment_bytes)) == 0;
}

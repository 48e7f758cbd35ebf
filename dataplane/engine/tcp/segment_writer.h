/* Writing one segment from a template: in line, as this is done for each segment of each delivery. */
#ifndef DATAPLANE_ENGINE_TCP_SEGMENT_WRITER_H
#define DATAPLANE_ENGINE_TCP_SEGMENT_WRITER_H

#include "engine/tcp/checksum.h"
#include "engine/tcp/internal.h"

#include <assert.h>
#include <string.h>

/* How far ahead header buffers are fetched into the cache. */
#define PREFETCH_HEADERS 4

/* Adds up a 16-bit word as it lies in memory. */
static inline uint32_t word_sum(uint16_t value)
{
    uint8_t bytes[2];
    uint16_t word;

    write_u16(bytes, value);
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Writes the length of a segment with so much payload into the template: it is the same for nearly all segments of a service. */
static inline void write_length(struct output_template *template, uint32_t payload_bytes)
{
    uint8_t *ip = template->bytes + template->link_bytes;
    uint32_t length = TCP_BYTES + payload_bytes;

    template->payload_bytes = payload_bytes;
    template->length_sum = checksum_fold(template->tcp_sum + word_sum((uint16_t)length));
    if (template->is_v6) {
        write_u16(ip + 4, (uint16_t)length);
        return;
    }
    length += IPV4_BYTES;
    write_u16(ip + 2, (uint16_t)length);
    uint16_t sum = checksum_end(template->ip_sum + word_sum((uint16_t)length));
    memcpy(ip + 10, &sum, sizeof sum);
}

/*
 * A card that cuts a segment wants the sum over the pseudo header without the length, not inverted, in place of the checksum; it computes the
 * rest for each segment.
 */
static inline void write_tcp(uint8_t *ip, uint8_t *tcp, const struct output_template *template,
                             const struct output_segment *segment)
{
    uint32_t sum, sequence;
    uint16_t value;

    write_u32(tcp + 4, segment->sequence);
    tcp[13] = segment->flags;
    if (segment->mss != 0) {
        value = checksum_fold(packet_pseudo_sum(ip, template->is_v6, PROTOCOL_TCP));
    } else {
        memcpy(&sequence, tcp + 4, sizeof sequence);
        sum = (uint32_t) template->length_sum + (sequence & UINT16_MAX) + (sequence >> 16) + word_sum(segment->flags) +
              segment->payload_sum;
        sum = (sum & UINT16_MAX) + (sum >> 16); /* a few sums of 16 bits: two steps fold them */
        value = (uint16_t) ~(sum + (sum >> 16));
    }
    memcpy(tcp + 16, &value, sizeof value);
}

/* Adds a segment, for which there must be room. */
static inline void output_send(struct tcp_engine *engine, struct output_template *template, const struct output_segment *segment)
{
    struct output *output = &engine->output;
    uint8_t *header = output->headers[--output->header_count];
    struct port_segment *next = &output->segments[output->segment_count++];
    uint8_t *ip = header + template->link_bytes;
    uint32_t length = template->header_bytes;

    /* Header buffers come back from the card cold. */
    if (output->header_count >= PREFETCH_HEADERS) {
        __builtin_prefetch(output->headers[output->header_count - PREFETCH_HEADERS], 1);
        __builtin_prefetch(output->headers[output->header_count - PREFETCH_HEADERS] + 63, 1);
    }
    if (segment->length != template->payload_bytes)
        write_length(template, segment->length);
    memcpy(header, template->bytes, 64);
    if (length > 64)
        memcpy(header + 64, template->bytes + 64, OUTPUT_HEADER_BYTES - 64);
    write_tcp(ip, ip + template->ip_bytes, template, segment);
    if (segment->copied) {
        assert(length + segment->length <= PORT_HEADER_BYTES);
        memcpy(header + length, segment->copied, segment->length);
        length += segment->length;
    }
    if (!segment->payload && length < ETHERNET_MIN_BYTES) {
        memset(header + length, 0, ETHERNET_MIN_BYTES - length);
        length = ETHERNET_MIN_BYTES;
    }
    *next = (struct port_segment){.header = header,
                                  .payload = segment->payload,
                                  .payload_bytes = segment->payload ? segment->length : 0,
                                  .header_bytes = (uint16_t)length,
                                  .mss = segment->mss,
                                  .link_bytes = template->link_bytes,
                                  .ip_bytes = template->ip_bytes,
                                  .tcp_bytes = TCP_BYTES,
                                  .is_v6 = template->is_v6};
}

#endif

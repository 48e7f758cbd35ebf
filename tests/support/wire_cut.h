/* What a card does with a segment: reads its header and payload, and cuts the payload where it is to (TSO). */
#ifndef TESTS_SUPPORT_WIRE_CUT_H
#define TESTS_SUPPORT_WIRE_CUT_H

#include "engine/tcp/port.h"

/* Receives the packets of a segment, in order. */
typedef void wire_cut_packet(void *context, const uint8_t *bytes, size_t length);

/*
 * Reads the segment into packets and calls `on_packet` for each. Asserts that the lengths which the segment names are those in its headers
 * and, if it is to be cut, that the TCP checksum is the sum of the pseudo-header without length. Short packets are not padded.
 */
void wire_cut(const struct port_segment *segment, wire_cut_packet *on_packet, void *context);

#endif

#include "flashrelay/clock.h"
#include "support/tcp_peer_internal.h"

#include <string.h>

void tcp_peer_violation(struct tcp_peer *peer, const char *what)
{
    if (peer->status.violations++ == 0)
        peer->status.violation = what;
}

void tcp_peer_judge_open(struct tcp_peer *peer, const struct wire_packet *packet)
{
    const struct wire_packet_options *options = &packet->options;

    if (packet->flags != (WIRE_SYN | WIRE_ACK))
        tcp_peer_violation(peer, "the SYN-ACK has other flags, too");
    if (packet->payload_bytes > 0)
        tcp_peer_violation(peer, "the SYN-ACK has data");
    if (!options->has_mss)
        tcp_peer_violation(peer, "the SYN-ACK has no MSS");
    if (options->has_scale && peer->options.scale < 0)
        tcp_peer_violation(peer, "window scaling was not offered, but accepted");
    if (options->has_scale && options->scale > 14)
        tcp_peer_violation(peer, "the window scale is above 14");
    if (options->has_sack_permitted && !peer->options.permits_sack)
        tcp_peer_violation(peer, "SACK was not offered, but accepted");
}

/* True if bytes that are still in the buffer differ from those that came again. */
static bool has_changed(const struct tcp_peer *peer, const struct wire_packet *packet)
{
    const struct tcp_peer_receiver *receiver = &peer->receiver;

    if (tcp_peer_distance(packet->sequence, receiver->next) >= 0)
        return false;
    for (size_t i = 0; i < packet->payload_bytes; i++) {
        uint32_t sequence = packet->sequence + (uint32_t)i;

        if (tcp_peer_distance(sequence, receiver->next) >= 0 || (receiver->has_fin && sequence == receiver->fin))
            return false;
        if (tcp_peer_distance(sequence, receiver->initial) <= 0)
            continue;
        if (tcp_peer_distance(sequence + peer->options.buffer_bytes, receiver->highest) >= 0 &&
            receiver->buffer[tcp_peer_place(peer, sequence)] != packet->payload[i])
            return true;
    }
    return false;
}

/* A peer need not be sent segments shorter than 536 bytes, which every IPv4 host takes, whatever it says. */
static size_t longest_segment(const struct tcp_peer *peer, bool is_v6)
{
    size_t least = is_v6 ? 516 : 536;

    if (peer->options.mss == 0)
        return is_v6 ? 1220 : 536;
    return peer->options.mss > least ? peer->options.mss : least;
}

static void judge_data(struct tcp_peer *peer, const struct wire_packet *packet)
{
    const struct tcp_peer_receiver *receiver = &peer->receiver;
    uint32_t end = packet->sequence + (uint32_t)packet->payload_bytes;
    size_t mss = longest_segment(peer, packet->is_v6);

    if (packet->payload_bytes > mss)
        tcp_peer_violation(peer, "a segment is longer than the MSS offered");
    if (packet->payload_bytes > peer->status.segment_bytes)
        peer->status.segment_bytes = (uint32_t)packet->payload_bytes;
    if (packet->payload_bytes > 0 && tcp_peer_distance(end, receiver->widest_edge) > 0)
        tcp_peer_violation(peer, "data lies outside of the window offered");
    if (packet->payload_bytes > 0 && tcp_peer_distance(packet->sequence, receiver->initial) <= 0)
        tcp_peer_violation(peer, "data lies before the beginning of the stream");
    if (tcp_peer_distance(packet->sequence, receiver->initial) < 0)
        tcp_peer_violation(peer, "the sequence number lies before the SYN");
    if (receiver->has_fin && tcp_peer_distance(end, receiver->fin) > 0 && packet->payload_bytes > 0)
        tcp_peer_violation(peer, "data follows the FIN");
    if (receiver->has_fin && (packet->flags & WIRE_FIN) && end != receiver->fin)
        tcp_peer_violation(peer, "a FIN came again in another place");
    if ((packet->flags & WIRE_FIN) && tcp_peer_distance(receiver->highest, end) > 0 && !receiver->has_fin)
        tcp_peer_violation(peer, "the FIN lies before data that has arrived");
    if (has_changed(peer, packet))
        tcp_peer_violation(peer, "bytes that came again have changed");
}

/* The right edge of a window should not move to the left, but may: RFC 9293, 3.8.6. Only what is newer than all before tells. */
static void watch_window(struct tcp_peer *peer, const struct wire_packet *packet)
{
    struct tcp_peer_sender *sender = &peer->sender;
    uint32_t edge = packet->acknowledgement + ((uint32_t)packet->window << sender->scale);

    if (tcp_peer_distance(packet->acknowledgement, sender->una) > 0 && tcp_peer_distance(edge, sender->other_edge) < 0)
        peer->status.windows_taken_back++;
    if (tcp_peer_distance(edge, sender->other_edge) > 0)
        sender->other_edge = edge;
}

void tcp_peer_judge(struct tcp_peer *peer, const struct wire_packet *packet)
{
    const struct wire_packet_options *options = &packet->options;

    if (options->has_timestamps)
        tcp_peer_violation(peer, "there are timestamps");
    if (packet->flags & WIRE_RST) {
        if (packet->payload_bytes > 0)
            tcp_peer_violation(peer, "a reset has data");
        return;
    }
    if (!(packet->flags & WIRE_ACK)) {
        tcp_peer_violation(peer, "ACK is not set");
        return;
    }
    if (tcp_peer_distance(packet->acknowledgement, peer->sender.highest) > 0)
        tcp_peer_violation(peer, "what was not sent is acknowledged");
    if (packet->flags & WIRE_SYN) {
        if (packet->sequence != peer->receiver.initial)
            tcp_peer_violation(peer, "a second SYN has another sequence number");
        return;
    }
    if (options->has_mss || options->has_scale || options->has_sack_permitted)
        tcp_peer_violation(peer, "an option belongs into the SYN only");
    judge_data(peer, packet);
    watch_window(peer, packet);
}

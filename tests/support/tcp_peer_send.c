#include "flashrelay/clock.h"
#include "support/tcp_peer_internal.h"

#include <string.h>

#define LONGEST_TIMEOUT_NS (60 * NS_PER_S)

/* The window field of the next segment; what it offers is remembered. */
static uint16_t offer_window(struct tcp_peer *peer, bool is_syn)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;
    unsigned scale = is_syn || peer->options.scale < 0 ? 0 : (unsigned)peer->options.scale;
    uint32_t window = receiver->window, kept = receiver->edge - receiver->next, field;

    if (is_syn)
        return (uint16_t)(window < UINT16_MAX ? window : UINT16_MAX);
    if (tcp_peer_distance(receiver->edge, receiver->next) > 0 && kept > window)
        window = kept;
    field = window >> scale < UINT16_MAX ? window >> scale : UINT16_MAX;
    receiver->edge = receiver->next + (field << scale);
    if (tcp_peer_distance(receiver->edge, receiver->widest_edge) > 0)
        receiver->widest_edge = receiver->edge;
    return (uint16_t)field;
}

static void fill_options(struct tcp_peer *peer, struct wire_packet *packet)
{
    struct wire_packet_options *options = &packet->options;

    if (packet->flags & WIRE_SYN) {
        options->has_mss = peer->options.mss > 0;
        options->mss = peer->options.mss;
        options->has_scale = peer->options.scale >= 0;
        options->scale = (uint8_t)peer->options.scale;
        options->has_sack_permitted = peer->options.permits_sack;
        options->has_timestamps = peer->options.offers_timestamps;
        options->timestamp = 1;
    } else if (peer->options.permits_sack && !(packet->flags & WIRE_RST)) {
        tcp_peer_report_ranges(peer, options);
    }
}

void tcp_peer_send_segment(struct tcp_peer *peer, uint8_t flags, uint32_t sequence, uint32_t payload_bytes)
{
    const struct tcp_peer_options *peers = &peer->options;
    uint8_t payload[WIRE_LONGEST_BYTES], frame[WIRE_LONGEST_BYTES];
    struct wire_packet packet = {.vlan = peers->vlan,
                                 .is_v6 = !ip_address_is_v4(&peers->local.ip),
                                 .source = peers->local.ip,
                                 .destination = peers->remote.ip,
                                 .source_port = peers->local.port,
                                 .destination_port = peers->remote.port,
                                 .sequence = sequence,
                                 .flags = flags,
                                 .payload = payload,
                                 .payload_bytes = payload_bytes};

    memcpy(packet.source_mac, peers->local_mac, 6);
    memcpy(packet.destination_mac, peers->remote_mac, 6);
    for (uint32_t i = 0; i < payload_bytes; i++)
        payload[i] = peer->sender.buffer[(sequence + i) % TCP_PEER_SEND_BYTES];
    if (flags & WIRE_ACK) {
        packet.acknowledgement = peer->receiver.next;
        peer->receiver.unacknowledged = 0;
        peer->receiver.ack_ns = CLOCK_NEVER;
    }
    packet.window = offer_window(peer, flags & WIRE_SYN);
    fill_options(peer, &packet);
    peers->send(peers->context, frame, wire_packet_write(&packet, frame));
}

void tcp_peer_send_ack(struct tcp_peer *peer)
{
    peer->status.acks++;
    tcp_peer_send_segment(peer, WIRE_ACK, peer->sender.highest, 0);
}

/* The sequence number after all that is to be sent, with FIN. */
static uint32_t stream_end(const struct tcp_peer_sender *sender)
{
    return sender->end + sender->finishes;
}

/* Sends one segment at `next`, with FIN if it is the last. */
static void send_next(struct tcp_peer *peer, uint32_t limit)
{
    struct tcp_peer_sender *sender = &peer->sender;
    uint32_t length = sender->end - sender->next;
    uint8_t flags = WIRE_ACK;

    if (tcp_peer_distance(sender->end, sender->next) <= 0)
        length = 0;
    length = length < sender->mss ? length : sender->mss;
    length = length < limit ? length : limit;
    if (sender->next + length == sender->end)
        flags |= (uint8_t)((length > 0 ? WIRE_PSH : 0) | (sender->finishes ? WIRE_FIN : 0));
    tcp_peer_send_segment(peer, flags, sender->next, length);
    sender->next += length + ((flags & WIRE_FIN) ? 1 : 0);
    if (tcp_peer_distance(sender->next, sender->highest) > 0)
        sender->highest = sender->next;
}

static void set_timer(struct tcp_peer_sender *sender, uint64_t now_ns)
{
    if (sender->una == stream_end(sender))
        sender->retransmit_ns = CLOCK_NEVER;
    else if (sender->retransmit_ns == CLOCK_NEVER)
        sender->retransmit_ns = now_ns + sender->timeout_ns;
}

void tcp_peer_send_more(struct tcp_peer *peer, uint64_t now_ns)
{
    struct tcp_peer_sender *sender = &peer->sender;

    if (!peer->status.is_connected || peer->is_silent)
        return;
    while (tcp_peer_distance(stream_end(sender), sender->next) > 0) {
        int32_t room = tcp_peer_distance(sender->una + sender->window, sender->next);

        if (room <= 0 && sender->next != sender->end)
            break;
        send_next(peer, room > 0 ? (uint32_t)room : 0);
    }
    set_timer(sender, now_ns);
}

void tcp_peer_acknowledged(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns)
{
    struct tcp_peer_sender *sender = &peer->sender;
    uint32_t acknowledged = packet->acknowledgement;

    if (!(packet->flags & WIRE_ACK) || tcp_peer_distance(acknowledged, sender->highest) > 0)
        return;
    if (tcp_peer_distance(packet->sequence, sender->window_sequence) >= 0 &&
        tcp_peer_distance(acknowledged, sender->window_acknowledgement) >= 0) {
        sender->window = (uint32_t)packet->window << sender->scale;
        sender->window_sequence = packet->sequence;
        sender->window_acknowledgement = acknowledged;
    }
    if (tcp_peer_distance(acknowledged, sender->una) <= 0)
        return;
    sender->una = acknowledged;
    if (tcp_peer_distance(sender->una, sender->next) > 0)
        sender->next = sender->una;
    sender->timeout_ns = 200 * NS_PER_MS;
    sender->retransmit_ns = CLOCK_NEVER;
    peer->status.has_finished = sender->finishes && sender->una == stream_end(sender);
    peer->status.acknowledged_bytes = sender->una - sender->initial - 1 - peer->status.has_finished;
    set_timer(sender, now_ns);
}

void tcp_peer_time_out(struct tcp_peer *peer, uint64_t now_ns)
{
    struct tcp_peer_sender *sender = &peer->sender;

    peer->status.retransmissions++;
    sender->timeout_ns = sender->timeout_ns < LONGEST_TIMEOUT_NS / 2 ? 2 * sender->timeout_ns : LONGEST_TIMEOUT_NS;
    sender->retransmit_ns = now_ns + sender->timeout_ns;
    if (!peer->status.is_connected) {
        tcp_peer_send_segment(peer, WIRE_SYN, sender->initial, 0);
        return;
    }
    sender->next = sender->una;
    send_next(peer, sender->window > 0 ? sender->window : 1);
}

size_t tcp_peer_write(struct tcp_peer *peer, const void *bytes, size_t length, uint64_t now_ns)
{
    struct tcp_peer_sender *sender = &peer->sender;
    size_t room = TCP_PEER_SEND_BYTES - (size_t)(sender->end - sender->una);
    size_t taken = length < room ? length : room;

    for (size_t i = 0; i < taken; i++)
        sender->buffer[(sender->end + i) % TCP_PEER_SEND_BYTES] = ((const uint8_t *)bytes)[i];
    sender->end += (uint32_t)taken;
    tcp_peer_send_more(peer, now_ns);
    return taken;
}

void tcp_peer_finish(struct tcp_peer *peer, uint64_t now_ns)
{
    peer->sender.finishes = true;
    tcp_peer_send_more(peer, now_ns);
}

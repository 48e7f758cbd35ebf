#include "support/tcp_peer.h"

#include "flashrelay/clock.h"
#include "support/tcp_peer_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int tcp_peer_create(struct tcp_peer **out, const struct tcp_peer_options *options)
{
    struct tcp_peer *peer = calloc(1, sizeof *peer);

    if (!peer)
        return -ENOMEM;
    peer->options = *options;
    peer->receiver.buffer = malloc(options->buffer_bytes);
    peer->receiver.window = options->buffer_bytes;
    peer->receiver.ack_ns = CLOCK_NEVER;
    peer->sender = (struct tcp_peer_sender){.buffer = malloc(TCP_PEER_SEND_BYTES),
                                            .initial = options->initial_sequence,
                                            .una = options->initial_sequence,
                                            .next = options->initial_sequence,
                                            .highest = options->initial_sequence,
                                            .end = options->initial_sequence + 1,
                                            .timeout_ns = NS_PER_S,
                                            .retransmit_ns = CLOCK_NEVER};
    if (!peer->receiver.buffer || !peer->sender.buffer) {
        tcp_peer_destroy(peer);
        return -ENOMEM;
    }
    *out = peer;
    return 0;
}

void tcp_peer_destroy(struct tcp_peer *peer)
{
    if (!peer)
        return;
    free(peer->receiver.buffer);
    free(peer->sender.buffer);
    free(peer);
}

void tcp_peer_connect(struct tcp_peer *peer, uint64_t now_ns)
{
    peer->was_opened = true;
    tcp_peer_send_segment(peer, WIRE_SYN, peer->sender.initial, 0);
    peer->sender.next = peer->sender.highest = peer->sender.initial + 1;
    peer->sender.retransmit_ns = now_ns + peer->sender.timeout_ns;
}

/* Answers a segment that belongs to no connection of ours (RFC 9293, 3.10.7.3). */
static void refuse(struct tcp_peer *peer, const struct wire_packet *packet)
{
    tcp_peer_send_segment(peer, WIRE_RST, packet->acknowledgement, 0);
}

static void open_connection(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns)
{
    struct tcp_peer_sender *sender = &peer->sender;
    struct tcp_peer_receiver *receiver = &peer->receiver;

    tcp_peer_judge_open(peer, packet);
    receiver->initial = packet->sequence;
    receiver->next = receiver->highest = packet->sequence + 1;
    receiver->edge = receiver->widest_edge = receiver->next + (receiver->window < UINT16_MAX ? receiver->window : UINT16_MAX);
    sender->una = packet->acknowledgement;
    sender->scale = peer->options.scale >= 0 && packet->options.has_scale ? packet->options.scale : 0;
    sender->mss = packet->options.has_mss ? packet->options.mss : packet->is_v6 ? 1220 : 536;
    sender->window = packet->window;
    sender->window_sequence = packet->sequence;
    sender->window_acknowledgement = packet->acknowledgement;
    sender->other_edge = packet->acknowledgement + packet->window;
    sender->timeout_ns = 200 * NS_PER_MS;
    sender->retransmit_ns = CLOCK_NEVER;
    peer->status.is_connected = true;
    tcp_peer_send_ack(peer);
    tcp_peer_send_more(peer, now_ns);
}

/* RFC 9293, 3.10.7.3. */
static void receive_opening(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns)
{
    bool acknowledges = (packet->flags & WIRE_ACK) && packet->acknowledgement == peer->sender.initial + 1;

    if (packet->flags & WIRE_RST) {
        peer->status.is_reset = acknowledges;
        peer->is_silent = acknowledges;
    } else if (acknowledges && (packet->flags & WIRE_SYN)) {
        open_connection(peer, packet, now_ns);
    } else {
        refuse(peer, packet);
    }
}

/* RFC 5961, 3.2: a reset must have the sequence number that is expected next. */
static void receive_reset(struct tcp_peer *peer, const struct wire_packet *packet)
{
    if (packet->sequence == peer->receiver.next) {
        peer->status.is_reset = true;
        peer->is_silent = true;
    } else if (tcp_peer_distance(packet->sequence, peer->receiver.next) > 0 &&
               tcp_peer_distance(packet->sequence, peer->receiver.widest_edge) <= 0) {
        tcp_peer_send_ack(peer);
    }
}

static void receive_open(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns)
{
    tcp_peer_judge(peer, packet);
    if (packet->flags & WIRE_RST) {
        receive_reset(peer, packet);
        return;
    }
    if (packet->flags & WIRE_SYN) {
        tcp_peer_send_ack(peer);
        return;
    }
    tcp_peer_acknowledged(peer, packet, now_ns);
    tcp_peer_receive(peer, packet, now_ns);
    tcp_peer_send_more(peer, now_ns);
}

static bool is_for(const struct tcp_peer *peer, const struct wire_packet *packet)
{
    return packet->destination_port == peer->options.local.port && packet->source_port == peer->options.remote.port &&
           ip_address_equal(&packet->destination, &peer->options.local.ip) &&
           ip_address_equal(&packet->source, &peer->options.remote.ip);
}

bool tcp_peer_input(struct tcp_peer *peer, const uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct wire_packet packet;
    const char *error;
    enum wire_packet_verdict verdict = wire_packet_parse(&packet, bytes, length, &error);

    if (verdict == WIRE_OTHER)
        return false;
    if (verdict == WIRE_CORRUPT) {
        peer->status.corrupt++;
        return true;
    }
    if (!is_for(peer, &packet))
        return false;
    if (verdict == WIRE_MALFORMED)
        tcp_peer_violation(peer, error);
    peer->status.packets++;
    if (peer->is_silent || !peer->was_opened)
        return true;
    if (peer->status.is_connected)
        receive_open(peer, &packet, now_ns);
    else
        receive_opening(peer, &packet, now_ns);
    return true;
}

uint64_t tcp_peer_next_ns(const struct tcp_peer *peer)
{
    uint64_t retransmit_ns = peer->sender.retransmit_ns, ack_ns = peer->receiver.ack_ns;

    if (peer->is_silent)
        return CLOCK_NEVER;
    return retransmit_ns < ack_ns ? retransmit_ns : ack_ns;
}

void tcp_peer_tick(struct tcp_peer *peer, uint64_t now_ns)
{
    if (peer->is_silent)
        return;
    if (peer->receiver.ack_ns <= now_ns)
        tcp_peer_send_ack(peer);
    if (peer->sender.retransmit_ns <= now_ns)
        tcp_peer_time_out(peer, now_ns);
}

void tcp_peer_reset(struct tcp_peer *peer)
{
    tcp_peer_send_segment(peer, WIRE_RST, peer->sender.highest, 0);
    peer->is_silent = true;
}

void tcp_peer_vanish(struct tcp_peer *peer)
{
    peer->is_silent = true;
}

const struct tcp_peer_status *tcp_peer_status(const struct tcp_peer *peer)
{
    return &peer->status;
}

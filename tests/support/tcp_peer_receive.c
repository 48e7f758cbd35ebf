#include "flashrelay/clock.h"
#include "support/tcp_peer_internal.h"

#include <string.h>

/* Copies bytes into the buffer, from `sequence` on. */
static void store(struct tcp_peer *peer, uint32_t sequence, const uint8_t *bytes, uint32_t length)
{
    uint32_t offset = tcp_peer_place(peer, sequence);
    uint32_t before_end = peer->options.buffer_bytes - offset;

    before_end = length < before_end ? length : before_end;
    memcpy(peer->receiver.buffer + offset, bytes, before_end);
    memcpy(peer->receiver.buffer, bytes + before_end, length - before_end);
    if (tcp_peer_distance(sequence + length, peer->receiver.highest) > 0)
        peer->receiver.highest = sequence + length;
}

static void remove_range(struct tcp_peer_receiver *receiver, unsigned index)
{
    receiver->range_count--;
    memmove(&receiver->ranges[index], &receiver->ranges[index + 1], (receiver->range_count - index) * sizeof *receiver->ranges);
}

/* Adds [left, right), which touches or overlaps some ranges or none. False if there are too many ranges. */
static bool add_range(struct tcp_peer_receiver *receiver, uint32_t left, uint32_t right)
{
    unsigned at = 0;

    while (at < receiver->range_count && tcp_peer_distance(receiver->ranges[at].right, left) < 0)
        at++;
    while (at < receiver->range_count && tcp_peer_distance(receiver->ranges[at].left, right) <= 0) {
        if (tcp_peer_distance(receiver->ranges[at].left, left) < 0)
            left = receiver->ranges[at].left;
        if (tcp_peer_distance(receiver->ranges[at].right, right) > 0)
            right = receiver->ranges[at].right;
        remove_range(receiver, at);
    }
    if (receiver->range_count == TCP_PEER_RANGES)
        return false;
    memmove(&receiver->ranges[at + 1], &receiver->ranges[at], (receiver->range_count - at) * sizeof *receiver->ranges);
    receiver->ranges[at] = (struct tcp_peer_range){left, right, ++receiver->touches};
    receiver->range_count++;
    return true;
}

/* Hands over what is in order now. */
static void deliver(struct tcp_peer *peer)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;

    while (receiver->range_count > 0 && receiver->ranges[0].left == receiver->next) {
        while (receiver->next != receiver->ranges[0].right) {
            uint32_t offset = tcp_peer_place(peer, receiver->next);
            uint32_t length = receiver->ranges[0].right - receiver->next;

            if (length > peer->options.buffer_bytes - offset)
                length = peer->options.buffer_bytes - offset;
            peer->status.received_bytes += length;
            receiver->next += length;
            if (peer->options.on_bytes)
                peer->options.on_bytes(peer->options.context, receiver->buffer + offset, length);
        }
        remove_range(receiver, 0);
    }
}

/* How many bytes of [left, right) have arrived before, and remembers the first run of them for the next ACK. */
static uint32_t count_duplicates(struct tcp_peer *peer, uint32_t left, uint32_t right)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;
    uint32_t count = 0;

    for (int i = -1; i < (int)receiver->range_count; i++) {
        uint32_t from = i < 0 ? left : receiver->ranges[i].left, to = i < 0 ? receiver->next : receiver->ranges[i].right;

        from = tcp_peer_distance(from, left) < 0 ? left : from;
        to = tcp_peer_distance(to, right) > 0 ? right : to;
        if (tcp_peer_distance(to, from) <= 0)
            continue;
        if (count == 0)
            receiver->duplicate = (struct wire_packet_sack){from, to};
        count += to - from;
    }
    return count;
}

/* Takes the part of the payload that is new and offered. True if it is to be acknowledged at once. */
static bool take_payload(struct tcp_peer *peer, const struct wire_packet *packet)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;
    uint32_t left = packet->sequence, right = left + (uint32_t)packet->payload_bytes;
    uint32_t duplicates = count_duplicates(peer, left, right);
    bool had_holes = receiver->range_count > 0;
    bool is_in_order = left == receiver->next;

    peer->status.duplicate_bytes += duplicates;
    if (tcp_peer_distance(left, receiver->next) < 0)
        left = receiver->next;
    if (tcp_peer_distance(right, receiver->edge) > 0)
        right = receiver->edge;
    if (tcp_peer_distance(right, left) <= 0)
        return true;
    if (!add_range(receiver, left, right))
        return true;
    store(peer, left, packet->payload + (left - packet->sequence), right - left);
    deliver(peer);
    return duplicates > 0 || had_holes || !is_in_order;
}

/* True if a FIN was new or came again. */
static bool take_fin(struct tcp_peer *peer, const struct wire_packet *packet)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;

    if (packet->flags & WIRE_FIN) {
        receiver->has_fin = true;
        receiver->fin = packet->sequence + (uint32_t)packet->payload_bytes;
    }
    if (receiver->has_fin && receiver->next == receiver->fin) {
        receiver->next = receiver->fin + 1;
        peer->status.other_has_finished = true;
    }
    return packet->flags & WIRE_FIN;
}

void tcp_peer_receive(struct tcp_peer *peer, const struct wire_packet *packet, uint64_t now_ns)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;
    bool at_once = tcp_peer_distance(packet->sequence, receiver->next) < 0;

    if (packet->payload_bytes > 0) {
        at_once |= take_payload(peer, packet);
        receiver->unacknowledged++;
    }
    at_once |= take_fin(peer, packet);
    if (at_once || receiver->unacknowledged >= peer->options.ack_every)
        tcp_peer_send_ack(peer);
    else if (receiver->unacknowledged > 0 && receiver->ack_ns == CLOCK_NEVER)
        receiver->ack_ns = now_ns + peer->options.ack_delay_ns;
}

void tcp_peer_report_ranges(struct tcp_peer *peer, struct wire_packet_options *options)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;
    uint64_t before = UINT64_MAX;

    if (peer->options.sends_dsack && receiver->duplicate.left != receiver->duplicate.right)
        options->sacks[options->sack_count++] = receiver->duplicate;
    receiver->duplicate = (struct wire_packet_sack){0};
    while (options->sack_count < WIRE_SACK_BLOCKS) {
        const struct tcp_peer_range *latest = NULL;

        for (unsigned i = 0; i < receiver->range_count; i++)
            if (receiver->ranges[i].touched < before && (!latest || receiver->ranges[i].touched > latest->touched))
                latest = &receiver->ranges[i];
        if (!latest)
            return;
        before = latest->touched;
        options->sacks[options->sack_count++] = (struct wire_packet_sack){latest->left, latest->right};
    }
}

void tcp_peer_set_window(struct tcp_peer *peer, uint32_t window_bytes, bool takes_back)
{
    struct tcp_peer_receiver *receiver = &peer->receiver;
    bool opens = window_bytes > receiver->window;

    receiver->window = window_bytes < peer->options.buffer_bytes ? window_bytes : peer->options.buffer_bytes;
    if (takes_back)
        receiver->edge = receiver->next;
    if ((opens || takes_back) && peer->status.is_connected && !peer->is_silent)
        tcp_peer_send_ack(peer);
}

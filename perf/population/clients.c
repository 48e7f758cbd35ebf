/* What clients make of the packets that they are sent. */
#include "population/internal.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

/* Most segments that a client leaves unacknowledged when it acknowledges every burst: as many as its counter holds. */
#define MAX_UNACKNOWLEDGED UINT8_MAX

/* A segment on its way to a client; a TSO packet is split into them. */
struct segment {
    uint32_t sequence;
    uint32_t length;
    const uint8_t *payload; /* in the log; NULL: it lies behind the headers */
    const uint8_t *copied;  /* behind the headers: control bytes, or a short piece of a frame */
    uint8_t flags;
};

static bool is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* --- records of gaps --- */

static struct record *record_of(const struct population *population, const struct client *client)
{
    return client->has_record ? &population->records[client->offset] : NULL;
}

/* Gives a client a record. False if none is free. */
static bool take_record(struct population *population, struct client *client)
{
    uint32_t number = number_pool_take(&population->free_records);

    if (number == 0)
        return false;
    population->records[number] = (struct record){.place = {client->frame, client->offset}};
    client->has_record = true;
    client->offset = number;
    return true;
}

static void release_record(struct population *population, struct client *client)
{
    const struct record *record = &population->records[client->offset];

    number_pool_give(&population->free_records, client->offset);
    client->has_record = false;
    client->frame = record->place.frame;
    client->offset = record->place.offset;
}

void client_open(struct population *population, uint32_t number)
{
    const struct population_options *options = &population->options;
    struct client *client = &population->clients[number];

    client->state = CLIENT_OPEN;
    client->is_dead = number < options->dead;
    population->figures.open++;
    if (number < options->dead || number - options->dead >= options->stalled)
        return;
    if (!take_record(population, client)) {
        population->figures.records_wanting++;
        return;
    }
    struct record *record = &population->records[client->offset];
    record->is_stalled = true;
    record->window_edge = client->expected + options->stalled_bytes;
}

/* --- answers --- */

/* Copies the ranges behind the gap that changed last. Returns the number of the copy; 0 if there is none. */
static uint16_t copy_sack_blocks(struct population *population, const struct record *record)
{
    uint32_t number = record && record->range_count > 0 ? number_pool_take(&population->free_sacks) : 0;
    struct sack_blocks *blocks = &population->sacks[number];

    if (number == 0)
        return 0;
    blocks->count = RTE_MIN((uint32_t)record->range_count, MAX_SACK_BLOCKS);
    for (uint32_t i = 0; i < blocks->count; i++) {
        blocks->starts[i] = record->ranges[i].start;
        blocks->ends[i] = record->ranges[i].end;
    }
    return (uint16_t)number;
}

static void add_answer(struct population *population, uint32_t number, enum answer_kind kind, uint16_t sack_blocks)
{
    const struct client *client = &population->clients[number];

    delay_line_add(&population->line, &(struct answer){
                                          .client = number,
                                          .acknowledged = client->expected,
                                          .due_us = population->due_us,
                                          .sack_blocks = sack_blocks,
                                          .kind = kind & 0xf,
                                          .after_request = client->has_requested && kind != ANSWER_REQUEST,
                                          .after_finish = client->has_finished,
                                      });
}

void client_answer(struct population *population, uint32_t number, enum answer_kind kind)
{
    add_answer(population, number, kind, 0);
}

void client_acknowledge(struct population *population, uint32_t number)
{
    struct client *client = &population->clients[number];

    client->unacknowledged = 0;
    add_answer(population, number, ANSWER_ACK, copy_sack_blocks(population, record_of(population, client)));
}

void client_end_burst(struct population *population)
{
    uint32_t number = population->burst_client;

    population->burst_client = CLIENT_NONE;
    if (number != CLIENT_NONE && population->options.acks == POPULATION_ACK_PER_BURST &&
        population->clients[number].unacknowledged > 0)
        client_acknowledge(population, number);
}

/* --- payload --- */

/* Takes payload that continues `place`, and checks that it lies where the log has it. */
static void follow(struct population *population, struct place *place, const uint8_t *bytes, uint32_t length)
{
    if (!frames_walk(&population->frames, place, bytes, length))
        population->figures.misplaced++;
}

/*
 * Between frames the sender may have left some out: those are skipped whose successor begins at `bytes`. The first frame that a client is
 * sent tells where it begins.
 */
static void find_frame(struct population *population, struct client *client, struct place *place, const uint8_t *bytes)
{
    const struct known_frame *frame = frames_get(&population->frames, place->frame);
    uint32_t number;

    if (client->has_place && (place->offset > 0 || (frame && frame->bytes == bytes)))
        return;
    if (!frames_find(&population->frames, bytes, client->has_place ? place->frame : 0, &number))
        return;
    if (client->has_place)
        population->figures.skipped_frames += number - place->frame;
    client->has_place = true;
    *place = (struct place){number, 0};
}

/* Removes the ranges that the sequence number has reached, which moves it to their end. */
static void join_ranges(struct population *population, struct client *client, struct record *record)
{
    for (unsigned i = 0; i < record->range_count;) {
        struct received_range range = record->ranges[i];

        if (is_before(client->expected, range.start)) {
            i++;
            continue;
        }
        if (is_before(client->expected, range.end)) {
            client->expected = range.end;
            record->place = range.after;
        }
        for (unsigned j = i + 1; j < record->range_count; j++)
            record->ranges[j - 1] = record->ranges[j];
        record->range_count--;
        i = 0; /* a range before this one may be reached now */
    }
    if (record->range_count == 0 && !record->is_stalled)
        release_record(population, client);
}

/* The place of the next expected byte. */
static struct place place_of(const struct population *population, const struct client *client)
{
    const struct record *record = record_of(population, client);

    return record ? record->place : (struct place){client->frame, client->offset};
}

/*
 * Takes payload that lies behind the headers: a piece of a frame, or else control bytes, which stand between frames. False if it is neither.
 */
static bool follow_copied(struct population *population, const struct client *client, struct place *place, const uint8_t *bytes,
                          uint32_t length)
{
    if (client->has_place && frames_match(&population->frames, *place, bytes, length))
        frames_walk(&population->frames, place, NULL, length);
    else if (client->has_place && place->offset > 0)
        return false;
    else
        population->figures.control_bytes += length;
    return true;
}

/* Takes a segment whose first byte is the expected one, or was received before. */
static void take_in_order(struct population *population, struct client *client, const struct segment *segment)
{
    struct record *record = record_of(population, client);
    struct place place = place_of(population, client);
    uint32_t known = client->expected - segment->sequence, frame;

    if (segment->payload)
        find_frame(population, client, &place, segment->payload + known);
    frame = place.frame;
    if (segment->payload)
        follow(population, &place, segment->payload + known, segment->length - known);
    else if (!follow_copied(population, client, &place, segment->copied + known, segment->length - known))
        population->figures.misplaced++;
    client->expected += segment->length - known;
    if (record) {
        record->place = place;
        join_ranges(population, client, record);
    } else {
        client->frame = place.frame;
        client->offset = place.offset;
    }
    population->figures.frames_completed += place_of(population, client).frame - frame;
}

/* The place of a sequence number beyond the expected one: the gap has frames only. */
static struct place place_behind_gap(const struct population *population, const struct client *client, uint32_t sequence)
{
    struct place place = place_of(population, client);

    frames_walk(&population->frames, &place, NULL, sequence - client->expected);
    return place;
}

/* Puts a range first among the record's, joined with those that it touches. False if there is no room. */
static bool add_range(struct record *record, struct received_range added)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < record->range_count; i++) {
        struct received_range range = record->ranges[i];

        if (is_before(added.end, range.start) || is_before(range.end, added.start)) {
            record->ranges[kept++] = range;
            continue;
        }
        if (is_before(range.start, added.start))
            added.start = range.start;
        if (is_before(added.end, range.end)) {
            added.end = range.end;
            added.after = range.after;
        }
    }
    record->range_count = (uint8_t)kept;
    if (kept == RECORD_RANGES)
        return false;
    for (unsigned i = kept; i > 0; i--)
        record->ranges[i] = record->ranges[i - 1];
    record->ranges[0] = added;
    record->range_count++;
    return true;
}

static void take_behind_gap(struct population *population, struct client *client, const struct segment *segment)
{
    population->figures.out_of_order++;
    if (!client->has_place)
        return; /* as if it was lost: where it belongs is not known */
    struct received_range range = {segment->sequence, segment->sequence + segment->length,
                                   place_behind_gap(population, client, segment->sequence)};
    if (!segment->payload && !frames_match(&population->frames, range.after, segment->copied, segment->length))
        return; /* control bytes: as if they were lost */
    if (!client->has_record && !take_record(population, client)) {
        population->figures.records_wanting++;
        return;
    }
    follow(population, &range.after, segment->payload, segment->length);
    if (!add_range(&population->records[client->offset], range))
        population->figures.records_wanting++;
}

/* --- segments --- */

static bool is_lost(struct population *population)
{
    if (population->loss_threshold == 0 || random_next(&population->random) >= population->loss_threshold)
        return false;
    population->figures.lost++;
    return true;
}

static bool is_beyond_window(struct population *population, const struct client *client, const struct segment *segment)
{
    const struct record *record = record_of(population, client);
    uint32_t edge = record && record->is_stalled ? record->window_edge : client->expected + population->options.window_bytes;

    if (!is_before(edge, segment->sequence + segment->length))
        return false;
    population->figures.beyond_window++;
    return true;
}

static void take_data(struct population *population, uint32_t number, const struct segment *segment)
{
    struct client *client = &population->clients[number];
    uint32_t end = segment->sequence + segment->length;
    bool in_order = segment->sequence == client->expected && !client->has_record;

    population->figures.segments++;
    if (is_lost(population))
        return;
    population->figures.payload_bytes += segment->length;
    if (is_beyond_window(population, client, segment)) {
        client_acknowledge(population, number);
        return;
    }
    if (!is_before(client->expected, end))
        population->figures.duplicates++;
    else if (is_before(client->expected, segment->sequence))
        take_behind_gap(population, client, segment);
    else
        take_in_order(population, client, segment);
    if (client->unacknowledged < MAX_UNACKNOWLEDGED)
        client->unacknowledged++;
    if (!in_order || client->has_record) {
        client_acknowledge(population, number);
        return;
    }
    unsigned acks = population->options.acks;
    if (acks != POPULATION_ACK_PER_BURST && (client->unacknowledged >= acks || segment->flags & RTE_TCP_PSH_FLAG))
        client_acknowledge(population, number);
}

/* Splits the payload of one mbuf as the card would. */
static void take_payload(struct population *population, uint32_t number, struct segment *whole, uint32_t mss, bool is_last)
{
    struct segment segment = {.sequence = whole->sequence, .payload = whole->payload, .copied = whole->copied};

    for (uint32_t left = whole->length; left > 0; left -= segment.length) {
        segment.length = RTE_MIN(left, mss);
        segment.flags = is_last && left <= mss ? whole->flags : whole->flags & (uint8_t)~RTE_TCP_PSH_FLAG;
        take_data(population, number, &segment);
        segment.sequence += segment.length;
        if (segment.payload)
            segment.payload += segment.length;
        else
            segment.copied += segment.length;
    }
    whole->sequence = segment.sequence;
}

/* --- handshake and end --- */

static void take_syn_answer(struct population *population, uint32_t number, const struct rte_tcp_hdr *tcp)
{
    struct client *client = &population->clients[number];

    if (client->state != CLIENT_CONNECTING) {
        population->figures.unknown += client->state == CLIENT_CLOSED;
        return; /* an answer to a SYN that was repeated */
    }
    if (rte_be_to_cpu_32(tcp->recv_ack) != population_client_sequence(population, number)) {
        population->figures.corrupt++;
        return;
    }
    client->state = CLIENT_REQUESTING;
    client->expected = rte_be_to_cpu_32(tcp->sent_seq) + 1;
    client_answer(population, number, ANSWER_ACK);
    client->has_requested = true;
    client_answer(population, number, ANSWER_REQUEST);
}

static void take_upgrade_answer(struct population *population, uint32_t number, const struct segment *segment,
                                const uint8_t *bytes)
{
    struct client *client = &population->clients[number];

    if (segment->sequence != client->expected)
        return;
    client->expected += segment->length;
    population->figures.control_bytes += segment->length;
    if (population_is_accepted(bytes, segment->length)) {
        client_open(population, number);
    } else {
        client->state = CLIENT_ENDED;
        population->figures.refused++;
    }
    client_acknowledge(population, number);
}

static void take_end(struct population *population, uint32_t number, const struct segment *segment)
{
    struct client *client = &population->clients[number];
    bool was_reset = segment->flags & RTE_TCP_RST_FLAG;

    if (client->state == CLIENT_ENDED && client->has_finished)
        return;
    if (!was_reset && segment->sequence != client->expected)
        return; /* something before the FIN is missing */
    population->figures.ended++;
    population->figures.open -= client->state == CLIENT_OPEN;
    if (client->has_record)
        release_record(population, client);
    client->state = CLIENT_ENDED;
    if (!was_reset) {
        client->expected++;
        client_answer(population, number, ANSWER_FIN);
    }
    client->has_finished = true;
}

/* --- packets --- */

/* Reads the whole packet: its headers, checksums, and the bytes of the frame to which its first payload belongs. */
static bool is_intact(const struct population *population, const struct rte_mbuf *packet, const struct client *client)
{
    const struct rte_ether_hdr *link = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(link + 1);
    const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
    const struct known_frame *frame =
        client->has_record || !client->has_place ? NULL : frames_get(&population->frames, client->frame);
    uint16_t sum;

    if (frame && !frames_is_unchanged(frame))
        return false;
    if (packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
        return tcp->cksum == rte_ipv4_phdr_cksum(ip, packet->ol_flags);
    if (rte_ipv4_cksum(ip) != 0 && rte_ipv4_cksum(ip) != 0xffff)
        return false;
    if (rte_raw_cksum_mbuf(packet, sizeof *link + sizeof *ip, packet->pkt_len - (uint32_t)(sizeof *link + sizeof *ip), &sum) != 0)
        return false;
    uint32_t total = sum + (uint32_t)rte_ipv4_phdr_cksum(ip, 0);
    return (uint16_t)(total + (total >> 16)) == 0xffff;
}

static void verify_now_and_then(struct population *population, const struct rte_mbuf *packet, const struct client *client)
{
    if (--population->until_verified > 0)
        return;
    population->until_verified = POPULATION_VERIFY_EVERY;
    population->figures.verified++;
    population->figures.corrupt += !is_intact(population, packet, client);
}

static void take_frames(struct population *population, uint32_t number, const struct rte_mbuf *packet, struct segment *segment,
                        uint32_t behind_headers)
{
    uint32_t mss = packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG ? packet->tso_segsz : UINT32_MAX;

    verify_now_and_then(population, packet, &population->clients[number]);
    if (behind_headers > 0) {
        segment->length = behind_headers;
        take_payload(population, number, segment, mss, !packet->next);
        segment->copied = NULL;
    }
    for (const struct rte_mbuf *mbuf = packet->next; mbuf; mbuf = mbuf->next) {
        segment->payload = rte_pktmbuf_mtod(mbuf, const uint8_t *);
        segment->length = mbuf->data_len;
        take_payload(population, number, segment, mss, !mbuf->next);
    }
}

/* Gives a packet to a client by the client's state. `behind_headers`: bytes of payload in the first mbuf. */
static void take_for(struct population *population, uint32_t number, const struct rte_mbuf *packet, const struct rte_tcp_hdr *tcp,
                     uint32_t behind_headers)
{
    struct client *client = &population->clients[number];
    struct segment segment = {.sequence = rte_be_to_cpu_32(tcp->sent_seq),
                              .flags = tcp->tcp_flags,
                              .copied = (const uint8_t *)tcp + (tcp->data_off >> 4) * 4};
    uint32_t payload_bytes = behind_headers + packet->pkt_len - packet->data_len;

    if (client->is_dead)
        return;
    if (segment.flags & RTE_TCP_SYN_FLAG) {
        take_syn_answer(population, number, tcp);
        return;
    }
    segment.length = payload_bytes;
    if (client->state == CLIENT_REQUESTING && behind_headers > 0)
        take_upgrade_answer(population, number, &segment, segment.copied);
    else if (client->state == CLIENT_OPEN && payload_bytes > 0)
        take_frames(population, number, packet, &segment, behind_headers);
    else if (client->state == CLIENT_OPEN && is_before(segment.sequence, client->expected))
        client_acknowledge(population, number); /* a probe */
    else if (payload_bytes > 0 || client->state < CLIENT_REQUESTING)
        population->figures.unknown++;
    segment.sequence = rte_be_to_cpu_32(tcp->sent_seq) + payload_bytes;
    if (segment.flags & (RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG))
        take_end(population, number, &segment);
}

void client_take_packet(struct population *population, const struct rte_mbuf *packet)
{
    const struct rte_ether_hdr *link = rte_pktmbuf_mtod(packet, const struct rte_ether_hdr *);
    const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(link + 1);
    const struct rte_tcp_hdr *tcp = (const struct rte_tcp_hdr *)(ip + 1);
    uint32_t number, header_bytes, ip_end;

    population->figures.packets++;
    if (link->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4)) {
        population->figures.foreign++;
        return;
    }
    if (packet->data_len < sizeof *link + sizeof *ip + sizeof *tcp || ip->version_ihl != RTE_IPV4_VHL_DEF) {
        population->figures.unknown++;
        return;
    }
    if (flood_has_address(rte_be_to_cpu_32(ip->dst_addr))) {
        population->figures.syns_answered++;
        return;
    }
    number = population_client_of(population, rte_be_to_cpu_32(ip->dst_addr), rte_be_to_cpu_16(tcp->dst_port));
    if (number == CLIENT_NONE) {
        population->figures.unknown++;
        return;
    }
    header_bytes = (uint32_t)(sizeof *link + sizeof *ip) + (uint32_t)(tcp->data_off >> 4) * 4;
    ip_end = (uint32_t)sizeof *link + rte_be_to_cpu_16(ip->total_length);
    /* A short frame is padded behind its end; of a TSO packet the card writes the length. */
    if (header_bytes > packet->data_len ||
        (ip_end != packet->pkt_len && packet->pkt_len > RTE_ETHER_MIN_LEN - RTE_ETHER_CRC_LEN &&
         !(packet->ol_flags & RTE_MBUF_F_TX_TCP_SEG))) {
        population->figures.corrupt++;
        return;
    }
    if (number != population->burst_client) {
        client_end_burst(population);
        population->burst_client = number;
    }
    take_for(population, number, packet, tcp,
             packet->next ? packet->data_len - header_bytes : RTE_MIN(packet->data_len, ip_end) - header_bytes);
}

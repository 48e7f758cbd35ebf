#include "engine/tcp/recovery.h"

#include "engine/tcp/checksum.h"
#include "engine/tcp/congestion.h"
#include "engine/tcp/segment_writer.h"
#include "engine/tcp/stream.h"

#include <assert.h>
#include <string.h>

/* What is sent within this time shares a transmit time. */
#define BURST_TICKS TICKS_OF_MS(1)
/* RFC 5681, 3.2. */
#define DUPLICATE_THRESHOLD 3
/* Most steps of min_rtt / 4 of the reordering window. */
#define MAX_REORDER_STEPS 7

static struct tcp_recovery *block_of(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    return connection->recovery != NO_SLOT ? slab_element(&engine->recoveries, connection->recovery) : NULL;
}

/* --- transmit times --- */

void recovery_begin_flight(struct tcp_engine *engine, struct tcp_connection *connection)
{
    connection->last_advance = engine->now;
    connection->rack_time = engine->now;
    connection->burst_count = 0;
    connection->duplicate_acks = 0;
}

static void merge_closest(struct tcp_connection *connection)
{
    unsigned closest = 0;
    uint32_t least = UINT32_MAX;

    for (unsigned i = 0; i + 1 < TCP_BURSTS; i++) {
        uint32_t distance = connection->bursts[i + 1].sent_at - connection->bursts[i].sent_at;

        if (distance < least) {
            least = distance;
            closest = i;
        }
    }
    /* Under the later time: what was sent earlier is then thought to be younger than it is, and is not given up too soon. */
    memmove(&connection->bursts[closest], &connection->bursts[closest + 1],
            (TCP_BURSTS - 1 - closest) * sizeof connection->bursts[0]);
    connection->burst_count--;
}

void recovery_note_sent(struct tcp_engine *engine, struct tcp_connection *connection)
{
    unsigned count = connection->burst_count;

    if (count > 0 && engine->now - connection->bursts[count - 1].sent_at < BURST_TICKS) {
        connection->bursts[count - 1].end = connection->nxt;
        return;
    }
    if (connection->burst_count == TCP_BURSTS)
        merge_closest(connection);
    connection->bursts[connection->burst_count++] = (struct tcp_burst){.end = connection->nxt, .sent_at = engine->now};
}

/* When the byte at `sequence` was sent for the first time. */
static uint32_t sent_time(const struct tcp_engine *engine, const struct tcp_connection *connection, uint32_t sequence)
{
    for (unsigned i = 0; i < connection->burst_count; i++)
        if (sequence_before(sequence, connection->bursts[i].end))
            return connection->bursts[i].sent_at;
    return engine->now;
}

/* Where the burst ends that the byte at `sequence` was sent in. */
static uint32_t burst_end(const struct tcp_connection *connection, uint32_t sequence)
{
    for (unsigned i = 0; i < connection->burst_count; i++)
        if (sequence_before(sequence, connection->bursts[i].end))
            return connection->bursts[i].end;
    return connection->nxt;
}

static void drop_bursts(struct tcp_connection *connection)
{
    unsigned count = 0;

    while (count < connection->burst_count && !sequence_after(connection->bursts[count].end, connection->una))
        count++;
    if (count == 0)
        return;
    connection->burst_count = (connection->burst_count - count) & 7;
    memmove(&connection->bursts[0], &connection->bursts[count], connection->burst_count * sizeof connection->bursts[0]);
}

/* A segment that was sent at `sent_at` has arrived (RFC 8985, 6.2, step 2). */
static void rack_update(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t sent_at)
{
    if (sequence_before(sent_at, connection->rack_time))
        return;
    connection->rack_time = sent_at;
    connection->rack_rtt = engine->now - sent_at;
}

void recovery_measure(struct tcp_engine *engine, struct tcp_connection *connection)
{
    const struct tcp_burst *newest = NULL;

    for (unsigned i = 0; i < connection->burst_count && !sequence_after(connection->bursts[i].end, connection->una); i++)
        newest = &connection->bursts[i];
    if (newest) {
        rack_update(engine, connection, newest->sent_at);
        if (!connection->recovering && !connection->probe_out)
            congestion_measured(engine, connection, engine->now - newest->sent_at);
    }
    drop_bursts(connection);
}

/* --- the scoreboard --- */

static struct tcp_recovery *take_block(struct tcp_engine *engine, struct tcp_connection *connection)
{
    struct tcp_recovery *block = slab_take(&engine->recoveries);

    if (!block) {
        counter_add(&engine->counters.recovery_blocks_missing, 1);
        return NULL;
    }
    counter_add(&engine->counters.recovery_blocks_used, 1);
    *block = (struct tcp_recovery){.high = connection->una, .flight = tcp_unacknowledged(connection)};
    connection->recovery = slab_number(&engine->recoveries, block);
    return block;
}

void recovery_release(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (connection->recovery == NO_SLOT)
        return;
    slab_give(&engine->recoveries, block_of(engine, connection));
    connection->recovery = NO_SLOT;
    counter_subtract(&engine->counters.recovery_blocks_used, 1);
}

static void remove_hole(struct tcp_recovery *block, unsigned place)
{
    block->hole_count--;
    memmove(&block->holes[place], &block->holes[place + 1], (block->hole_count - place) * sizeof block->holes[0]);
}

/* Makes room for a hole: the two with the fewest bytes between them become one. Some of its bytes may then be sent twice. */
static void merge_holes(struct tcp_recovery *block)
{
    unsigned closest = 0;

    for (unsigned i = 1; i + 1 < block->hole_count; i++)
        if (block->holes[i + 1].start - block->holes[i].end < block->holes[closest + 1].start - block->holes[closest].end)
            closest = i;
    struct tcp_hole *hole = &block->holes[closest], *other = hole + 1;
    if (hole->next == hole->start)
        hole->sent_at = other->sent_at; /* nothing of `hole` was sent again */
    else if (other->next != other->start)
        hole->sent_at = sequence_higher(hole->sent_at, other->sent_at);
    if (hole->next == hole->end)
        hole->next = other->next;
    hole->end = other->end;
    remove_hole(block, closest + 1);
}

static void insert_hole(struct tcp_recovery *block, unsigned place, const struct tcp_hole *hole)
{
    memmove(&block->holes[place + 1], &block->holes[place], (block->hole_count - place) * sizeof block->holes[0]);
    block->holes[place] = *hole;
    block->hole_count++;
}

static uint32_t missing_bytes(const struct tcp_recovery *block)
{
    uint32_t bytes = 0;

    for (unsigned i = 0; i < block->hole_count; i++)
        bytes += block->holes[i].end - block->holes[i].start;
    return bytes;
}

/* Bytes above una that the peer has. */
static uint32_t sacked_bytes(const struct tcp_recovery *block, const struct tcp_connection *connection)
{
    return sequence_after(block->high, connection->una) ? block->high - connection->una - missing_bytes(block) : 0;
}

/* The bytes of `hole` up to `end` have arrived: what does that say of reordering and of round-trip times? */
static void note_arrival(struct tcp_engine *engine, struct tcp_connection *connection, const struct tcp_hole *hole, uint32_t end)
{
    if (sequence_after(end, hole->next)) {
        connection->reordering_seen |= !connection->is_loss;
        rack_update(engine, connection, sent_time(engine, connection, end - 1));
    } else if (engine->now - hole->sent_at >= connection->min_rtt) {
        rack_update(engine, connection, hole->sent_at); /* else the first transmission may have arrived */
    }
}

static void raise_start(struct tcp_hole *hole, uint32_t start)
{
    hole->start = start;
    hole->next = sequence_higher(hole->next, start);
}

/* Removes [start, end), which the peer has, from the holes. */
static void fill_holes(struct tcp_engine *engine, struct tcp_connection *connection, struct tcp_recovery *block, uint32_t start,
                       uint32_t end)
{
    for (unsigned i = 0; i < block->hole_count;) {
        struct tcp_hole *hole = &block->holes[i];

        if (!sequence_after(hole->end, start) || !sequence_before(hole->start, end)) {
            i++;
            continue;
        }
        note_arrival(engine, connection, hole, sequence_lower(end, hole->end));
        if (!sequence_after(start, hole->start) && !sequence_before(end, hole->end)) {
            remove_hole(block, i);
            continue;
        }
        if (!sequence_after(start, hole->start)) {
            raise_start(hole, end);
        } else if (!sequence_before(end, hole->end)) {
            hole->end = start;
            hole->next = sequence_lower(hole->next, start);
        } else {
            struct tcp_hole rest = *hole;

            if (block->hole_count == RECOVERY_HOLES)
                return; /* the middle of a hole: its bytes may be sent twice */
            raise_start(&rest, end);
            hole->end = start;
            hole->next = sequence_lower(hole->next, start);
            insert_hole(block, i + 1, &rest);
            i++;
        }
        i++;
    }
}

/* The peer has [start, end), which lies above una. */
static void note_block(struct tcp_engine *engine, struct tcp_connection *connection, struct tcp_recovery *block, uint32_t start,
                       uint32_t end)
{
    if (sequence_before(start, block->high))
        fill_holes(engine, connection, block, start, sequence_lower(end, block->high));
    if (!sequence_after(end, block->high))
        return;
    if (sequence_after(start, block->high)) {
        const struct tcp_hole hole = {.start = block->high, .end = start, .next = block->high};

        if (block->hole_count == RECOVERY_HOLES)
            merge_holes(block);
        block->holes[block->hole_count++] = hole;
    }
    block->high = end;
    rack_update(engine, connection, sent_time(engine, connection, end - 1));
}

/* A first block below the acknowledgement, or within the second, says what arrived twice (RFC 2883, 4). */
static bool is_duplicate_report(const struct packet *packet)
{
    const struct sack_block *first = &packet->sacks[0], *second = &packet->sacks[1];

    if (packet->sack_count == 0)
        return false;
    if (!sequence_after(first->end, packet->acknowledgement))
        return true;
    return packet->sack_count > 1 && !sequence_before(first->start, second->start) && !sequence_after(first->end, second->end);
}

/* Copies the blocks of an acknowledgement in the order of the stream: they come with the newest first (RFC 2018, 4). */
static void sort_sacks(const struct packet *packet, struct sack_block sorted[PACKET_SACK_BLOCKS])
{
    for (unsigned i = 0; i < packet->sack_count; i++) {
        unsigned place = i;

        for (; place > 0 && sequence_before(packet->sacks[i].start, sorted[place - 1].start); place--)
            sorted[place] = sorted[place - 1];
        sorted[place] = packet->sacks[i];
    }
}

/* Takes over the blocks that lie in [una, nxt); others are lies, or old. False if there are some and no scoreboard for them. */
static bool note_sacks(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet)
{
    struct tcp_recovery *block = block_of(engine, connection);
    struct sack_block sorted[PACKET_SACK_BLOCKS];

    sort_sacks(packet, sorted);
    for (unsigned i = 0; i < packet->sack_count; i++) {
        const struct sack_block *sack = &sorted[i];
        uint32_t start = sequence_higher(sack->start, connection->una);

        if (!sequence_before(sack->start, sack->end) || !sequence_after(sack->end, connection->una) ||
            sequence_after(sack->end, connection->nxt) || sequence_before(sack->start, connection->una))
            continue;
        if (!block)
            block = take_block(engine, connection);
        if (!block)
            return false;
        note_block(engine, connection, block, start, sack->end);
    }
    return true;
}

/* Una has advanced: what lies below it is no hole any more. */
static void trim(struct tcp_engine *engine, struct tcp_connection *connection, struct tcp_recovery *block)
{
    while (block->hole_count > 0 && sequence_before(block->holes[0].start, connection->una)) {
        struct tcp_hole *hole = &block->holes[0];
        uint32_t end = sequence_lower(connection->una, hole->end);

        note_arrival(engine, connection, hole, end);
        if (end == hole->end) {
            remove_hole(block, 0);
            continue;
        }
        raise_start(hole, end);
        break;
    }
    block->high = sequence_higher(block->high, connection->una);
}

/* --- what is lost --- */

static uint32_t reorder_window(const struct tcp_connection *connection, const struct tcp_recovery *block)
{
    uint32_t window;

    if (!connection->reordering_seen &&
        (connection->recovering || sacked_bytes(block, connection) >= DUPLICATE_THRESHOLD * tcp_mss(connection)))
        return 0;
    if (connection->min_rtt == UINT32_MAX)
        return 0;
    window = (connection->reorder_steps + 1u) * (connection->min_rtt / 4);
    return window < connection->srtt ? window : connection->srtt;
}

/* For how many ticks after `sent_at` a segment may still arrive. */
static uint32_t patience(const struct tcp_connection *connection, const struct tcp_recovery *block)
{
    return connection->rack_rtt + reorder_window(connection, block);
}

/* Up to where the bytes of a hole that were sent only once count as lost; at least hole->next. */
static uint32_t lost_end(const struct tcp_engine *engine, const struct tcp_connection *connection,
                         const struct tcp_recovery *block, const struct tcp_hole *hole)
{
    uint32_t lost = hole->next;

    if (connection->is_loss)
        return hole->end;
    while (sequence_before(lost, hole->end)) {
        uint32_t sent_at = sent_time(engine, connection, lost);

        if (sequence_after(sent_at, connection->rack_time) || engine->now - sent_at < patience(connection, block))
            break;
        lost = sequence_lower(burst_end(connection, lost), hole->end);
    }
    return lost;
}

/* What was sent again, and before something that has arrived since, was lost again: it is to be sent once more. */
static void find_lost_again(const struct tcp_engine *engine, const struct tcp_connection *connection, struct tcp_recovery *block)
{
    for (unsigned i = 0; i < block->hole_count; i++) {
        struct tcp_hole *hole = &block->holes[i];

        if (hole->next != hole->start && sequence_before(hole->sent_at, connection->rack_time) &&
            engine->now - hole->sent_at >= patience(connection, block))
            hole->next = hole->start;
    }
}

uint32_t recovery_find_reorder_ticks(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    const struct tcp_recovery *block = block_of(engine, connection);
    uint32_t ticks = 0;

    if (!block || connection->is_loss)
        return 0;
    for (unsigned i = 0; i < block->hole_count; i++) {
        const struct tcp_hole *hole = &block->holes[i];
        uint32_t lost = lost_end(engine, connection, block, hole), sent_at, left;

        if (lost == hole->end)
            continue;
        sent_at = sent_time(engine, connection, lost);
        if (sequence_after(sent_at, connection->rack_time))
            continue;
        left = sent_at + patience(connection, block) - engine->now;
        ticks = ticks == 0 || left < ticks ? left : ticks;
    }
    return ticks;
}

bool recovery_is_due(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    const struct tcp_recovery *block = block_of(engine, connection);

    if (!block || !connection->recovering)
        return false;
    for (unsigned i = 0; i < block->hole_count; i++)
        if (sequence_before(block->holes[i].next, lost_end(engine, connection, block, &block->holes[i])))
            return true;
    return false;
}

uint32_t recovery_in_flight(const struct tcp_engine *engine, const struct tcp_connection *connection)
{
    const struct tcp_recovery *block = block_of(engine, connection);
    uint32_t bytes;

    if (!block)
        return tcp_unacknowledged(connection);
    bytes = connection->nxt - block->high;
    for (unsigned i = 0; i < block->hole_count; i++) {
        const struct tcp_hole *hole = &block->holes[i];

        bytes += hole->next - hole->start + (hole->end - lost_end(engine, connection, block, hole));
    }
    return bytes;
}

/* --- sending again --- */

/*
 * Sends one segment from `sequence` on again, cut as it was cut at first, up to `end`. Returns how many bytes, 0 if there are no buffers or
 * no epoch.
 */
static uint32_t send_again(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t sequence, uint32_t end,
                           enum tcp_retransmit_cause cause)
{
    struct output_segment segment = {.sequence = sequence, .flags = TCP_ACK};
    struct output_template template;
    struct stream_item item;
    uint32_t mss = tcp_mss(connection), offset;

    if (sequence == stream_end(connection)) {
        counter_add(&engine->counters.retransmitted[cause], 1);
        return output_bare(engine, connection, sequence, TCP_FIN | TCP_ACK) ? 1 : 0;
    }
    stream_find(engine, connection, sequence, &item);
    offset = sequence - item.sequence;
    segment.length = sequence_lower(item.end, end) - sequence;
    if (item.is_control)
        mss = mss < CONTROL_RUN_BYTES ? mss : CONTROL_RUN_BYTES;
    if (segment.length > mss - offset % mss)
        segment.length = mss - offset % mss;
    if (sequence + segment.length == item.end)
        segment.flags |= TCP_PSH;
    segment.payload_sum = checksum_fold(checksum_add(item.bytes + offset, segment.length));
    if (!output_has_room(engine, 1))
        return 0;
    if (item.is_control || segment.length <= OUTPUT_COPIED_BYTES)
        segment.copied = item.bytes + offset;
    else if (!output_hold(engine, connection->base.channel, item.frame, 1))
        return 0;
    else
        segment.payload = item.bytes + offset;
    output_prepare(engine, connection, &template);
    output_send(engine, &template, &segment);
    counter_add(&engine->counters.segments_sent, 1);
    counter_add(&engine->counters.retransmitted[cause], 1);
    return segment.length;
}

void recovery_send(struct tcp_engine *engine, struct tcp_connection *connection, unsigned *segments)
{
    struct tcp_recovery *block = block_of(engine, connection);
    enum tcp_retransmit_cause cause = connection->is_loss ? RETRANSMIT_TIMEOUT : RETRANSMIT_RACK;
    uint32_t in_flight = recovery_in_flight(engine, connection), mss = tcp_mss(connection);

    for (unsigned i = 0; i < block->hole_count; i++) {
        struct tcp_hole *hole = &block->holes[i];
        uint32_t lost = lost_end(engine, connection, block, hole);

        while (sequence_before(hole->next, lost)) {
            uint32_t sent;

            if (*segments == 0 || (in_flight + mss > connection->cwnd && in_flight > 0))
                return;
            sent = send_again(engine, connection, hole->next, lost, cause);
            if (sent == 0)
                return;
            hole->next += sent;
            hole->sent_at = engine->now;
            block->sent += sent;
            in_flight += sent;
            (*segments)--;
        }
    }
}

/* --- recoveries --- */

static void begin(struct tcp_engine *engine, struct tcp_connection *connection, bool is_loss)
{
    struct tcp_recovery *block = block_of(engine, connection);

    if (!connection->recovering || (is_loss && !connection->is_loss))
        congestion_lost(connection);
    connection->recovering = true;
    connection->is_loss = is_loss;
    connection->probe_out = false;
    connection->recovery_point = connection->nxt;
    connection->cwnd_limited = true;
    counter_add(&engine->counters.recoveries, 1);
    if (!block)
        return;
    block->delivered = block->sent = 0;
    block->flight = tcp_unacknowledged(connection);
    block->has_duplicate = false;
}

static void end(struct tcp_engine *engine, struct tcp_connection *connection)
{
    struct tcp_recovery *block = block_of(engine, connection);

    if (!connection->is_loss || connection->cwnd > connection->ssthresh)
        connection->cwnd = connection->ssthresh;
    if (block && !block->has_duplicate && connection->reorder_steps > 0)
        connection->reorder_steps--;
    connection->recovering = connection->is_loss = false;
    connection->duplicate_acks = 0;
}

/* Proportional rate reduction (RFC 6937, 3): `delivered` bytes have left the network. */
static void reduce_rate(const struct tcp_engine *engine, struct tcp_connection *connection, struct tcp_recovery *block,
                        uint32_t delivered)
{
    uint32_t in_flight = recovery_in_flight(engine, connection), mss = tcp_mss(connection), allowed;

    block->delivered += delivered;
    if (in_flight > connection->ssthresh) {
        uint64_t wanted = ((uint64_t)block->delivered * connection->ssthresh + block->flight - 1) / block->flight;

        allowed = wanted > block->sent ? (uint32_t)(wanted - block->sent) : 0;
    } else {
        uint32_t owed = block->delivered > block->sent ? block->delivered - block->sent : 0;

        allowed = (owed > delivered ? owed : delivered) + mss;
        if (allowed > connection->ssthresh - in_flight)
            allowed = connection->ssthresh - in_flight;
    }
    if (block->sent == 0 && allowed < mss)
        allowed = mss; /* the first segment is sent again at once */
    connection->cwnd = in_flight + allowed;
}

/* Without a scoreboard: RFC 6582. `is_duplicate`: the acknowledgement says that something has arrived behind a gap. */
static void acknowledged_without_sacks(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t advanced,
                                       bool is_duplicate)
{
    uint32_t mss = tcp_mss(connection);

    if (connection->recovering && advanced == 0) {
        connection->cwnd += connection->is_loss || !is_duplicate ? 0 : mss;
    } else if (connection->recovering) {
        if (connection->is_loss)
            congestion_acknowledged(engine, connection, advanced);
        else
            connection->cwnd = connection->cwnd > advanced ? connection->cwnd - advanced + mss : mss;
        send_again(engine, connection, connection->una, connection->nxt, RETRANSMIT_DUPLICATE);
    } else if (is_duplicate && ++connection->duplicate_acks == DUPLICATE_THRESHOLD) {
        begin(engine, connection, false);
        connection->cwnd = connection->ssthresh + DUPLICATE_THRESHOLD * mss;
        send_again(engine, connection, connection->una, connection->nxt, RETRANSMIT_DUPLICATE);
    } else if (advanced > 0) {
        connection->duplicate_acks = 0;
        congestion_acknowledged(engine, connection, advanced);
    }
}

static void acknowledged_with_block(struct tcp_engine *engine, struct tcp_connection *connection, struct tcp_recovery *block,
                                    uint32_t delivered, uint32_t advanced)
{
    find_lost_again(engine, connection, block);
    if (!connection->recovering) {
        bool is_lost = false;

        for (unsigned i = 0; i < block->hole_count && !is_lost; i++)
            is_lost = lost_end(engine, connection, block, &block->holes[i]) != block->holes[i].next;
        if (is_lost)
            begin(engine, connection, false);
        else
            congestion_acknowledged(engine, connection, advanced);
    }
    if (connection->recovering && connection->is_loss)
        congestion_acknowledged(engine, connection, advanced);
    else if (connection->recovering)
        reduce_rate(engine, connection, block, delivered);
}

void recovery_judge_probe(struct tcp_connection *connection, const struct packet *packet, uint32_t advanced)
{
    bool has_duplicate = connection->sack && is_duplicate_report(packet);

    if (!connection->probe_out || sequence_before(connection->una, connection->recovery_point))
        return;
    if (connection->probe_is_new) {
        connection->probe_out = false;
        return;
    }
    if (connection->una == connection->recovery_point && !has_duplicate && advanced > 0)
        return; /* the original and the probe may both be on their way back */
    connection->probe_out = false;
    if (has_duplicate || connection->una == connection->recovery_point)
        return;
    congestion_lost(connection);
    connection->cwnd = connection->ssthresh;
}

void recovery_acknowledged(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet,
                           uint32_t advanced)
{
    struct tcp_recovery *block = block_of(engine, connection);
    bool has_duplicate = connection->sack && is_duplicate_report(packet);
    uint32_t sacked = 0, delivered = advanced;
    bool is_duplicate = advanced == 0;

    if (block) {
        /* Before una advanced there were so many bytes more below the highest one. */
        sacked = sequence_after(block->high, connection->una - advanced)
                     ? block->high - (connection->una - advanced) - missing_bytes(block)
                     : 0;
        trim(engine, connection, block);
    }
    if (connection->sack)
        is_duplicate = !note_sacks(engine, connection, packet) && is_duplicate;
    block = block_of(engine, connection);
    if (block) {
        uint32_t now_sacked = sacked_bytes(block, connection);

        delivered = advanced + now_sacked > sacked ? advanced + now_sacked - sacked : 0;
        if (has_duplicate && !block->has_duplicate && connection->reorder_steps < MAX_REORDER_STEPS)
            connection->reorder_steps++;
        block->has_duplicate |= has_duplicate;
    }
    recovery_judge_probe(connection, packet, advanced);
    if (connection->recovering && !sequence_before(connection->una, connection->recovery_point))
        end(engine, connection);
    if (block)
        acknowledged_with_block(engine, connection, block, delivered, advanced);
    else
        acknowledged_without_sacks(engine, connection, advanced, is_duplicate);
    if (block && !connection->recovering && block->hole_count == 0)
        recovery_release(engine, connection);
}

/* --- timers --- */

void recovery_time_out(struct tcp_engine *engine, struct tcp_connection *connection)
{
    struct tcp_recovery *block = block_of(engine, connection);
    uint32_t mss = tcp_mss(connection);

    counter_add(&engine->counters.timeouts, 1);
    begin(engine, connection, true);
    if (!block)
        block = take_block(engine, connection);
    connection->cwnd = mss;
    if (!block) {
        send_again(engine, connection, connection->una, connection->nxt, RETRANSMIT_TIMEOUT);
        return;
    }
    *block = (struct tcp_recovery){.high = connection->nxt, .flight = tcp_unacknowledged(connection), .hole_count = 1};
    block->holes[0] = (struct tcp_hole){.start = connection->una, .end = connection->nxt, .next = connection->una};
    connection->rack_time = engine->now;
}

void recovery_reorder_time_out(struct tcp_engine *engine, struct tcp_connection *connection)
{
    struct tcp_recovery *block = block_of(engine, connection);

    if (block)
        acknowledged_with_block(engine, connection, block, 0, 0);
}

/* The bytes from `from` on were sent now, for the last time: an acknowledgement of them is one of the probe. */
static void note_probe(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t from)
{
    unsigned count = 0;

    while (count < connection->burst_count && sequence_before(connection->bursts[count].end, from))
        count++;
    if (count < connection->burst_count && from != connection->una)
        connection->bursts[count++].end = from;
    connection->burst_count = count & 7;
    if (count == TCP_BURSTS)
        merge_closest(connection);
    connection->bursts[connection->burst_count++] = (struct tcp_burst){.end = connection->nxt, .sent_at = engine->now};
}

void recovery_probe(struct tcp_engine *engine, struct tcp_connection *connection)
{
    uint32_t last = connection->nxt - 1, mss = tcp_mss(connection), offset;
    struct stream_item item;

    counter_add(&engine->counters.probes, 1);
    connection->probe_out = true;
    connection->probe_is_new = false;
    connection->recovery_point = connection->nxt;
    if (last != stream_end(connection)) {
        stream_find(engine, connection, last, &item);
        offset = last - item.sequence;
        last = item.sequence + offset - offset % mss;
        last = sequence_higher(last, connection->una);
    }
    if (send_again(engine, connection, last, connection->nxt, RETRANSMIT_PROBE) > 0)
        note_probe(engine, connection, last);
}

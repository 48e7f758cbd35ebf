/* A link: two ends and a stream of segments in each direction, with all that a network does to them. */
#include "engine/sim/sim.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYN_RETRY_NS       (1 * NS_PER_S)
#define LATEST_NOTIFIED_NS (4 * NS_PER_S)
#define RESET_NEVER_S      1000 /* no run lasts so long */
#define RST_DROP_PERMILLE  500

static uint8_t peer_of(uint8_t side)
{
    return side ^ 1;
}

static struct sim_segment *first_segment(struct list_node *segments)
{
    struct list_node *node = list_first(segments);

    return node ? LIST_ENTRY(node, struct sim_segment, node) : NULL;
}

static void segment_destroy(struct sim_segment *segment)
{
    list_remove(&segment->node);
    free(segment);
}

static void destroy_notifications(struct list_node *notifications)
{
    for (struct list_node *node = notifications->next, *next; node != notifications; node = next) {
        next = node->next;
        free(LIST_ENTRY(node, struct sim_notification, node));
    }
    list_init(notifications);
}

static void destroy_segments(struct list_node *segments)
{
    for (struct list_node *node = segments->next, *next; node != segments; node = next) {
        next = node->next;
        free(LIST_ENTRY(node, struct sim_segment, node));
    }
    list_init(segments);
}

/* Draws when the network resets a new link by itself: with the chance of the options in each second. */
static void schedule_network_reset(struct sim_link *link)
{
    struct sim_network *network = link->network;
    uint64_t seconds = 0;

    if (network->options.reset_permille_per_s == 0)
        return;
    while (seconds < RESET_NEVER_S && !sim_chance(network, network->options.reset_permille_per_s))
        seconds++;
    sim_schedule(link, SIM_EVENT_NETWORK_RESET, 0,
                 network->now_ns + seconds * NS_PER_S + random_below(&network->random, NS_PER_S));
}

struct sim_link *sim_link_create(struct sim_network *network)
{
    struct sim_link *link = sim_allocate(sizeof *link);

    link->network = network;
    for (unsigned side = 0; side < 2; side++) {
        list_init(&link->streams[side].in_flight);
        list_init(&link->streams[side].arrived);
    }
    for (unsigned side = 0; side < 2; side++)
        list_init(&link->notifications[side]);
    list_init(&link->backlog_node);
    schedule_network_reset(link);
    return link;
}

void sim_link_reference(struct sim_link *link)
{
    link->references++;
}

void sim_link_release(struct sim_link *link)
{
    assert(link->references > 0);
    if (--link->references > 0)
        return;
    for (unsigned side = 0; side < 2; side++) {
        destroy_segments(&link->streams[side].in_flight);
        destroy_segments(&link->streams[side].arrived);
        destroy_notifications(&link->notifications[side]);
    }
    free(link);
}

static void end_ready(struct sim_link *link, uint8_t side)
{
    if (link->ends[side])
        sim_connection_ready(link->ends[side]);
}

/* --- sending --- */

size_t sim_link_room(const struct sim_link *link, uint8_t side)
{
    return link->network->options.window_bytes - link->streams[side].unread_bytes;
}

/* When something sent to `side` now arrives: not before what was sent earlier. */
static uint64_t next_due(struct sim_link *link, uint8_t side)
{
    struct sim_stream *stream = &link->streams[side];
    uint64_t due_ns = link->network->now_ns + sim_delay(link->network);

    if (due_ns > stream->last_due_ns)
        stream->last_due_ns = due_ns;
    return stream->last_due_ns;
}

void sim_link_send(struct sim_link *link, uint8_t side, const uint8_t *bytes, size_t length, uint64_t sequence)
{
    struct sim_stream *stream = &link->streams[side];
    struct sim_segment *segment = malloc(sizeof *segment + length);

    if (!segment)
        abort();
    assert(length <= sim_link_room(link, side));
    *segment = (struct sim_segment){.length = (uint32_t)length, .sequence = sequence};
    if (sequence != HOLDS_NONE)
        segment->reference = bytes;
    else
        memcpy(segment->bytes, bytes, length);
    list_append(&stream->in_flight, &segment->node);
    stream->unread_bytes += length;
    sim_schedule(link, SIM_EVENT_SEGMENT, side, next_due(link, side));
}

void sim_link_send_fin(struct sim_link *link, uint8_t side)
{
    sim_schedule(link, SIM_EVENT_FIN, side, next_due(link, side));
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t sim_link_pinned(const struct sim_link *link, uint8_t side)
{
    const struct list_node *notifications = &link->notifications[side], *segments = &link->streams[peer_of(side)].in_flight;
    uint64_t lowest = HOLDS_NONE;

    for (struct list_node *node = notifications->next; node != notifications; node = node->next)
        lowest = lower(lowest, LIST_ENTRY(node, struct sim_notification, node)->sequence);
    for (struct list_node *node = segments->next; node != segments; node = node->next)
        lowest = lower(lowest, LIST_ENTRY(node, struct sim_segment, node)->sequence);
    return lowest;
}

/* --- receiving --- */

void sim_link_announce_room(struct sim_link *link, uint8_t side)
{
    if (link->room_scheduled[side])
        return;
    link->room_scheduled[side] = true;
    sim_schedule(link, SIM_EVENT_ROOM, side, link->network->now_ns + sim_delay(link->network));
}

void sim_link_consume(struct sim_link *link, uint8_t side, struct sim_segment *segment, uint32_t bytes)
{
    struct sim_connection *peer = link->ends[peer_of(side)];

    segment->consumed += bytes;
    link->streams[side].unread_bytes -= bytes;
    if (segment->consumed == segment->length)
        segment_destroy(segment);
    if (peer && peer->common.blocked)
        sim_link_announce_room(link, peer_of(side));
}

/* Acknowledgements come in order; notifications of zero-copy sends in any. */
static uint64_t draw_notification(struct sim_link *link, uint8_t sender)
{
    struct sim_network *network = link->network;
    uint64_t due_ns = network->now_ns + sim_delay(network);

    if (sim_chance(network, network->options.late_notification_permille))
        due_ns += random_below(&network->random, LATEST_NOTIFIED_NS);
    if (network->options.own_tcp && !list_is_empty(&link->notifications[sender])) {
        uint64_t last_ns = LIST_ENTRY(link->notifications[sender].previous, struct sim_notification, node)->due_ns;
        due_ns = due_ns > last_ns ? due_ns : last_ns;
    }
    return due_ns;
}

static void notify(struct sim_link *link, uint8_t sender, const struct sim_segment *segment)
{
    struct sim_notification *notification = sim_allocate(sizeof *notification);

    notification->due_ns = draw_notification(link, sender);
    notification->sequence = segment->sequence;
    notification->acknowledged = link->network->options.own_tcp ? segment->length : 0;
    list_append(&link->notifications[sender], &notification->node);
    sim_schedule(link, SIM_EVENT_NOTIFIED, sender, notification->due_ns);
}

/* Copies the memory that the segment refers to, which is not read again. */
static void read_reference(struct sim_segment *segment)
{
    if (!segment->reference)
        return;
    memcpy(segment->bytes, segment->reference, segment->length);
    segment->reference = NULL;
    segment->sequence = HOLDS_NONE;
}

static void segment_arrives(struct sim_link *link, uint8_t side)
{
    struct sim_stream *stream = &link->streams[side];
    struct sim_segment *segment = first_segment(&stream->in_flight);

    if (!segment || link->vanished[side])
        return; /* a reset has dropped the segment, or `side` has vanished */
    if (segment->reference || link->network->options.own_tcp)
        notify(link, peer_of(side), segment);
    read_reference(segment);
    list_remove(&segment->node);
    list_append(&stream->arrived, &segment->node);
    end_ready(link, side);
}

static void notifications_arrive(struct sim_link *link, uint8_t side)
{
    struct list_node *notifications = &link->notifications[side];

    for (struct list_node *node = notifications->next, *next; node != notifications; node = next) {
        struct sim_notification *notification = LIST_ENTRY(node, struct sim_notification, node);

        next = node->next;
        if (notification->due_ns > link->network->now_ns)
            continue;
        link->acknowledged[side] += notification->acknowledged;
        list_remove(node);
        free(notification);
    }
    end_ready(link, side);
}

/* --- ending --- */

void sim_link_read_references(struct sim_link *link, uint8_t side)
{
    struct list_node *segments = &link->streams[peer_of(side)].in_flight;
    bool own_tcp = link->network->options.own_tcp;

    if (own_tcp)
        destroy_notifications(&link->notifications[side]);
    for (struct list_node *node = segments->next; node != segments; node = node->next) {
        struct sim_segment *segment = LIST_ENTRY(node, struct sim_segment, node);
        if (segment->reference && !own_tcp)
            notify(link, side, segment);
        read_reference(segment);
    }
}

/* Drops the bytes that `side` has sent and that are on their way; nothing arrives after them, not even a FIN. */
static void drop_in_flight(struct sim_link *link, uint8_t side)
{
    struct sim_stream *stream = &link->streams[peer_of(side)];

    sim_link_read_references(link, side);
    destroy_segments(&stream->in_flight);
    stream->broken = true;
}

void sim_link_abort(struct sim_link *link, uint8_t side)
{
    uint8_t peer = peer_of(side);

    if (sim_chance(link->network, RST_DROP_PERMILLE))
        drop_in_flight(link, side);
    sim_link_read_references(link, side);
    sim_schedule(link, SIM_EVENT_RESET, peer, next_due(link, peer));
}

static void side_fails(struct sim_link *link, uint8_t side)
{
    if (link->errors[side] == 0)
        link->errors[side] = -ECONNRESET;
    end_ready(link, side);
}

void sim_link_vanish(struct sim_link *link, uint8_t side)
{
    link->vanished[side] = true;
    drop_in_flight(link, side);
    side_fails(link, side);
}

void sim_link_fail(struct sim_link *link)
{
    for (uint8_t side = 0; side < 2; side++) {
        drop_in_flight(link, side);
        side_fails(link, side);
    }
}

void sim_link_forget_arrived(struct sim_link *link, uint8_t side)
{
    if (!sim_chance(link->network, RST_DROP_PERMILLE))
        return;
    destroy_segments(&link->streams[side].arrived);
    link->streams[side].fin_arrived = false;
}

/* --- connecting --- */

static void syn_arrives(struct sim_link *link)
{
    struct sim_engine *engine = sim_find_listener(link->network, &link->addresses[SIM_ACCEPTOR]);
    uint64_t now_ns = link->network->now_ns;

    if (!link->ends[SIM_CONNECTOR] || link->errors[SIM_CONNECTOR] != 0)
        return; /* the connector has given up meanwhile */
    if (engine && engine->listener.backlog_count == engine->listener.backlog_limit) {
        sim_schedule(link, SIM_EVENT_SYN, SIM_ACCEPTOR, now_ns + SYN_RETRY_NS);
        return;
    }
    if (!engine) {
        link->errors[SIM_CONNECTOR] = -ECONNREFUSED;
    } else {
        sim_link_reference(link);
        list_append(&engine->listener.backlog, &link->backlog_node);
        engine->listener.backlog_count++;
    }
    sim_schedule(link, SIM_EVENT_CONNECTED, SIM_CONNECTOR, next_due(link, SIM_CONNECTOR));
}

static void connecting_ends(struct sim_link *link)
{
    struct sim_connection *connector = link->ends[SIM_CONNECTOR];

    if (!connector)
        return;
    connector->connected = true;
    sim_connection_ready(connector);
}

void sim_link_carry_out(struct sim_link *link, const struct sim_event *event)
{
    uint8_t side = event->side;

    switch ((enum sim_event_kind)event->kind) {
    case SIM_EVENT_SYN:
        syn_arrives(link);
        break;
    case SIM_EVENT_CONNECTED:
        connecting_ends(link);
        break;
    case SIM_EVENT_SEGMENT:
        segment_arrives(link, side);
        break;
    case SIM_EVENT_FIN:
        link->streams[side].fin_arrived = !link->streams[side].broken;
        end_ready(link, side);
        break;
    case SIM_EVENT_RESET:
        side_fails(link, side);
        break;
    case SIM_EVENT_NETWORK_RESET:
        sim_link_fail(link);
        break;
    case SIM_EVENT_ROOM:
        link->room_scheduled[side] = false;
        if (link->ends[side]) {
            link->ends[side]->writable = true;
            end_ready(link, side);
        }
        break;
    case SIM_EVENT_NOTIFIED:
        notifications_arrive(link, side);
        break;
    case SIM_EVENT_CANCELLED:
        if (link->ends[side]) {
            link->ends[side]->cancelling = false;
            end_ready(link, side);
        }
        break;
    case SIM_EVENT_SENT:
        if (link->ends[side]) {
            link->ends[side]->late_send_answered = true;
            end_ready(link, side);
        }
        break;
    }
}

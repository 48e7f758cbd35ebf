#include "tcp_script/stage.h"

#include "common/wire.h"
#include "engine/tcp/tcp.h"
#include "flashrelay/clock.h"
#include "flashrelay/ws.h"
#include "support/channels.h"
#include "support/ignored_events.h"
#include "support/must.h"
#include "support/wire_port.h"

#include <stdlib.h>
#include <string.h>

#define START_NS    (100 * NS_PER_S)
#define ARENA_BYTES (16 << 20)
#define ENTRIES     4096
/* An engine that wants turn after turn without doing anything is given so much time for each. */
#define IDLE_TURN_NS  (10 * NS_PER_US)
#define TURNS_AT_ONCE 64

static const uint8_t engine_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};

uint8_t stage_pattern(uint64_t offset)
{
    return (uint8_t)(offset * 31 + 7);
}

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);

    if (!memory)
        abort();
    return memory;
}

/* --- the handler --- */

static struct stage_event *note(struct stage *stage, enum script_kind kind, unsigned peer, uint64_t number)
{
    struct stage_event *event = &stage->events[stage->event_count++];

    must(stage->event_count <= STAGE_EVENTS);
    *event = (struct stage_event){.at_ns = stage->now_ns, .kind = kind, .peer = peer, .number = number};
    return event;
}

static unsigned peer_of(const struct stage *stage, const struct connection *connection)
{
    return (unsigned)((const struct stage_peer *)connection->owner - stage->peers);
}

static void on_accepted(void *context, struct connection *connection, const struct address *address, uint64_t now_ns)
{
    struct stage *stage = context;
    unsigned peer = (unsigned)(address->port - STAGE_PEER_PORT);

    (void)now_ns;
    must(peer < SCRIPT_PEERS);
    connection->owner = &stage->peers[peer];
    stage->peers[peer].connection = connection;
    stage->peers[peer].stream_bytes = 0;
    stage->peers[peer].received_bytes = 0;
    stage->peers[peer].consume = UINT64_MAX;
    note(stage, STEP_ACCEPTED, peer, 0);
}

static void on_connected(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    (void)context;
    (void)connection;
    (void)error;
    (void)now_ns;
    abort();
}

static size_t on_received(void *context, struct connection *connection, uint8_t *bytes, size_t length, uint64_t now_ns)
{
    struct stage *stage = context;
    struct stage_peer *peer = connection->owner;
    size_t taken = length < peer->consume ? length : (size_t)peer->consume;

    (void)now_ns;
    if (length == 0) {
        note(stage, STEP_RECEIVED_END, peer_of(stage, connection), 0);
        return 0;
    }
    for (size_t i = 0; i < length; i++)
        must(bytes[i] == stage_pattern(peer->received_bytes + i));
    peer->received_bytes += taken;
    if (peer->consume != UINT64_MAX)
        peer->consume -= taken;
    note(stage, STEP_RECEIVED, peer_of(stage, connection), taken);
    return taken;
}

static void on_closed(void *context, struct connection *connection, int error, uint64_t now_ns)
{
    struct stage *stage = context;
    struct stage_peer *peer = connection->owner;

    (void)now_ns;
    note(stage, STEP_CLOSED, peer_of(stage, connection), (uint64_t)-error);
    peer->connection = NULL;
}

static const struct engine_handler handler = {.accepted = on_accepted,
                                              .connected = on_connected,
                                              .received = on_received,
                                              .progressed = ignore_progressed,
                                              .closed = on_closed,
                                              .woken = ignore_woken};

/* --- life --- */

static void set_address(struct ip_address *ip, bool is_v6, unsigned host)
{
    static const char *const texts[2][2] = {{"198.18.0.1", "198.18.0.2"}, {"2001:db8::1", "2001:db8::2"}};
    const char *text = texts[is_v6][host - 1];

    must(ip_address_parse(ip, text, strlen(text)) == 0);
}

static void open_wire(struct stage *stage)
{
    struct wire_port_options options = {
        .sends = WIRE_FORTH, .clock_ns = &stage->now_ns, .mtu = stage->settings.mtu, .tso_bytes = stage->settings.tso_bytes};

    must(wire_create(&stage->wire, &(struct wire_options){0}) == 0);
    memcpy(options.mac, engine_mac, sizeof options.mac);
    options.wire = stage->wire;
    must(wire_port_create(&stage->port, &options) == 0);
}

static void open_engine(struct stage *stage)
{
    struct port *port = wire_port_of(stage->port);
    struct host_options host = {.address_count = 2, .mtu = stage->settings.mtu};
    struct engine_options engine = {.handler = &handler,
                                    .context = stage,
                                    .max_connections = stage->settings.max_connections,
                                    .receive_buffers = 64,
                                    .receive_buffer_bytes = 16384,
                                    .sends_per_turn = 64};
    struct tcp_options tcp = {.port = port, .seed = 1};
    struct address address = {.port = STAGE_PORT};

    set_address(&host.addresses[0].ip, false, 2);
    host.addresses[0].prefix_bits = 24;
    set_address(&host.addresses[1].ip, true, 2);
    host.addresses[1].prefix_bits = 64;
    must(host_create(&stage->host, &host, &port->limits, 1) == 0);
    tcp.host = stage->host;
    must(tcp_engine_create(&stage->engine, &engine, &tcp) == 0);
    set_address(&address.ip, stage->settings.is_v6, 2);
    must(engine_listen(stage->engine, &address, &(struct engine_listen_options){.backlog = 64}) == 0);
    stage->channel_number = engine_add_channel(stage->engine, stage->channel, &stage->holds);
    must(stage->channel_number >= 0);
}

struct stage *stage_open(const struct script_settings *settings)
{
    struct stage *stage = allocate(sizeof *stage);

    stage->now_ns = START_NS;
    stage->settings = *settings;
    for (unsigned i = 0; i < SCRIPT_PEERS; i++) {
        stage->peers[i].initial = settings->has_initial ? settings->initial_sequence : 1000000 * (i + 1);
        stage->peers[i].stream = allocate(STAGE_STREAM_BYTES);
    }
    stage->channel = make_channel(&stage->marks, 1, ARENA_BYTES, ENTRIES);
    must(holds_init(&stage->holds, ENTRIES) == 0);
    channel_reader_join(stage->channel, 0);
    open_wire(stage);
    open_engine(stage);
    return stage;
}

void stage_close(struct stage *stage)
{
    while (stage->event_count > 0)
        stage_forget(stage, stage->event_count - 1);
    engine_destroy(stage->engine);
    host_destroy(stage->host);
    wire_port_destroy(stage->port);
    wire_destroy(stage->wire);
    channel_destroy(stage->channel);
    holds_dispose(&stage->holds);
    for (unsigned i = 0; i < SCRIPT_PEERS; i++)
        free(stage->peers[i].stream);
    free(stage);
}

/* --- what the engine sends --- */

/* Learns the engine's initial sequence number from its SYN-ACK, and makes the packet's numbers count from both SYNs. */
static void make_relative(struct stage_peer *peer, struct wire_packet *packet)
{
    if (packet->flags & WIRE_SYN)
        peer->engine_initial = packet->sequence;
    packet->sequence -= peer->engine_initial;
    if (packet->flags & WIRE_ACK)
        packet->acknowledgement -= peer->initial;
}

static const char *check_payload(const struct stage_peer *peer, const struct wire_packet *packet)
{
    if (packet->payload_bytes == 0)
        return NULL;
    if (packet->sequence < 1 || packet->sequence - 1 + packet->payload_bytes > peer->stream_bytes)
        return "data lies outside of what was offered";
    return memcmp(packet->payload, peer->stream + packet->sequence - 1, packet->payload_bytes) == 0 ? NULL : "wrong bytes";
}

static void note_tcp(struct stage *stage, struct stage_event *event)
{
    struct wire_packet *packet = &event->packet;

    event->peer = (unsigned)packet->destination_port - STAGE_PEER_PORT;
    if (event->peer >= SCRIPT_PEERS || packet->source_port != STAGE_PORT) {
        event->peer = 0;
        event->error = "the ports are not those of a connection";
        return;
    }
    make_relative(&stage->peers[event->peer], packet);
    if (!event->error)
        event->error = check_payload(&stage->peers[event->peer], packet);
    if (!event->error && memcmp(packet->destination_mac, peer_mac, 6) != 0)
        event->error = "the destination is another MAC address";
}

static void note_icmp(struct stage_event *event, size_t length)
{
    struct wire_packet_layout layout;

    event->kind = STEP_ICMP_OUT;
    wire_packet_lay_out(&layout, event->frame, length);
    event->number = layout.segment_bytes - 8;
    event->error = wire_packet_ip_sum_is_good(&layout, event->frame) && wire_packet_segment_sum_is_good(&layout, event->frame)
                       ? NULL
                       : "a checksum of the ICMP message is wrong";
}

/* True if a frame is an IP packet for the peer, not one that asks for neighbours. */
static bool is_for_peer(const uint8_t *frame, size_t length)
{
    struct wire_packet_layout layout;
    const uint8_t *icmp = frame + WIRE_ETHERNET_BYTES + 40;

    return wire_packet_lay_out(&layout, frame, length) && layout.is_ip &&
           !(layout.protocol == WIRE_ICMPV6 && icmp[0] >= 133 && icmp[0] <= 137);
}

static void take_frames(struct stage *stage)
{
    uint8_t frame[WIRE_LONGEST_BYTES];
    size_t length;

    while ((length = wire_take(stage->wire, WIRE_FORTH, stage->now_ns, frame)) > 0) {
        struct stage_event *event;
        enum wire_packet_verdict verdict;

        if (!is_for_peer(frame, length))
            continue;
        event = note(stage, STEP_OUT, 0, 0);
        event->frame = allocate(length);
        memcpy(event->frame, frame, length);
        verdict = wire_packet_parse(&event->packet, event->frame, length, &event->error);
        if (verdict == WIRE_OTHER)
            note_icmp(event, length);
        else
            note_tcp(stage, event);
    }
}

void stage_forget(struct stage *stage, unsigned index)
{
    free(stage->events[index].frame);
    stage->event_count--;
    memmove(&stage->events[index], &stage->events[index + 1], (stage->event_count - index) * sizeof *stage->events);
}

/* --- time --- */

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/* Gives the engine turns until it waits. Returns when it wants the next one. */
static uint64_t take_turns(struct stage *stage)
{
    for (unsigned i = 0; i < TURNS_AT_ONCE; i++) {
        uint64_t deadline_ns;

        engine_turn(stage->engine, CLOCK_NEVER);
        take_frames(stage);
        deadline_ns = wire_port_take_deadline_ns(stage->port);
        if (deadline_ns > stage->now_ns && wire_port_next_ns(stage->port) > stage->now_ns)
            return deadline_ns;
    }
    return stage->now_ns + IDLE_TURN_NS;
}

void stage_run(struct stage *stage, uint64_t until_ns)
{
    unsigned before = stage->event_count;

    for (;;) {
        uint64_t next_ns = earlier(take_turns(stage), wire_port_next_ns(stage->port));

        if (stage->event_count > before)
            return;
        if (next_ns > until_ns) {
            stage->now_ns = until_ns;
            return;
        }
        stage->now_ns = next_ns;
    }
}

/* --- what the peers send --- */

void stage_push(struct stage *stage, const uint8_t *bytes, size_t length)
{
    wire_push(stage->wire, WIRE_BACK, bytes, length, stage->now_ns);
}

struct wire_packet stage_packet(const struct stage *stage, unsigned peer, const struct script_segment *segment, uint8_t *payload)
{
    const struct stage_peer *from = &stage->peers[peer];
    struct wire_packet packet = {.is_v6 = stage->settings.is_v6,
                                 .source_port = (uint16_t)(STAGE_PEER_PORT + peer),
                                 .destination_port = STAGE_PORT,
                                 .sequence = from->initial + segment->sequence,
                                 .flags = segment->flags,
                                 .window = segment->has_window ? segment->window : UINT16_MAX,
                                 .options = segment->options,
                                 .payload = payload,
                                 .payload_bytes = segment->payload_bytes};

    memcpy(packet.source_mac, peer_mac, 6);
    memcpy(packet.destination_mac, engine_mac, 6);
    set_address(&packet.source, packet.is_v6, 1);
    set_address(&packet.destination, packet.is_v6, 2);
    if (segment->has_acknowledgement)
        packet.acknowledgement = from->engine_initial + segment->acknowledgement;
    for (unsigned i = 0; i < packet.options.sack_count; i++) {
        packet.options.sacks[i].left += from->engine_initial;
        packet.options.sacks[i].right += from->engine_initial;
    }
    for (size_t i = 0; i < segment->payload_bytes; i++)
        payload[i] = stage_pattern((uint64_t)segment->sequence - 1 + i);
    return packet;
}

struct wire_packet stage_packet_back(const struct stage *stage, unsigned peer, uint32_t sequence, uint8_t *payload)
{
    struct wire_packet packet = {.is_v6 = stage->settings.is_v6,
                                 .source_port = STAGE_PORT,
                                 .destination_port = (uint16_t)(STAGE_PEER_PORT + peer),
                                 .sequence = stage->peers[peer].engine_initial + sequence,
                                 .acknowledgement = stage->peers[peer].initial + 1,
                                 .flags = WIRE_ACK,
                                 .payload = payload,
                                 .payload_bytes = 1000};

    memcpy(packet.source_mac, engine_mac, 6);
    memcpy(packet.destination_mac, peer_mac, 6);
    set_address(&packet.source, packet.is_v6, 2);
    set_address(&packet.destination, packet.is_v6, 1);
    return packet;
}

/* --- what the engine is given to send --- */

/* Adds to the stream that the peer must receive. */
static void extend(struct stage_peer *peer, const uint8_t *bytes, size_t length)
{
    must(peer->stream_bytes + length <= STAGE_STREAM_BYTES);
    memcpy(peer->stream + peer->stream_bytes, bytes, length);
    peer->stream_bytes += length;
}

/* The payload that makes a WebSocket frame of `length` bytes (RFC 6455, 5.2); 0 if there is none. */
static size_t payload_of(size_t length)
{
    if (length > 2 && length <= 127)
        return length - 2;
    if (length >= 130 && length <= 65539)
        return length - 4;
    return length >= 65546 ? length - 10 : 0;
}

bool stage_publish(struct stage *stage, unsigned peer, size_t length)
{
    struct stage_peer *to = &stage->peers[peer];
    size_t payload_bytes = payload_of(length);
    struct channel_frame frame;
    uint8_t *payload;

    if (!to->connection || payload_bytes == 0)
        return false;
    payload = allocate(payload_bytes);
    stage->published++;
    for (size_t i = 0; i < payload_bytes; i++)
        payload[i] = (uint8_t)(i * 7 + (i >> 8) + 50 * stage->published);
    must(channel_append(stage->channel, stage->published, WS_BINARY, payload, payload_bytes, stage->now_ns) == 0);
    free(payload);
    channel_frame_get(stage->channel, stage->published, &frame);
    must(frame.length == length);
    extend(to, frame.bytes, length);
    must(engine_append_frames(stage->engine, to->connection, (uint16_t)stage->channel_number, stage->published,
                              stage->published + 1) == 0);
    engine_serve(stage->engine, to->connection);
    return true;
}

bool stage_control(struct stage *stage, unsigned peer, size_t length)
{
    struct stage_peer *to = &stage->peers[peer];
    uint8_t *bytes;

    if (!to->connection)
        return false;
    bytes = allocate(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 3 + length);
    must(engine_append_bytes(stage->engine, to->connection, bytes, length) == 0);
    extend(to, bytes, length);
    free(bytes);
    engine_serve(stage->engine, to->connection);
    return true;
}

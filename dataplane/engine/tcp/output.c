#include "engine/tcp/output.h"

#include "engine/tcp/internal.h"
#include "engine/tcp/segment_writer.h"

#include <assert.h>
#include <string.h>

#define DONT_FRAGMENT 0x40
#define TIME_TO_LIVE  64

static uint8_t *write_link(struct tcp_engine *engine, const struct tcp_connection *connection, uint8_t *at, bool is_v6)
{
    host_neighbour_mac(engine->host, connection->neighbour, at);
    memcpy(at + 6, engine->host->mac, 6);
    at += 12;
    if (engine->host->options.vlan != 0) {
        write_u16(at, ETHERTYPE_VLAN);
        write_u16(at + 2, engine->host->options.vlan);
        at += VLAN_TAG_BYTES;
    }
    write_u16(at, is_v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    return at + 2;
}

/* Everything but the length and the checksum. */
static void write_v4(uint8_t *at, const struct ip_address *local, const struct ip_address *remote)
{
    memset(at, 0, IPV4_BYTES);
    at[0] = 0x45;
    at[6] = DONT_FRAGMENT;
    at[8] = TIME_TO_LIVE;
    at[9] = PROTOCOL_TCP;
    memcpy(at + 12, local->bytes + 12, 4);
    memcpy(at + 16, remote->bytes + 12, 4);
}

/* Everything but the length. The flow label is constant for the connection (RFC 6437). */
static void write_v6(uint8_t *at, const struct ip_address *local, const struct ip_address *remote, uint32_t flow)
{
    write_u32(at, 0x60000000 | (flow & 0xfffff));
    write_u16(at + 4, 0);
    at[6] = PROTOCOL_TCP;
    at[7] = TIME_TO_LIVE;
    memcpy(at + 8, local->bytes, 16);
    memcpy(at + 24, remote->bytes, 16);
}

void output_prepare(struct tcp_engine *engine, struct tcp_connection *connection, struct output_template *template)
{
    const struct ip_address *local = &engine->host->options.addresses[connection->local].ip;
    bool is_v6 = connection->is_v6;
    uint8_t *ip = write_link(engine, connection, template->bytes, is_v6), *tcp;

    template->is_v6 = is_v6;
    template->link_bytes = (uint8_t)(ip - template->bytes);
    template->ip_bytes = is_v6 ? IPV6_BYTES : IPV4_BYTES;
    template->header_bytes = (uint8_t)(template->link_bytes + template->ip_bytes + TCP_BYTES);
    if (is_v6)
        write_v6(ip, local, &connection->remote, (uint32_t)connection->remote_port * 0x9e3779b1u >> 12);
    else
        write_v4(ip, local, &connection->remote);
    template->ip_sum = is_v6 ? 0 : checksum_add(ip, IPV4_BYTES);
    tcp = ip + template->ip_bytes;
    memset(tcp, 0, TCP_BYTES);
    write_u16(tcp, engine->base.listen_port);
    write_u16(tcp + 2, connection->remote_port);
    write_u32(tcp + 8, connection->receive_next);
    tcp[12] = TCP_BYTES / 4 << 4;
    write_u16(tcp + 14, (uint16_t)RECEIVE_WINDOW_BYTES);
    template->tcp_sum = packet_pseudo_sum(ip, is_v6, PROTOCOL_TCP) + checksum_add(tcp, TCP_BYTES);
    template->payload_bytes = UINT32_MAX;
    connection->receive_acked = connection->receive_next;
}

bool output_make_room(struct tcp_engine *engine, unsigned segments)
{
    struct output *output = &engine->output;

    assert(segments <= PORT_BURST);
    if (output->segment_count + segments > PORT_BURST)
        output_flush(engine);
    if (output->header_count >= segments)
        return true;
    unsigned wanted = PORT_BURST - output->header_count;
    if (!engine->port->ops->take_headers(engine->port, output->headers + output->header_count, wanted)) {
        engine->is_short = true;
        return false;
    }
    output->header_count += wanted;
    return true;
}

bool output_hold(struct tcp_engine *engine, uint16_t channel, uint64_t sequence, unsigned segments)
{
    if (epochs_hold(&engine->epochs, &engine->base, channel, sequence, segments))
        return true;
    output_flush(engine);
    if (epochs_begin(&engine->epochs, engine->port))
        return epochs_hold(&engine->epochs, &engine->base, channel, sequence, segments);
    engine->is_short = true;
    return false;
}

void output_flush(struct tcp_engine *engine)
{
    struct output *output = &engine->output;

    if (output->segment_count == 0)
        return;
    engine->port->ops->send(engine->port, output->segments, output->segment_count);
    output->segment_count = 0;
    engine->last_sent_ns = engine->now_ns;
    engine->handled = true;
}

void output_dispose(struct tcp_engine *engine)
{
    struct output *output = &engine->output;

    if (output->header_count > 0)
        engine->port->ops->return_headers(engine->port, output->headers, output->header_count);
    output->header_count = 0;
}

bool output_bare(struct tcp_engine *engine, struct tcp_connection *connection, uint32_t sequence, uint8_t flags)
{
    struct output_template template;

    if (!output_has_room(engine, 1))
        return false;
    output_prepare(engine, connection, &template);
    output_send(engine, &template, &(struct output_segment){.sequence = sequence, .flags = flags});
    counter_add(&engine->counters.segments_sent, 1);
    return true;
}

#include "engine/tcp/output.h"

#include "engine/tcp/internal.h"
#include "engine/tcp/segment_writer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DONT_FRAGMENT 0x40

static uint8_t *write_link(const struct host *host, uint8_t *at, bool is_v6)
{
    memset(at, 0, 6);
    memcpy(at + 6, host->mac, 6);
    at += 12;
    if (host->options.vlan != 0) {
        write_u16(at, ETHERTYPE_VLAN);
        write_u16(at + 2, host->options.vlan);
        at += VLAN_TAG_BYTES;
    }
    write_u16(at, is_v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    return at + 2;
}

/* Everything but the length, the checksum and the peer's address. */
static void write_v4(uint8_t *at, const struct ip_address *local)
{
    memset(at, 0, IPV4_BYTES);
    at[0] = 0x45;
    at[6] = DONT_FRAGMENT;
    at[8] = IP_TIME_TO_LIVE;
    at[9] = PROTOCOL_TCP;
    memcpy(at + 12, local->bytes + 12, 4);
}

/* Everything but the length, the flow label and the peer's address. */
static void write_v6(uint8_t *at, const struct ip_address *local)
{
    memset(at, 0, IPV6_BYTES);
    at[6] = PROTOCOL_TCP;
    at[7] = IP_TIME_TO_LIVE;
    memcpy(at + 8, local->bytes, 16);
}

static void write_base(const struct tcp_engine *engine, struct output_template *base, const struct ip_address *local)
{
    bool is_v6 = !ip_address_is_v4(local);
    uint8_t *ip = write_link(engine->host, base->bytes, is_v6), *tcp;

    base->is_v6 = is_v6;
    base->link_bytes = (uint8_t)(ip - base->bytes);
    base->ip_bytes = is_v6 ? IPV6_BYTES : IPV4_BYTES;
    base->header_bytes = (uint8_t)(base->link_bytes + base->ip_bytes + TCP_BYTES);
    base->payload_bytes = UINT32_MAX;
    if (is_v6)
        write_v6(ip, local);
    else
        write_v4(ip, local);
    base->ip_sum = is_v6 ? 0 : checksum_add(ip, IPV4_BYTES);
    tcp = ip + base->ip_bytes;
    memset(tcp, 0, TCP_BYTES);
    write_u16(tcp, engine->base.listen_port);
    tcp[12] = TCP_BYTES / 4 << 4;
    write_u16(tcp + 14, (uint16_t)RECEIVE_WINDOW_BYTES);
    base->tcp_sum = packet_pseudo_sum(ip, is_v6, PROTOCOL_TCP) + checksum_add(tcp, TCP_BYTES);
}

int output_init(struct tcp_engine *engine)
{
    unsigned count = engine->host->options.address_count;

    engine->output.bases = calloc(count, sizeof *engine->output.bases);
    if (!engine->output.bases)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++)
        write_base(engine, &engine->output.bases[i], &engine->host->options.addresses[i].ip);
    return 0;
}

/* Writes the peer's address into both headers' sums and its place. */
static void write_remote(struct output_template *template, uint8_t *ip, const struct tcp_connection *connection)
{
    uint64_t sum;

    if (template->is_v6) {
        write_u32(ip, 0x60000000 | ((uint32_t)connection->remote_port * 0x9e3779b1u >> 12 & 0xfffff)); /* RFC 6437 */
        memcpy(ip + 24, connection->remote.bytes, 16);
        template->tcp_sum += checksum_add(connection->remote.bytes, 16);
        return;
    }
    memcpy(ip + 16, connection->remote.bytes + 12, 4);
    sum = checksum_add(connection->remote.bytes + 12, 4);
    template->ip_sum += sum;
    template->tcp_sum += sum;
}

void output_prepare(struct tcp_engine *engine, struct tcp_connection *connection, struct output_template *template)
{
    uint8_t *ip, *tcp;

    *template = engine->output.bases[connection->local];
    host_neighbour_mac(engine->host, connection->neighbour, template->bytes);
    ip = template->bytes + template->link_bytes;
    tcp = ip + template->ip_bytes;
    write_remote(template, ip, connection);
    write_u16(tcp + 2, connection->remote_port);
    write_u32(tcp + 8, connection->receive_next);
    template->tcp_sum += checksum_add(tcp + 2, 2) + checksum_add(tcp + 8, 4);
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
    free(output->bases);
    output->bases = NULL;
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

/* Opening connections, without keeping anything before the handshake is complete. */
#include "engine/tcp/congestion.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/input.h"
#include "engine/tcp/reply.h"

#define OPTION_BYTES 12

static struct cookie_tuple tuple_of(const struct tcp_engine *engine, const struct packet *packet, uint32_t remote_sequence)
{
    return (struct cookie_tuple){.remote = packet->remote,
                                 .local = engine->host->options.addresses[packet->local].ip,
                                 .remote_port = packet->remote_port,
                                 .local_port = packet->local_port,
                                 .remote_sequence = remote_sequence};
}

/* The largest segment that our MTU allows, for the peer's MSS: what we receive is not limited by what we send. */
static uint8_t write_options(const struct tcp_engine *engine, const struct packet *packet, uint8_t options[OPTION_BYTES])
{
    uint32_t ip_bytes = packet->is_v6 ? IPV6_BYTES : IPV4_BYTES;
    uint8_t length = 4;

    options[0] = 2; /* maximum segment size: RFC 9293, 3.7.1 */
    options[1] = 4;
    write_u16(options + 2, (uint16_t)(engine->host->options.mtu - ip_bytes - TCP_BYTES));
    if (packet->sack_permitted) {
        const uint8_t sack_permitted[4] = {1, 1, 4, 2}; /* two fillers; RFC 2018, 2 */

        __builtin_memcpy(options + length, sack_permitted, sizeof sack_permitted);
        length += 4;
    }
    if (packet->has_scale) {
        const uint8_t scale[4] = {1, 3, 3, 0}; /* a filler; ours is 0: RFC 7323, 2.2 */

        __builtin_memcpy(options + length, scale, sizeof scale);
        length += 4;
    }
    return length;
}

static void answer_syn(struct tcp_engine *engine, struct packet *packet)
{
    const struct cookie_options wanted = {.mss_class = mss_class_of(packet->mss, engine->host->options.mtu, packet->is_v6),
                                          .has_scale = packet->has_scale,
                                          .scale = packet->scale,
                                          .sack = packet->sack_permitted};
    const struct cookie_tuple tuple = tuple_of(engine, packet, packet->sequence);
    uint8_t options[OPTION_BYTES];
    struct reply reply = {.acknowledgement = packet->sequence + 1,
                          .flags = TCP_SYN | TCP_ACK,
                          .window = (uint16_t)RECEIVE_WINDOW_BYTES,
                          .options = options};

    cookie_keys_refresh(&engine->cookies, engine->key_source, engine->now_ns);
    reply.sequence = cookie_make(&engine->cookies, &tuple, &wanted);
    reply.option_bytes = write_options(engine, packet, options);
    counter_add(&engine->counters.cookies_sent, 1);
    reply_tcp(engine, packet, &reply);
}

static void on_syn(struct tcp_engine *engine, struct packet *packet)
{
    struct closed_tuple *closed =
        closed_tuples_find(&engine->closed, &packet->remote, packet->remote_port, packet->local, engine->now);

    if (!host_is_peer(engine->host, &packet->remote) || packet->remote_port == 0) {
        tcp_count_drop(engine, DROP_FOREIGN);
    } else if (engine->stopped) {
        reply_reset(engine, packet);
    } else if (engine->accept_paused) {
        tcp_count_drop(engine, DROP_PAUSED);
    } else {
        /* A new connection of the same addresses may follow the old one: RFC 6191, without time stamps. */
        if (closed && sequence_after(packet->sequence, closed->receive_next))
            closed->is_live = false;
        answer_syn(engine, packet);
    }
}

/* An old connection's late FIN is acknowledged again; its other segments get what they deserve. */
static void on_late_segment(struct tcp_engine *engine, struct packet *packet, const struct closed_tuple *closed)
{
    const struct reply acknowledgement = {.sequence = closed->nxt,
                                          .acknowledgement = closed->receive_next,
                                          .flags = TCP_ACK,
                                          .window = (uint16_t)RECEIVE_WINDOW_BYTES};

    if ((packet->flags & TCP_FIN) != 0)
        reply_tcp(engine, packet, &acknowledgement);
    else if (packet->payload_bytes > 0)
        reply_reset(engine, packet);
}

static void establish(struct tcp_engine *engine, struct packet *packet, const struct cookie_options *agreed)
{
    struct tcp_connection *connection = tcp_open(engine, packet, agreed);
    struct address peer = {.ip = packet->remote, .port = packet->remote_port};

    if (!connection) {
        tcp_count_drop(engine, DROP_PAUSED);
        return;
    }
    counter_add(&engine->counters.cookies_accepted, 1);
    counter_add(&engine->base.counters.accepts, 1);
    engine->handled = true;
    tcp_handler(engine)->accepted(engine->base.options.context, &connection->base, &peer, engine->now_ns);
    if (!connection->base.dead)
        tcp_segment(engine, connection, packet);
}

/* The last segment of a handshake, or any later one if that was lost, brings the cookie back. */
static void on_acknowledgement(struct tcp_engine *engine, struct packet *packet)
{
    const struct cookie_tuple tuple = tuple_of(engine, packet, packet->sequence - 1);
    const struct closed_tuple *closed =
        closed_tuples_find(&engine->closed, &packet->remote, packet->remote_port, packet->local, engine->now);
    struct cookie_options agreed;
    enum cookie_verdict verdict;

    if (closed) {
        on_late_segment(engine, packet, closed);
        return;
    }
    cookie_keys_refresh(&engine->cookies, engine->key_source, engine->now_ns);
    verdict = cookie_check(&engine->cookies, &tuple, packet->acknowledgement - 1, &agreed);
    if (verdict != COOKIE_VALID)
        tcp_count_drop(engine, DROP_COOKIE);
    if (verdict == COOKIE_FOREIGN || engine->stopped || !host_is_peer(engine->host, &packet->remote))
        reply_reset(engine, packet);
    else if (verdict == COOKIE_VALID && engine->accept_paused)
        tcp_count_drop(engine, DROP_PAUSED);
    else if (verdict == COOKIE_VALID)
        establish(engine, packet, &agreed);
}

void tcp_accept(struct tcp_engine *engine, struct packet *packet)
{
    uint8_t kind = packet->flags & (TCP_SYN | TCP_RST | TCP_ACK | TCP_FIN);

    bool is_ours = engine->listening && packet->local_port == engine->base.listen_port;

    if ((kind & TCP_RST) != 0)
        return;
    if (is_ours && kind == TCP_SYN)
        on_syn(engine, packet);
    else if (is_ours && (kind & (TCP_SYN | TCP_ACK)) == TCP_ACK)
        on_acknowledgement(engine, packet);
    else if (is_ours && (kind & TCP_SYN) == 0)
        tcp_count_drop(engine, DROP_COOKIE);
    else
        reply_reset(engine, packet); /* another port, or a SYN with ACK or FIN */
}

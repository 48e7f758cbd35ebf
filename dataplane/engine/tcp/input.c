/* Bursts of received packets: parsed, then looked up, then handled, so that each pass finds in the cache what the one before has asked for. */
#include "engine/tcp/input.h"

#include "engine/tcp/connection.h"

/* Handles what is no TCP; returns true for TCP. */
static bool sort(struct tcp_engine *engine, struct packet *packet, enum packet_kind kind)
{
    switch (kind) {
    case PACKET_TCP:
        return true;
    case PACKET_ARP:
        tcp_arp(engine, packet);
        break;
    case PACKET_ICMP:
        tcp_icmp(engine, packet);
        break;
    case PACKET_FOREIGN:
        tcp_count_drop(engine, DROP_FOREIGN);
        break;
    case PACKET_FRAGMENT:
        tcp_count_drop(engine, DROP_FRAGMENT);
        break;
    case PACKET_MALFORMED:
        tcp_count_drop(engine, DROP_MALFORMED);
        break;
    case PACKET_BAD_CHECKSUM:
        tcp_count_drop(engine, DROP_CHECKSUM);
        break;
    }
    return false;
}

static unsigned parse(struct tcp_engine *engine, struct port_packet *sources, unsigned count, struct packet *packets)
{
    unsigned found = 0;

    for (unsigned i = 0; i < count; i++) {
        struct packet *packet = &packets[found];

        if (i + 4 < count)
            __builtin_prefetch(sources[i + 4].bytes);
        if (!sort(engine, packet, packet_parse(packet, &sources[i], engine->host)))
            continue;
        packet->hash = tcp_hash_packet(engine, packet);
        table_prefetch(&engine->table, packet->hash);
        found++;
    }
    return found;
}

/* The guess is nearly always right; that is certain only once the addresses are compared. */
static void prefetch_connection(const struct tcp_engine *engine, struct packet *packet)
{
    const char *connection;

    packet->slot = table_guess(&engine->table, packet->hash);
    if (packet->slot == NO_SLOT)
        return;
    connection = slab_element(&engine->slots, packet->slot);
    for (size_t line = 0; line < sizeof(struct tcp_connection); line += 64)
        __builtin_prefetch(connection + line, 1);
}

/* A connection that has ended since the guess has no port any more. */
static struct tcp_connection *find(const struct tcp_engine *engine, const struct packet *packet)
{
    if (packet->slot != NO_SLOT) {
        struct tcp_connection *guessed = slab_element(&engine->slots, packet->slot);

        if (tcp_is_of(guessed, packet) && !guessed->reported)
            return guessed;
    }
    return tcp_find(engine, packet);
}

static void handle(struct tcp_engine *engine, struct packet *packet)
{
    struct tcp_connection *connection = find(engine, packet);

    if (packet->local_port == engine->base.listen_port && connection)
        tcp_segment(engine, connection, packet);
    else
        tcp_accept(engine, packet);
}

unsigned tcp_receive(struct tcp_engine *engine)
{
    struct port_packet sources[PORT_BURST];
    struct packet packets[PORT_BURST];
    unsigned count = engine->port->ops->receive(engine->port, sources, PORT_BURST), found;

    if (count == 0)
        return 0;
    found = parse(engine, sources, count, packets);
    counter_add(&engine->counters.segments_received, found);
    for (unsigned i = 0; i < found; i++)
        prefetch_connection(engine, &packets[i]);
    for (unsigned i = 0; i < found; i++)
        handle(engine, &packets[i]);
    engine->port->ops->release(engine->port, sources, count);
    return count;
}

/* The memory of connections, and finding one by its addresses. */
#include "engine/tcp/congestion.h"
#include "engine/tcp/connection.h"
#include "engine/tcp/stream.h"

#include "engine/extents.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>
#include <string.h>

/* From the source address on: addresses, then ports. Between IPv4's addresses and TCP's ports nothing lies, as options are refused. */
#define V4_HASHED_BYTES 12
#define V6_HASHED_BYTES 36

uint64_t tcp_hash_packet(const struct tcp_engine *engine, const struct packet *packet)
{
    if (packet->is_v6)
        return XXH3_64bits_withSeed(packet->ip + 8, V6_HASHED_BYTES, engine->hash_seed);
    return XXH3_64bits_withSeed(packet->ip + 12, V4_HASHED_BYTES, engine->hash_seed);
}

uint64_t tcp_hash(const struct tcp_engine *engine, const struct ip_address *remote, uint16_t remote_port, uint8_t local)
{
    const struct ip_address *own = &engine->host->options.addresses[local].ip;
    bool is_v4 = ip_address_is_v4(remote);
    size_t from = is_v4 ? 12 : 0, length = sizeof remote->bytes - from;
    uint8_t key[V6_HASHED_BYTES];

    memcpy(key, remote->bytes + from, length);
    memcpy(key + length, own->bytes + from, length);
    write_u16(key + 2 * length, remote_port);
    write_u16(key + 2 * length + 2, engine->base.listen_port);
    return XXH3_64bits_withSeed(key, is_v4 ? V4_HASHED_BYTES : V6_HASHED_BYTES, engine->hash_seed);
}

struct tcp_connection *tcp_find(const struct tcp_engine *engine, const struct packet *packet)
{
    struct table_search search = {.hash = packet->hash};
    uint32_t slot;

    while (table_next(&engine->table, &search, &slot)) {
        struct tcp_connection *connection = slab_element(&engine->slots, slot);

        if (tcp_is_of(connection, packet))
            return connection;
    }
    return NULL;
}

static void init(struct tcp_engine *engine, struct tcp_connection *connection, const struct packet *packet,
                 const struct cookie_options *agreed)
{
    uint32_t generation = connection->generation + 1;

    *connection = (struct tcp_connection){
        .remote = packet->remote,
        .remote_port = packet->remote_port,
        .local = packet->local,
        .mss_class = agreed->mss_class & 7u,
        .is_v6 = packet->is_v6,
        .peer_scale = agreed->scale,
        .una = packet->acknowledgement,
        .nxt = packet->acknowledgement,
        .una_end = packet->acknowledgement,
        .window = (uint32_t)packet->window << agreed->scale,
        .window_sequence = packet->sequence,
        .receive_next = packet->sequence,
        .receive_acked = packet->sequence,
        .sack = agreed->sack,
        .next_queued = NO_SLOT,
        .recovery = NO_SLOT,
    };
    connection->generation = generation & GENERATION_MASK;
    connection->largest_window_bits = tcp_bits_of(connection->window);
    extents_init(&connection->base);
    congestion_init(connection, engine);
}

struct tcp_connection *tcp_open(struct tcp_engine *engine, const struct packet *packet, const struct cookie_options *agreed)
{
    struct tcp_connection *connection = slab_take(&engine->slots);
    int neighbour;

    if (!connection)
        return NULL;
    neighbour = host_use_neighbour(engine->host, &packet->remote, packet->local, packet->ethernet + 6, engine->now_ns);
    if (neighbour >= 0 && table_add(&engine->table, packet->hash, tcp_slot(engine, connection))) {
        init(engine, connection, packet, agreed);
        connection->neighbour = (uint16_t)neighbour;
        counter_add(&engine->base.counters.open_connections, 1);
        return connection;
    }
    if (neighbour >= 0)
        host_leave_neighbour(engine->host, (unsigned)neighbour);
    slab_give(&engine->slots, connection);
    return NULL;
}

void tcp_release_slot(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (!connection->reported || connection->in_todo || connection->base.queued)
        return;
    assert(connection->base.held_sequence == HOLDS_NONE && connection->recovery == NO_SLOT && connection->mark_count == 0);
    connection->reported = false;
    connection->remote_port = 0; /* the slot is free */
    slab_give(&engine->slots, connection);
}

void tcp_todo(struct tcp_engine *engine, struct tcp_connection *connection)
{
    if (connection->in_todo)
        return;
    connection->in_todo = true;
    engine->todo.slots[engine->todo.count++] = tcp_slot(engine, connection);
}

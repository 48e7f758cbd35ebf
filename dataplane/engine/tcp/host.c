#include "engine/tcp/host.h"

#include "flashrelay/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* After this long without a confirmation a neighbour is asked for. */
#define STALE_SECONDS 30

#define MAC_MASK  ((UINT64_C(1) << 48) - 1)
#define V4_OFFSET 12 /* of an IPv4 address in struct ip_address */

int host_create(struct host **out, const struct host_options *options, const struct port_limits *limits, unsigned engines)
{
    struct host *host = calloc(1, sizeof *host);

    if (!host)
        return -ENOMEM;
    host->news = aligned_alloc(_Alignof(struct host_news), engines * sizeof *host->news);
    if (!host->news) {
        free(host);
        return -ENOMEM;
    }
    memset(host->news, 0, engines * sizeof *host->news);
    host->options = *options;
    host->engines = engines;
    memcpy(host->mac, limits->mac, sizeof host->mac);
    atomic_flag_clear(&host->changing);
    *out = host;
    return 0;
}

void host_destroy(struct host *host)
{
    if (!host)
        return;
    free(host->news);
    free(host);
}

/* --- own addresses --- */

bool host_find_v4(const struct host *host, const uint8_t bytes[4], uint8_t *local)
{
    for (unsigned i = 0; i < host->options.address_count; i++) {
        const struct ip_address *ip = &host->options.addresses[i].ip;

        if (memcmp(ip->bytes + V4_OFFSET, bytes, 4) != 0 || !ip_address_is_v4(ip))
            continue;
        *local = (uint8_t)i;
        return true;
    }
    return false;
}

static bool is_solicited_node(const uint8_t bytes[16], const struct ip_address *ip)
{
    static const uint8_t prefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff};

    return memcmp(bytes, prefix, sizeof prefix) == 0 && memcmp(bytes + 13, ip->bytes + 13, 3) == 0;
}

bool host_find_v6(const struct host *host, const uint8_t bytes[16], uint8_t *local)
{
    for (unsigned i = 0; i < host->options.address_count; i++) {
        const struct ip_address *ip = &host->options.addresses[i].ip;

        if (ip_address_is_v4(ip) || (memcmp(ip->bytes, bytes, 16) != 0 && !is_solicited_node(bytes, ip)))
            continue;
        *local = (uint8_t)i;
        return true;
    }
    return false;
}

/* True if the first `bits` bits are equal, counted from the IPv4 part of mapped addresses. */
static bool has_prefix(const struct ip_address *ip, const struct host_address *network)
{
    bool is_v4 = ip_address_is_v4(ip);
    unsigned from = is_v4 ? V4_OFFSET : 0, bits = network->prefix_bits, bytes = bits / 8;
    uint8_t mask = (uint8_t)(0xff00u >> bits % 8);

    if (is_v4 != ip_address_is_v4(&network->ip) || memcmp(ip->bytes + from, network->ip.bytes + from, bytes) != 0)
        return false;
    return bits % 8 == 0 || ((ip->bytes[from + bytes] ^ network->ip.bytes[from + bytes]) & mask) == 0;
}

static bool is_broadcast(const struct host *host, const struct ip_address *ip)
{
    static const uint8_t all_ones[4] = {0xff, 0xff, 0xff, 0xff};

    if (memcmp(ip->bytes + V4_OFFSET, all_ones, sizeof all_ones) == 0)
        return true;
    for (unsigned i = 0; i < host->options.address_count; i++) {
        const struct host_address *own = &host->options.addresses[i];
        uint32_t host_bits = own->prefix_bits < 31 ? UINT32_MAX >> own->prefix_bits : 0;
        const uint8_t *last = ip->bytes + V4_OFFSET;
        uint32_t value = (uint32_t)last[0] << 24 | (uint32_t)last[1] << 16 | (uint32_t)last[2] << 8 | last[3];

        if (ip_address_is_v4(&own->ip) && has_prefix(ip, own) && host_bits != 0 && (value & host_bits) == host_bits)
            return true;
    }
    return false;
}

bool host_is_peer(const struct host *host, const struct ip_address *ip)
{
    static const struct ip_address unspecified = {0}, loopback = {{[15] = 1}};
    uint8_t first = ip->bytes[V4_OFFSET];

    for (unsigned i = 0; i < host->options.address_count; i++)
        if (ip_address_equal(ip, &host->options.addresses[i].ip))
            return false;
    if (!ip_address_is_v4(ip))
        return ip->bytes[0] != 0xff && !ip_address_equal(ip, &unspecified) && !ip_address_equal(ip, &loopback);
    return first != 0 && first != 127 && first < 224 && !is_broadcast(host, ip);
}

/* --- neighbours --- */

static uint64_t join_mac(const uint8_t mac[6], uint64_t now_ns)
{
    uint64_t value = 0;

    memcpy(&value, mac, 6);
    return value | now_ns / NS_PER_S << 48;
}

static uint16_t age_of(const struct neighbour *neighbour, uint64_t now_ns)
{
    uint64_t value = atomic_load_explicit(&neighbour->mac_and_age, memory_order_relaxed);

    return (uint16_t)(now_ns / NS_PER_S - (value >> 48));
}

static bool is_on_link(const struct host *host, const struct ip_address *ip)
{
    for (unsigned i = 0; i < host->options.address_count; i++)
        if (has_prefix(ip, &host->options.addresses[i]))
            return true;
    return false;
}

/* The address of the next hop, or NULL if that is only known by its MAC address. */
static const struct ip_address *next_hop(const struct host *host, const struct ip_address *remote)
{
    if (is_on_link(host, remote))
        return remote;
    for (unsigned i = 0; i < host->options.gateway_count; i++)
        if (ip_address_is_v4(&host->options.gateways[i]) == ip_address_is_v4(remote))
            return &host->options.gateways[i];
    return NULL;
}

static bool is_neighbour(const struct neighbour *neighbour, const struct ip_address *hop, const uint8_t mac[6])
{
    uint64_t value = atomic_load_explicit(&neighbour->mac_and_age, memory_order_relaxed);

    if (hop)
        return neighbour->has_ip && ip_address_equal(&neighbour->ip, hop);
    return !neighbour->has_ip && value != 0 && ((value ^ join_mac(mac, 0)) & MAC_MASK) == 0;
}

/*
 * The table of neighbours is read without a lock where packets are sent, and changed under one: when a connection is made, when a neighbour
 * answers, and once per second. Entries that have users keep their address.
 */
static void lock(struct host *host)
{
    while (atomic_flag_test_and_set_explicit(&host->changing, memory_order_acquire))
        ;
}

static void unlock(struct host *host)
{
    atomic_flag_clear_explicit(&host->changing, memory_order_release);
}

/* Finds the neighbour, or the entry that it may have; -ENOBUFS if all are in use. */
static int find_place(const struct host *host, const struct ip_address *hop, const uint8_t mac[6])
{
    unsigned count = host->neighbour_count;
    int unused = count < HOST_NEIGHBOURS ? (int)count : -ENOBUFS;

    for (unsigned i = 0; i < count; i++) {
        if (is_neighbour(&host->neighbours[i], hop, mac))
            return (int)i;
        if (atomic_load_explicit(&host->neighbours[i].users, memory_order_relaxed) == 0)
            unused = (int)i;
    }
    return unused;
}

int host_use_neighbour(struct host *host, const struct ip_address *remote, uint8_t local, const uint8_t mac[6], uint64_t now_ns)
{
    const struct ip_address *hop = next_hop(host, remote);
    int place;

    lock(host);
    place = find_place(host, hop, mac);
    if (place >= 0) {
        struct neighbour *neighbour = &host->neighbours[place];

        if (!is_neighbour(neighbour, hop, mac)) {
            neighbour->has_ip = hop != NULL;
            neighbour->ip = hop ? *hop : (struct ip_address){0};
            neighbour->local = local;
            atomic_store_explicit(&neighbour->mac_and_age, join_mac(mac, now_ns), memory_order_relaxed);
        }
        atomic_fetch_add_explicit(&neighbour->users, 1, memory_order_relaxed);
        if ((unsigned)place == host->neighbour_count)
            host->neighbour_count++;
    }
    unlock(host);
    return place;
}

void host_leave_neighbour(struct host *host, unsigned neighbour)
{
    atomic_fetch_sub_explicit(&host->neighbours[neighbour].users, 1, memory_order_relaxed);
}

void host_learn(struct host *host, const struct ip_address *ip, const uint8_t mac[6], uint64_t now_ns)
{
    lock(host);
    for (unsigned i = 0; i < host->neighbour_count; i++)
        if (is_neighbour(&host->neighbours[i], ip, mac))
            atomic_store_explicit(&host->neighbours[i].mac_and_age, join_mac(mac, now_ns), memory_order_relaxed);
    unlock(host);
}

static bool is_stale(const struct neighbour *neighbour, uint64_t now_ns)
{
    return neighbour->has_ip && atomic_load_explicit(&neighbour->users, memory_order_relaxed) > 0 &&
           age_of(neighbour, now_ns) >= STALE_SECONDS;
}

bool host_next_stale(struct host *host, unsigned *place, uint64_t now_ns, struct ip_address *ip, uint8_t *local)
{
    bool found = false;

    lock(host);
    while (!found && *place < host->neighbour_count) {
        const struct neighbour *neighbour = &host->neighbours[(*place)++];

        found = is_stale(neighbour, now_ns);
        if (!found)
            continue;
        *ip = neighbour->ip;
        *local = neighbour->local;
    }
    unlock(host);
    return found;
}

/* --- news --- */

void host_tell(struct host *host, const struct host_too_big *news)
{
    for (unsigned i = 0; i < host->engines; i++) {
        struct host_news *ring = &host->news[i];
        uint32_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);

        if (written - atomic_load_explicit(&ring->read, memory_order_acquire) == HOST_NEWS)
            continue;
        ring->entries[written % HOST_NEWS] = *news;
        atomic_store_explicit(&ring->written, written + 1, memory_order_release);
    }
}

bool host_take_news(struct host *host, unsigned index, struct host_too_big *news)
{
    struct host_news *ring = &host->news[index];
    uint32_t read = atomic_load_explicit(&ring->read, memory_order_relaxed);

    if (read == atomic_load_explicit(&ring->written, memory_order_acquire))
        return false;
    *news = ring->entries[read % HOST_NEWS];
    atomic_store_explicit(&ring->read, read + 1, memory_order_release);
    return true;
}

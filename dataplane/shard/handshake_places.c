/* Each address is in a chained hash bucket, and in a list of the addresses with equally many places, so that the busiest is found at once. */
#include "shard/handshake_places.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

struct place_address {
    struct list_node bucket;     /* in its hash bucket, or in the list of unused ones */
    struct list_node same_count; /* in by_count[count] */
    struct list_node handshakes; /* the handshakes' nodes, oldest first */
    struct ip_address ip;
    uint32_t count;
};

struct handshake_places {
    uint32_t total, per_address, taken;
    uint32_t busiest; /* the highest count of any address */
    uint32_t mask;
    uint64_t seed;
    struct list_node unused;
    struct list_node *buckets;
    struct list_node *by_count; /* lists of addresses by their count, 1 to per_address */
    struct place_address addresses[];
};

/* --- life --- */

static uint32_t power_of_two(uint32_t n)
{
    uint32_t power = 1;

    while (power < n)
        power *= 2;
    return power;
}

static struct list_node *make_lists(uint32_t count)
{
    struct list_node *lists = malloc(count * sizeof *lists);

    for (uint32_t i = 0; lists && i < count; i++)
        list_init(&lists[i]);
    return lists;
}

int handshake_places_create(struct handshake_places **out, uint32_t total, uint32_t per_address, uint64_t seed)
{
    struct handshake_places *places = calloc(1, sizeof *places + total * sizeof places->addresses[0]);

    assert(total > 0 && per_address > 0);
    if (!places)
        return -ENOMEM;
    places->total = total;
    places->per_address = per_address;
    places->seed = seed;
    places->mask = power_of_two(total) - 1;
    places->buckets = make_lists(places->mask + 1);
    places->by_count = make_lists(per_address + 1);
    if (!places->buckets || !places->by_count) {
        handshake_places_destroy(places);
        return -ENOMEM;
    }
    list_init(&places->unused);
    for (uint32_t i = 0; i < total; i++)
        list_append(&places->unused, &places->addresses[i].bucket);
    *out = places;
    return 0;
}

void handshake_places_destroy(struct handshake_places *places)
{
    if (!places)
        return;
    free(places->buckets);
    free(places->by_count);
    free(places);
}

/* --- addresses --- */

static struct ip_address network_of(const struct ip_address *ip)
{
    struct ip_address network = *ip;

    if (!ip_address_is_v4(ip))
        memset(network.bytes + 8, 0, 8);
    return network;
}

static struct list_node *bucket_of(const struct handshake_places *places, const struct ip_address *network)
{
    return &places->buckets[XXH3_64bits_withSeed(network->bytes, sizeof network->bytes, places->seed) & places->mask];
}

static struct place_address *find(const struct handshake_places *places, const struct ip_address *network)
{
    const struct list_node *bucket = bucket_of(places, network);

    for (struct list_node *node = bucket->next; node != bucket; node = node->next)
        if (ip_address_equal(&LIST_ENTRY(node, struct place_address, bucket)->ip, network))
            return LIST_ENTRY(node, struct place_address, bucket);
    return NULL;
}

/* There are as many address structs as places, so one is unused where a place is free. */
static struct place_address *add(struct handshake_places *places, const struct ip_address *network)
{
    struct place_address *address = LIST_ENTRY(list_first(&places->unused), struct place_address, bucket);

    list_remove(&address->bucket);
    list_append(bucket_of(places, network), &address->bucket);
    list_init(&address->same_count);
    list_init(&address->handshakes);
    address->ip = *network;
    address->count = 0;
    return address;
}

static void set_count(struct handshake_places *places, struct place_address *address, uint32_t count)
{
    address->count = count;
    list_remove(&address->same_count);
    if (count > 0)
        list_append(&places->by_count[count], &address->same_count);
    if (count > places->busiest)
        places->busiest = count;
    while (places->busiest > 0 && list_is_empty(&places->by_count[places->busiest]))
        places->busiest--;
}

/* --- places --- */

struct list_node *handshake_places_find_busiest(const struct handshake_places *places)
{
    struct list_node *busiest = list_first(&places->by_count[places->busiest]);

    return busiest ? list_first(&LIST_ENTRY(busiest, struct place_address, same_count)->handshakes) : NULL;
}

struct list_node *handshake_places_find_victim(const struct handshake_places *places, const struct ip_address *ip)
{
    struct ip_address network = network_of(ip);
    struct place_address *address = find(places, &network);

    if (address && address->count >= places->per_address)
        return list_first(&address->handshakes);
    return places->taken < places->total ? NULL : handshake_places_find_busiest(places);
}

void handshake_places_enter(struct handshake_places *places, const struct ip_address *ip, struct list_node *node)
{
    struct ip_address network = network_of(ip);
    struct place_address *address = find(places, &network);

    assert(places->taken < places->total && (!address || address->count < places->per_address));
    if (!address)
        address = add(places, &network);
    list_append(&address->handshakes, node);
    set_count(places, address, address->count + 1);
    places->taken++;
}

void handshake_places_leave(struct handshake_places *places, const struct ip_address *ip, struct list_node *node)
{
    struct ip_address network = network_of(ip);
    struct place_address *address = find(places, &network);

    assert(address && address->count > 0);
    list_remove(node);
    places->taken--;
    set_count(places, address, address->count - 1);
    if (address->count > 0)
        return;
    list_remove(&address->bucket);
    list_append(&places->unused, &address->bucket);
}

uint32_t handshake_places_taken(const struct handshake_places *places)
{
    return places->taken;
}

/* A hash table of entry numbers, with open addressing and linear probing; the entries also form a list by age. */
#include "ingest/recent.h"

#include "flashrelay/list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CAPACITY 32768u
#define EMPTY        UINT16_MAX

struct entry {
    struct list_node by_age;
    struct recent_identity identity;
    uint64_t arrived_ns;
    uint32_t connection;
};

struct recent {
    struct list_node by_age; /* oldest first */
    uint64_t window_ns;
    uint32_t capacity, count;
    uint32_t mask;   /* of the table, at least twice as large as `capacity` */
    uint16_t *table; /* numbers of entries, or EMPTY */
    struct entry entries[];
};

int recent_create(struct recent **out, uint32_t capacity, uint64_t window_ns)
{
    struct recent *recent;
    uint32_t slots = 2;

    assert(capacity > 0 && capacity <= MAX_CAPACITY);
    while (slots < 2 * capacity)
        slots *= 2;
    recent = calloc(1, sizeof *recent + capacity * sizeof recent->entries[0]);
    if (!recent)
        return -ENOMEM;
    recent->table = malloc(slots * sizeof recent->table[0]);
    if (!recent->table) {
        free(recent);
        return -ENOMEM;
    }
    memset(recent->table, 0xff, slots * sizeof recent->table[0]);
    list_init(&recent->by_age);
    recent->window_ns = window_ns;
    recent->capacity = capacity;
    recent->mask = slots - 1;
    *out = recent;
    return 0;
}

void recent_destroy(struct recent *recent)
{
    if (!recent)
        return;
    free(recent->table);
    free(recent);
}

static uint32_t home_of(const struct recent *recent, const struct recent_identity *identity)
{
    return (uint32_t)identity->low & recent->mask;
}

static bool is_equal(const struct recent_identity *a, const struct recent_identity *b)
{
    return a->low == b->low && a->high == b->high;
}

/* The slot with the identity, or the empty one where it belongs. */
static uint32_t find_slot(const struct recent *recent, const struct recent_identity *identity)
{
    uint32_t slot = home_of(recent, identity);

    while (recent->table[slot] != EMPTY && !is_equal(&recent->entries[recent->table[slot]].identity, identity))
        slot = (slot + 1) & recent->mask;
    return slot;
}

/* Empties a slot and closes the gap: entries that were displaced past it move back, so that no search ends too early. */
static void empty_slot(struct recent *recent, uint32_t slot)
{
    uint32_t next = slot;

    for (;;) {
        uint32_t home;

        next = (next + 1) & recent->mask;
        if (recent->table[next] == EMPTY)
            break;
        home = home_of(recent, &recent->entries[recent->table[next]].identity);
        if (((next - home) & recent->mask) >= ((next - slot) & recent->mask)) {
            recent->table[slot] = recent->table[next];
            slot = next;
        }
    }
    recent->table[slot] = EMPTY;
}

bool recent_is_copy(const struct recent *recent, const struct recent_identity *identity, uint32_t connection, uint64_t now_ns,
                    uint64_t *behind_ns)
{
    uint16_t number = recent->table[find_slot(recent, identity)];
    const struct entry *entry = &recent->entries[number];

    if (number == EMPTY || entry->connection == connection || now_ns - entry->arrived_ns >= recent->window_ns)
        return false;
    *behind_ns = now_ns - entry->arrived_ns;
    return true;
}

/* Returns a free entry, in no list; if all are in use, the oldest is forgotten and returned. */
static struct entry *take_entry(struct recent *recent)
{
    struct entry *oldest;

    if (recent->count < recent->capacity) {
        struct entry *unused = &recent->entries[recent->count++];

        list_init(&unused->by_age);
        return unused;
    }
    oldest = LIST_ENTRY(list_first(&recent->by_age), struct entry, by_age);
    list_remove(&oldest->by_age);
    empty_slot(recent, find_slot(recent, &oldest->identity));
    return oldest;
}

void recent_remember(struct recent *recent, const struct recent_identity *identity, uint32_t connection, uint64_t now_ns)
{
    uint16_t number = recent->table[find_slot(recent, identity)];
    struct entry *entry;

    if (number != EMPTY) {
        entry = &recent->entries[number];
        list_remove(&entry->by_age);
    } else {
        entry = take_entry(recent);
        entry->identity = *identity;
        recent->table[find_slot(recent, identity)] = (uint16_t)(entry - recent->entries);
    }
    entry->connection = connection;
    entry->arrived_ns = now_ns;
    list_append(&recent->by_age, &entry->by_age);
}

/*
 * Snapshots: immutable tables that a control thread publishes by pointer and that the data plane's threads read without a lock. What
 * was replaced is freed once no reader can look at it any more: each reader says once per turn, in a cache line of its own, which
 * publication it has passed.
 *
 * A reader that has passed publication n has let go of everything that n replaced, and every pointer it reads from then on is newer: it
 * saw the number of the publication, which was written after the pointer. So neither side needs a fence. A reader that sleeps passes
 * nothing: whoever waits for memory to come back wakes it.
 */
#ifndef FLASHRELAY_SNAPSHOT_H
#define FLASHRELAY_SNAPSHOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* The part that every published table has; tables embed it. */
struct snapshot {
    void (*destroy)(struct snapshot *snapshot); /* called once, on the thread of a publisher */
    struct snapshot *next_replaced;             /* the group's, as is the next */
    uint64_t replaced_by;                       /* number of the publication that took its place */
};

/* Where one kind of table is published. Zeroed: nothing is. */
struct snapshot_slot {
    struct snapshot *_Atomic current;
};

struct snapshot_reader {
    _Alignas(64) _Atomic uint64_t passed; /* number of a publication */
};

/* Slots that the same threads read. */
struct snapshot_group {
    _Alignas(64) _Atomic uint64_t publications; /* so far, in all slots */
    pthread_mutex_t lock;                       /* of the publishers; guards the rest */
    struct snapshot *replaced;
    unsigned reader_count;
    struct snapshot_reader readers[];
};

/* A group with readers 0 to `readers` - 1. Each holds memory back until its first turn. 0 or -ENOMEM. */
int snapshot_group_create(struct snapshot_group **out, unsigned readers);

/* Frees the group and what was replaced, not what slots hold. No reader runs any more. NULL is allowed. */
void snapshot_group_destroy(struct snapshot_group *group);

/*
 * Publishes `snapshot` (NULL: nothing) in a slot of the group, which owns it from here on; what was there is freed by this or a later
 * call, once every reader has passed. Any thread but a reader's in its turn; publishers wait for each other.
 */
void snapshot_publish(struct snapshot_group *group, struct snapshot_slot *slot, struct snapshot *snapshot);

/* Frees what no reader can look at any more. How many replaced ones are left. As snapshot_publish. */
unsigned snapshot_reclaim(struct snapshot_group *group);

/*
 * Between these nothing is published or freed, so that a thread that is no reader may look at what is there. For threads that look now
 * and then, such as a scrape; they hold up publishers.
 */
void snapshot_group_lock(struct snapshot_group *group);
void snapshot_group_unlock(struct snapshot_group *group);

/* What the slot holds now, or NULL. Readers: good until the end of the turn. */
static inline const struct snapshot *snapshot_read(const struct snapshot_slot *slot)
{
    return atomic_load_explicit(&slot->current, memory_order_acquire);
}

/* Reader `reader`, on its thread, between two turns: it looks at nothing that it read before. */
static inline void snapshot_pass_turn(struct snapshot_group *group, unsigned reader)
{
    uint64_t publications = atomic_load_explicit(&group->publications, memory_order_acquire);

    atomic_store_explicit(&group->readers[reader].passed, publications, memory_order_release);
}

#endif

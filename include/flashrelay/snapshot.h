/*
 * Snapshots: immutable tables that a control thread publishes by pointer and that the data plane's threads read without a lock. A replaced
 * table is freed once no reader can look at it any more: each reader stores once per turn, in a cache line of its own, which publication it
 * has passed.
 *
 * A reader that has passed publication n has let go of everything that n replaced, and every pointer that it reads from then on is newer:
 * it saw the number of the publication, which was written after the pointer. So neither side needs a fence. A reader that sleeps passes no
 * publication: a thread that waits for replaced tables to be freed must wake it.
 */
#ifndef FLASHRELAY_SNAPSHOT_H
#define FLASHRELAY_SNAPSHOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* The part that every published table has; tables embed it. */
struct snapshot {
    void (*destroy)(struct snapshot *snapshot); /* called once, on a publisher's thread, or by snapshot_group_destroy */
    struct snapshot *next_replaced;             /* used by the group, as is replaced_by */
    uint64_t replaced_by;                       /* number of the publication that replaced the table */
};

/* A place where one kind of table is published. Zeroed: it holds no table. */
struct snapshot_slot {
    struct snapshot *_Atomic current;
};

struct snapshot_reader {
    _Alignas(64) _Atomic uint64_t passed; /* number of a publication */
};

/* The readers of several slots: the same threads read all of these. */
struct snapshot_group {
    _Alignas(64) _Atomic uint64_t publications; /* so far, in all slots */
    pthread_mutex_t lock;                       /* of the publishers; guards the rest */
    struct snapshot *replaced;
    unsigned reader_count;
    struct snapshot_reader readers[];
};

/* Creates a group with readers 0 to `readers` - 1. Until a reader's first turn no replaced table is freed. 0 or -ENOMEM. */
int snapshot_group_create(struct snapshot_group **out, unsigned readers);

/* Frees the group and the replaced tables, not those in slots, once no reader runs any more. NULL is allowed. */
void snapshot_group_destroy(struct snapshot_group *group);

/*
 * Publishes `snapshot` (NULL: empties the slot) in a slot of the group, which owns it from here on. The table that it replaces is freed by
 * this or a later call, once every reader has passed the publication. Any thread, except a reader during its turn; publishers wait for each
 * other.
 */
void snapshot_publish(struct snapshot_group *group, struct snapshot_slot *slot, struct snapshot *snapshot);

/* Frees the replaced tables that no reader can look at any more; returns how many are left. Threads as for snapshot_publish. */
unsigned snapshot_reclaim(struct snapshot_group *group);

/*
 * Between these two calls no table is published or freed, so that a thread that is no reader may read slots. For threads that read them now
 * and then, such as a scrape: publishers wait meanwhile.
 */
void snapshot_group_lock(struct snapshot_group *group);
void snapshot_group_unlock(struct snapshot_group *group);

/* The table in the slot, or NULL. A reader may use it until the end of its turn, another thread until snapshot_group_unlock. */
static inline const struct snapshot *snapshot_read(const struct snapshot_slot *slot)
{
    return atomic_load_explicit(&slot->current, memory_order_acquire);
}

/* Called by the thread of reader `reader` between two turns: it uses no table any more that it read before. */
static inline void snapshot_pass_turn(struct snapshot_group *group, unsigned reader)
{
    uint64_t publications = atomic_load_explicit(&group->publications, memory_order_acquire);

    atomic_store_explicit(&group->readers[reader].passed, publications, memory_order_release);
}

#endif

#include "flashrelay/snapshot.h"

#include <errno.h>
#include <stdlib.h>

int snapshot_group_create(struct snapshot_group **out, unsigned readers)
{
    size_t bytes = sizeof(struct snapshot_group) + readers * sizeof(struct snapshot_reader);
    struct snapshot_group *group;
    void *memory;

    if (posix_memalign(&memory, _Alignof(struct snapshot_group), bytes) != 0)
        return -ENOMEM;
    group = memory;
    atomic_init(&group->publications, 0);
    pthread_mutex_init(&group->lock, NULL);
    group->replaced = NULL;
    group->reader_count = readers;
    for (unsigned i = 0; i < readers; i++)
        atomic_init(&group->readers[i].passed, 0);
    *out = group;
    return 0;
}

/* Frees the tables that were replaced at or before publication `passed`; returns how many replaced tables are left. */
static unsigned free_replaced(struct snapshot_group *group, uint64_t passed)
{
    struct snapshot **link = &group->replaced;
    unsigned left = 0;

    while (*link) {
        struct snapshot *snapshot = *link;

        if (snapshot->replaced_by > passed) {
            link = &snapshot->next_replaced;
            left++;
        } else {
            *link = snapshot->next_replaced;
            snapshot->destroy(snapshot);
        }
    }
    return left;
}

void snapshot_group_destroy(struct snapshot_group *group)
{
    if (!group)
        return;
    free_replaced(group, UINT64_MAX);
    pthread_mutex_destroy(&group->lock);
    free(group);
}

/* The newest publication that every reader has passed. */
static uint64_t passed_by_all(const struct snapshot_group *group)
{
    uint64_t lowest = atomic_load_explicit(&group->publications, memory_order_relaxed);

    for (unsigned i = 0; i < group->reader_count; i++) {
        uint64_t passed = atomic_load_explicit(&group->readers[i].passed, memory_order_acquire);

        lowest = passed < lowest ? passed : lowest;
    }
    return lowest;
}

void snapshot_publish(struct snapshot_group *group, struct snapshot_slot *slot, struct snapshot *snapshot)
{
    struct snapshot *old;
    uint64_t number;

    snapshot_group_lock(group);
    old = atomic_exchange_explicit(&slot->current, snapshot, memory_order_acq_rel);
    number = atomic_load_explicit(&group->publications, memory_order_relaxed) + 1;
    atomic_store_explicit(&group->publications, number, memory_order_release);
    if (old) {
        old->replaced_by = number;
        old->next_replaced = group->replaced;
        group->replaced = old;
    }
    free_replaced(group, passed_by_all(group));
    snapshot_group_unlock(group);
}

unsigned snapshot_reclaim(struct snapshot_group *group)
{
    unsigned left;

    snapshot_group_lock(group);
    left = free_replaced(group, passed_by_all(group));
    snapshot_group_unlock(group);
    return left;
}

void snapshot_group_lock(struct snapshot_group *group)
{
    pthread_mutex_lock(&group->lock);
}

void snapshot_group_unlock(struct snapshot_group *group)
{
    pthread_mutex_unlock(&group->lock);
}

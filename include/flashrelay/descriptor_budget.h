/*
 * A budget of file descriptors, which the engines of one process share for their connections. Descriptors beyond the budget stay free for
 * other uses, so that a process full of connections can still connect, resolve names and answer scrapes. Descriptors are short while fewer
 * than `short_below` are left: then connections that are no subscribers give way to new ones. A budget that is NULL has no limit. Any thread
 * may call these functions.
 */
#ifndef FLASHRELAY_DESCRIPTOR_BUDGET_H
#define FLASHRELAY_DESCRIPTOR_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct descriptor_budget {
    _Atomic int64_t left; /* set before the engines run; below 0 if more were spent than the budget had */
    int64_t short_below;  /* set before the engines run; 0: descriptors are never short */
};

/* How many descriptors can be taken before they are short; below 0: they are short. */
static inline int64_t descriptor_budget_spare(const struct descriptor_budget *budget)
{
    return budget ? atomic_load_explicit(&budget->left, memory_order_relaxed) - budget->short_below : INT64_MAX;
}

/* Takes a descriptor for a connection that can wait to be accepted; false if none is left. */
static inline bool descriptor_budget_take(struct descriptor_budget *budget)
{
    int64_t left = budget ? atomic_load_explicit(&budget->left, memory_order_relaxed) : 0;

    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(&budget->left, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
            return true;
    return !budget;
}

/* Takes a descriptor for a connection that cannot wait, even if none is left. */
static inline void descriptor_budget_spend(struct descriptor_budget *budget)
{
    if (budget)
        atomic_fetch_sub_explicit(&budget->left, 1, memory_order_relaxed);
}

/* Gives a descriptor back, once it is closed or has left the engines. */
static inline void descriptor_budget_return(struct descriptor_budget *budget)
{
    if (budget)
        atomic_fetch_add_explicit(&budget->left, 1, memory_order_relaxed);
}

#endif

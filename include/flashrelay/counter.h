/* Counters that one thread writes and any thread reads, without locks or locked instructions. */
#ifndef FLASHRELAY_COUNTER_H
#define FLASHRELAY_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* Written by one thread, read by any. */
typedef _Atomic uint64_t counter;

/* The counter's present value. Any thread. */
static inline uint64_t counter_read(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* Replaces the value. The owning thread. */
static inline void counter_set(counter *c, uint64_t value)
{
    atomic_store_explicit(c, value, memory_order_relaxed);
}

/* Adds `n`; beyond UINT64_MAX the value begins again at 0. The owning thread: two that add at once would lose counts. */
static inline void counter_add(counter *c, uint64_t n)
{
    counter_set(c, counter_read(c) + n);
}

/* Takes `n` off a value that is at least `n`. The owning thread. */
static inline void counter_subtract(counter *c, uint64_t n)
{
    counter_set(c, counter_read(c) - n);
}

#endif

/* Counters that one thread writes and any thread reads, without locks or locked instructions. */
#ifndef FLASHRELAY_COUNTER_H
#define FLASHRELAY_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* Written by one thread, read by any. */
typedef _Atomic uint64_t counter;

/* Any thread. */
static inline uint64_t counter_read(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* The owning thread, as for the functions below. */
static inline void counter_set(counter *c, uint64_t value)
{
    atomic_store_explicit(c, value, memory_order_relaxed);
}

static inline void counter_add(counter *c, uint64_t n)
{
    counter_set(c, counter_read(c) + n);
}

static inline void counter_subtract(counter *c, uint64_t n)
{
    counter_set(c, counter_read(c) - n);
}

#endif

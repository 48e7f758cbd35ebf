/* Time. Only threads' loops and engines read clocks; everything below gets `now_ns` as an argument. */
#ifndef FLASHRELAY_CLOCK_H
#define FLASHRELAY_CLOCK_H

#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

/* A deadline that never comes. */
#define CLOCK_NEVER UINT64_MAX

/* CLOCK_MONOTONIC in nanoseconds. Any thread. */
uint64_t clock_monotonic_ns(void);

/* CLOCK_REALTIME in nanoseconds since 1970. Any thread. */
uint64_t clock_realtime_ns(void);

#endif

/* Arithmetic of TCP's 32-bit sequence numbers, and of times in ticks, which wrap as they do (RFC 9293, 3.4). */
#ifndef DATAPLANE_ENGINE_TCP_SEQUENCE_H
#define DATAPLANE_ENGINE_TCP_SEQUENCE_H

#include "flashrelay/clock.h"

#include <stdbool.h>
#include <stdint.h>

static inline bool sequence_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool sequence_after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) > 0;
}

static inline uint32_t sequence_lower(uint32_t a, uint32_t b)
{
    return sequence_before(a, b) ? a : b;
}

static inline uint32_t sequence_higher(uint32_t a, uint32_t b)
{
    return sequence_after(a, b) ? a : b;
}

/*
 * Times of a connection are in ticks of 1.024 us, in 32 bits, which wrap after 73 minutes. No time is compared with one of more than half of
 * that before: whatever is older is set anew when a connection that was idle sends again.
 */
#define TICK_SHIFT      10
#define TICKS_OF_MS(ms) ((uint32_t)(((ms)*NS_PER_MS) >> TICK_SHIFT))
#define TICKS_PER_S     TICKS_OF_MS(1000)

static inline uint32_t ticks_of(uint64_t now_ns)
{
    return (uint32_t)(now_ns >> TICK_SHIFT);
}

#endif

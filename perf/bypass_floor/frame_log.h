/* The frames that are sent, in a ring of memory as the relay's log is, with the checksums of their segments. */
#ifndef PERF_BYPASS_FLOOR_FRAME_LOG_H
#define PERF_BYPASS_FLOOR_FRAME_LOG_H

#include <stdint.h>

#define LOG_BYTES      (UINT32_C(64) << 20)
#define LOG_FRAMES     64u /* that are known; a power of two */
#define LOG_MAX_FRAME  (UINT32_C(1) << 20)
#define LOG_MAX_PIECES 2048u /* segments of a frame */

struct log_frame {
    const uint8_t *bytes;
    uint32_t length;
    uint32_t segments;
    uint16_t sums[LOG_MAX_PIECES]; /* of each segment's payload, as it lies in memory */
};

struct frame_log {
    uint8_t *memory;
    uint32_t used; /* where the next frame begins */
    uint64_t head; /* number of the next frame */
    uint32_t mss;
    struct log_frame *frames;
};

/* 0 or -ENOMEM. The memory is filled from `seed`. frame_log_dispose frees it; a zeroed one is allowed. */
int frame_log_init(struct frame_log *log, uint32_t mss, uint64_t seed);
void frame_log_dispose(struct frame_log *log);

/* Adds a frame of `length` bytes and sums its segments. Returns it. */
const struct log_frame *frame_log_append(struct frame_log *log, uint32_t length);

static inline const struct log_frame *frame_log_get(const struct frame_log *log, uint64_t number)
{
    return &log->frames[number % LOG_FRAMES];
}

#endif

#include "bypass_floor/frame_log.h"

#include "flashrelay/random.h"
#include "population/huge_memory.h"

#include <rte_ip.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int frame_log_init(struct frame_log *log, uint32_t mss, uint64_t seed)
{
    struct random random;

    *log = (struct frame_log){
        .mss = mss,
        .memory = huge_memory_map(LOG_BYTES),
        .frames = calloc(LOG_FRAMES, sizeof *log->frames),
    };
    if (!log->memory || !log->frames) {
        frame_log_dispose(log);
        return -ENOMEM;
    }
    random_seed(&random, seed);
    for (uint32_t at = 0; at < LOG_BYTES; at += sizeof(uint64_t)) {
        uint64_t bytes = random_next(&random);

        memcpy(log->memory + at, &bytes, sizeof bytes);
    }
    return 0;
}

void frame_log_dispose(struct frame_log *log)
{
    huge_memory_unmap(log->memory, LOG_BYTES);
    free(log->frames);
    *log = (struct frame_log){0};
}

const struct log_frame *frame_log_append(struct frame_log *log, uint32_t length)
{
    struct log_frame *frame = &log->frames[log->head++ % LOG_FRAMES];

    if (log->used + length > LOG_BYTES)
        log->used = 0;
    frame->bytes = log->memory + log->used;
    frame->length = length;
    frame->segments = (length + log->mss - 1) / log->mss;
    log->used += (length + 63) / 64 * 64;
    for (uint32_t i = 0, at = 0; i < frame->segments; i++, at += log->mss)
        frame->sums[i] = rte_raw_cksum(frame->bytes + at, RTE_MIN(log->mss, length - at));
    return frame;
}

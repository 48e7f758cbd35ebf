/*
 * Epochs: all segments that are sent in a turn hold the payload together, by the count in one rte_mbuf_ext_shared_info. Either every segment
 * is counted, or only the last one of the turn: that suffices where the driver frees in order.
 */
#ifndef PERF_BYPASS_FLOOR_EPOCHS_H
#define PERF_BYPASS_FLOOR_EPOCHS_H

#include <rte_mbuf.h>

#include <stdbool.h>
#include <stdint.h>

#define EPOCHS 64

struct epoch {
    struct rte_mbuf_ext_shared_info info;
    uint64_t lowest_frame; /* that its segments may refer to */
    bool is_over;
};

struct epochs {
    struct epoch ring[EPOCHS];
    uint64_t oldest, next; /* numbers: oldest to next - 1 are not over */
    uint64_t waited;       /* times that an epoch went on because all others were in use */
};

void epochs_init(struct epochs *epochs);

/* Begins an epoch whose count is 1, unless all are in use: then the newest goes on. */
struct epoch *epochs_begin(struct epochs *epochs, uint64_t lowest_frame);

/* Raises the count of an epoch before segments are sent that will lower it. */
static inline void epoch_add(struct epoch *epoch, uint16_t segments)
{
    /* Only the sending thread changes the count. */
    rte_mbuf_ext_refcnt_set(&epoch->info, (uint16_t)(rte_mbuf_ext_refcnt_read(&epoch->info) + segments));
}

/* Lowers the count by the 1 with which the epoch began. */
void epoch_end(struct epoch *epoch);

/* The lowest frame that an epoch holds; UINT64_MAX if none does. */
uint64_t epochs_lowest_frame(struct epochs *epochs);

#endif

#include "bypass_floor/epochs.h"

#include <rte_common.h>

static void on_last_free(void *address, void *opaque)
{
    struct epoch *epoch = opaque;

    (void)address;
    epoch->is_over = true;
}

void epochs_init(struct epochs *epochs)
{
    *epochs = (struct epochs){0};
    for (unsigned i = 0; i < EPOCHS; i++)
        epochs->ring[i].info = (struct rte_mbuf_ext_shared_info){.free_cb = on_last_free, .fcb_opaque = &epochs->ring[i]};
}

static void retire(struct epochs *epochs)
{
    while (epochs->oldest < epochs->next && epochs->ring[epochs->oldest % EPOCHS].is_over)
        epochs->oldest++;
}

struct epoch *epochs_begin(struct epochs *epochs, uint64_t lowest_frame)
{
    struct epoch *epoch;

    retire(epochs);
    if (epochs->next - epochs->oldest == EPOCHS) {
        epochs->waited++;
        epoch = &epochs->ring[(epochs->next - 1) % EPOCHS];
        epoch->is_over = false;
        epoch_add(epoch, 1);
        return epoch;
    }
    epoch = &epochs->ring[epochs->next++ % EPOCHS];
    epoch->lowest_frame = lowest_frame;
    epoch->is_over = false;
    rte_mbuf_ext_refcnt_set(&epoch->info, 1);
    return epoch;
}

void epoch_end(struct epoch *epoch)
{
    if (rte_mbuf_ext_refcnt_update(&epoch->info, -1) == 0)
        epoch->is_over = true;
}

uint64_t epochs_lowest_frame(struct epochs *epochs)
{
    retire(epochs);
    return epochs->oldest < epochs->next ? epochs->ring[epochs->oldest % EPOCHS].lowest_frame : UINT64_MAX;
}

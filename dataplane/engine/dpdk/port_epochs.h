/*
 * The epochs of a port. All payloads of an epoch refer to one rte_mbuf_ext_shared_info, whose count is the number of payload mbufs that are
 * not freed yet, and one more as long as the epoch is open. Any thread may free them.
 */
#ifndef DATAPLANE_ENGINE_DPDK_PORT_EPOCHS_H
#define DATAPLANE_ENGINE_DPDK_PORT_EPOCHS_H

#include "engine/tcp/port.h"

#include <rte_mbuf.h>

#include <stdatomic.h>

struct port_epoch {
    struct rte_mbuf_ext_shared_info info;
    _Atomic bool over;
};

struct port_epochs {
    struct port_epoch ring[PORT_EPOCHS]; /* an epoch's place is its number modulo PORT_EPOCHS */
    uint64_t oldest;                     /* number of the oldest epoch that is not known to be over */
    uint64_t next;                       /* number of the next epoch */
    struct port_epoch *open;             /* the last one; NULL before the first, and when there was no room for another */
};

void port_epochs_init(struct port_epochs *epochs);

/* As port_ops.begin_epoch and port_ops.oldest_epoch. */
uint64_t port_epochs_begin(struct port_epochs *epochs);
uint64_t port_epochs_oldest(struct port_epochs *epochs);

/* Counts `count` more payload mbufs of the open epoch, before they are handed to the device. */
static inline void port_epochs_hold(struct port_epochs *epochs, unsigned count)
{
    rte_mbuf_ext_refcnt_update(&epochs->open->info, (int16_t)count);
}

#endif

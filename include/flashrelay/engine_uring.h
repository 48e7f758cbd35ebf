/* The io_uring engine: one ring per thread. */
#ifndef FLASHRELAY_ENGINE_URING_H
#define FLASHRELAY_ENGINE_URING_H

#include "flashrelay/engine.h"

/* What this kernel and these limits allow, found out by trying; each missing one was logged once with what is lost. */
struct uring_features {
    bool single_issuer, defer_taskrun;
    bool buffer_ring, multishot_receive;
    bool message_ring; /* IORING_OP_MSG_RING works between two such rings */
    bool zerocopy_send, zerocopy_report;
};

/*
 * Makes an engine for the calling thread to hand to the thread that will run it (the ring is enabled by its first turn).
 * 0, -ENOSYS or -EPERM where io_uring is missing or forbidden, -ENOMEM, -EMFILE (logged, with what would help).
 */
int engine_uring_create(struct engine **out, const struct engine_options *options);

/* The features in use. */
const struct uring_features *engine_uring_features(const struct engine *engine);

#endif

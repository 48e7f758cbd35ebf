/* The io_uring engine: one ring per thread. */
#ifndef FLASHRELAY_ENGINE_URING_H
#define FLASHRELAY_ENGINE_URING_H

#include "flashrelay/engine.h"

/* Features that this kernel and its limits allow, found out by trying. What is missing was logged once, with what is lost. */
struct uring_features {
    bool single_issuer, defer_taskrun;
    bool buffer_ring, multishot_receive;
    bool message_ring; /* IORING_OP_MSG_RING works between two such rings */
    bool zerocopy_send, zerocopy_report;
};

/*
 * Creates an engine, which the calling thread hands to the thread that will run it (its first turn enables the ring); engine_destroy frees
 * it. 0; -ENOSYS, -EPERM or -EACCES where io_uring is missing or forbidden; -ENOMEM, also where the limit of locked memory is too low for the
 * ring; or another negative errno.
 */
int engine_uring_create(struct engine **out, const struct engine_options *options);

/* The features in use. */
const struct uring_features *engine_uring_features(const struct engine *engine);

#endif

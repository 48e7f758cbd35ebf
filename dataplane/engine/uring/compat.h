/* What newer kernels understand and an older liburing (2.3) does not name or export. */
#ifndef DATAPLANE_ENGINE_URING_COMPAT_H
#define DATAPLANE_ENGINE_URING_COMPAT_H

#include <liburing.h>

/* Linux 6.2: the notification of a zero-copy send says whether the kernel copied after all. */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

/* liburing 2.3 declares io_uring_enable_rings and does not export it. */
static inline int compat_enable_ring(struct io_uring *ring)
{
    return io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

#endif

#include "machine/affinity.h"

/* The largest set of processors that is asked for; Linux has been built for 8,192. */
#define MAX_PROCESSORS (1 << 16)

/* Tries larger sets until one fits: sched_getaffinity fails with EINVAL as long as the set is smaller than the kernel's. */
cpu_set_t *affinity_read(size_t *bytes)
{
    for (size_t size = CPU_SETSIZE; size <= MAX_PROCESSORS; size *= 2) {
        cpu_set_t *allowed = CPU_ALLOC(size);

        if (!allowed)
            return NULL;
        *bytes = CPU_ALLOC_SIZE(size);
        if (sched_getaffinity(0, *bytes, allowed) == 0)
            return allowed;
        CPU_FREE(allowed);
    }
    return NULL;
}

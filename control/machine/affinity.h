/* The processors on which this process may run. */
#ifndef CONTROL_MACHINE_AFFINITY_H
#define CONTROL_MACHINE_AFFINITY_H

#include <sched.h>
#include <stddef.h>

/*
 * Returns the calling thread's affinity, a set of `*bytes` bytes for the macros CPU_ISSET_S and CPU_COUNT_S, however many processors the
 * kernel was built for. The caller frees it with CPU_FREE. NULL without memory, or if the kernel refuses to say.
 */
cpu_set_t *affinity_read(size_t *bytes);

#endif

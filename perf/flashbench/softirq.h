/* The kernel's softirq threads, which do part of the network's work for a proxy without being charged to it. */
#ifndef PERF_FLASHBENCH_SOFTIRQ_H
#define PERF_FLASHBENCH_SOFTIRQ_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/* CPU time of the ksoftirqd threads of `cores`, in ns. False if none of them can be seen (a container with processes of its own). */
bool softirq_cpu_ns(const cpu_set_t *cores, uint64_t *ns);

#endif

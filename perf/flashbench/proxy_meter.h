/*
 * What a proxy uses while it is measured. The measurement has two ends: for figures per second, the clock stops when the measured time is
 * over; for figures per delivery and per message, the meter stops when all deliveries have arrived or were given up.
 */
#ifndef PERF_FLASHBENCH_PROXY_METER_H
#define PERF_FLASHBENCH_PROXY_METER_H

#include "common/usage_meter.h"

#include <sched.h>
#include <stdbool.h>

struct proxy_usage {
    double seconds;                              /* from start to stop_clock */
    struct process_usage timed, total;           /* until stop_clock; until stop */
    uint64_t timed_softirq_ns, total_softirq_ns; /* of ksoftirqd on `cores` */
    bool is_known;                               /* false: which processes belong to the proxy is not known */
    bool softirq_is_known;                       /* false: no ksoftirqd can be seen */
    bool shares_cores;                           /* flashbench may run on some of `cores`: the softirq times include its part */
    cpu_set_t cores;                             /* on which the proxy may run */
    pid_t group;
    unsigned processes;    /* in `group`, at the start */
    char programs[96];     /* names of their programs */
    uint64_t system_calls; /* until stop; 0: not counted */
};

struct proxy_meter;

/* Creates a meter of the process group `group`; 0: it is not known. NULL if memory is exhausted. */
struct proxy_meter *proxy_meter_create(pid_t group, bool count_system_calls);
void proxy_meter_destroy(struct proxy_meter *meter);

/* The measured time begins. */
void proxy_meter_start(struct proxy_meter *meter);

/* Called about once per second, so that threads and processes that end before the next call stay counted. */
void proxy_meter_look(struct proxy_meter *meter);

/* The measured time is over. */
void proxy_meter_stop_clock(struct proxy_meter *meter);

/* No more deliveries are waited for; `usage` gets the sums. After proxy_meter_stop_clock. */
void proxy_meter_stop(struct proxy_meter *meter, struct proxy_usage *usage);

#endif

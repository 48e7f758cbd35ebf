/*
 * What a proxy uses while it is measured. There are two ends: the clock stops when the measured time is over, which is for figures per
 * second; the meter stops when all deliveries have arrived or were given up, which is for figures per delivery and per message.
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
    bool shares_cores;                           /* flashbench may run on some of `cores`, so its softirq time is in there */
    cpu_set_t cores;                             /* on which the proxy may run */
    pid_t group;
    unsigned processes;    /* in it, at the start */
    char programs[96];     /* their names */
    uint64_t system_calls; /* until stop; 0: not counted */
};

struct proxy_meter;

/* For the process group `group`, or 0 if it is not known. NULL without memory. */
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

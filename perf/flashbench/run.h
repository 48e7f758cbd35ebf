/* One run: one proxy, one builder and one crowd for a given time, and all that was measured. */
#ifndef PERF_FLASHBENCH_RUN_H
#define PERF_FLASHBENCH_RUN_H

#include "common/process_group.h"
#include "flashbench/crowd.h"
#include "flashbench/messages.h"
#include "flashbench/proxy.h"
#include "flashbench/proxy_meter.h"

#include <signal.h>

#define RUN_MAX_CORES 64

/* What is common to all runs of a measurement. */
struct run_options {
    uint64_t warm_up_ns, duration_ns, patience_ns;
    uint64_t burst;         /* messages offered at once each interval */
    uint64_t churn_per_s;   /* readers that disconnect and reconnect */
    uint64_t stalled, slow; /* subscribers beside the readers */
    uint64_t slow_bytes_per_s, reconnect_ns;
    uint64_t verify_every;
    bool poll;              /* the crowd never sleeps */
    bool receivers_softirq; /* flashbench's core does the receiving half of loopback TCP */
    bool count_system_calls;
    const char *path;
    const char *scrape; /* report changes of metrics with this in their names; NULL: none */
    const char *proxy_output;
    int proxy_cores[RUN_MAX_CORES];
    unsigned proxy_core_count;
    /* For measuring a proxy that runs already: */
    const struct ws_uri *uri; /* of the running proxy; NULL: a proxy is started */
    struct address connect;   /* an address of its host */
    const struct address *builder_listen;
    pid_t group; /* process group of the running proxy; 0: unknown */
};

struct run_point {
    uint64_t subscribers, bytes, interval_ns;
};

/* Resident memory at one time. */
struct run_memory_point {
    double at_s;
    uint64_t rss_bytes;
};

#define RUN_MEMORY_POINTS 512

struct run_result {
    struct run_point point;
    const struct proxy *proxy;
    unsigned order;    /* number of the run in the measurement, from 1 */
    bool complete;     /* false: interrupted; the result holds what was settled until then */
    char failure[256]; /* why there is no result, or "" */
    struct message_totals totals;
    struct crowd_counters crowd;
    uint32_t open_at_end;
    double *ranks; /* mean rank of each reader, ascending: 0 always first, 1 always last */
    uint32_t rank_count;
    struct proxy_usage usage;
    struct process_memory memory_before, memory_after; /* with nobody connected; after the measured time */
    uint64_t memory_baseline_bytes;                    /* of the same proxy for a single subscriber; 0: not measured */
    struct run_memory_point memory_line[RUN_MEMORY_POINTS];
    unsigned memory_points;
    uint64_t peak_backlog;    /* most messages that were offered and not settled at the same time */
    struct recorder lateness; /* of the builder: how long after the due time it offered messages */
    double busy_share;        /* share of one core that flashbench used */
    bool was_bottleneck;
    char *scraped; /* metrics that changed, as "name difference" lines, or NULL */
};

/* Set by a signal: runs end early and report what they measured. */
extern volatile sig_atomic_t run_interrupted;

/* Called a few times per second during a run; `line` describes its progress as text. */
typedef void run_progress(void *context, const char *line);

/* The sum of PSS and huge pages. */
uint64_t run_memory_bytes(const struct process_memory *memory);

/* Deliveries that were repeated, reordered, corrupt or late, and protocol errors. */
uint64_t run_wrong(const struct run_result *result);

/* True if a delivery was lost or wrong or a reader was cut off: a ratio to such a run may compare less work with more. */
bool run_is_flawed(const struct run_result *result);

/* Makes one run. run_result_dispose frees the contents of the result. */
void run_measure(const struct run_options *options, const struct run_point *point, const struct proxy *proxy,
                 run_progress *progress, void *context, struct run_result *result);

void run_result_dispose(struct run_result *result);

#endif

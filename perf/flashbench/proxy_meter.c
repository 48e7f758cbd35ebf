#include "flashbench/proxy_meter.h"

#include "common/process_group.h"
#include "flashbench/softirq.h"
#include "flashbench/system_calls.h"
#include "flashrelay/clock.h"

#include <stdlib.h>

struct proxy_meter {
    struct proxy_usage usage;
    struct usage_meter *processes;
    struct system_calls *system_calls;
    uint64_t started_ns, softirq_start_ns, system_calls_start;
};

struct proxy_meter *proxy_meter_create(pid_t group, bool count_system_calls)
{
    struct proxy_meter *meter = calloc(1, sizeof *meter);

    if (!meter)
        return NULL;
    meter->usage.group = group;
    meter->usage.is_known = group != 0;
    if (group != 0 && count_system_calls)
        meter->system_calls = system_calls_open(group);
    return meter;
}

void proxy_meter_destroy(struct proxy_meter *meter)
{
    if (!meter)
        return;
    usage_meter_destroy(meter->processes);
    system_calls_close(meter->system_calls);
    free(meter);
}

/* The cores at the start of the measured time: by then the proxy's threads have chosen theirs. */
static void find_cores(struct proxy_usage *usage)
{
    cpu_set_t own, both;

    process_group_cores(usage->group, &usage->cores);
    sched_getaffinity(0, sizeof own, &own);
    CPU_AND(&both, &usage->cores, &own);
    usage->shares_cores = CPU_COUNT(&both) > 0;
}

void proxy_meter_start(struct proxy_meter *meter)
{
    struct proxy_usage *usage = &meter->usage;

    if (usage->is_known) {
        usage->processes = process_group_names(usage->group, usage->programs, sizeof usage->programs);
        find_cores(usage);
        usage->softirq_is_known = softirq_cpu_ns(&usage->cores, &meter->softirq_start_ns);
        meter->system_calls_start = system_calls_read(meter->system_calls);
        meter->processes = usage_meter_create(usage->group);
        usage->is_known = meter->processes && usage->processes > 0;
    }
    meter->started_ns = clock_monotonic_ns();
}

void proxy_meter_look(struct proxy_meter *meter)
{
    if (meter->usage.is_known)
        usage_meter_read(meter->processes);
}

static void read_all(struct proxy_meter *meter, struct process_usage *processes, uint64_t *softirq_ns)
{
    *processes = *usage_meter_read(meter->processes);
    softirq_cpu_ns(&meter->usage.cores, softirq_ns);
    *softirq_ns -= meter->softirq_start_ns;
}

void proxy_meter_stop_clock(struct proxy_meter *meter)
{
    struct proxy_usage *usage = &meter->usage;

    usage->seconds = (double)(clock_monotonic_ns() - meter->started_ns) / 1e9;
    if (usage->is_known)
        read_all(meter, &usage->timed, &usage->timed_softirq_ns);
}

void proxy_meter_stop(struct proxy_meter *meter, struct proxy_usage *usage)
{
    if (meter->usage.is_known) {
        read_all(meter, &meter->usage.total, &meter->usage.total_softirq_ns);
        meter->usage.system_calls = system_calls_read(meter->system_calls) - meter->system_calls_start;
    }
    *usage = meter->usage;
}

#include "flashbench/softirq.h"

#include "common/proc.h"

#include <stdio.h>

struct softirq_sum {
    const cpu_set_t *cores;
    unsigned threads;
    uint64_t ns;
};

static void add_thread(pid_t pid, void *context)
{
    struct softirq_sum *sum = context;
    char path[64], name[64];
    unsigned core;

    snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
    if (!proc_read(path, name, sizeof name) || sscanf(name, "ksoftirqd/%u", &core) != 1)
        return;
    if (!CPU_ISSET(core, sum->cores))
        return;
    sum->threads++;
    sum->ns += proc_cpu_ns(pid);
}

bool softirq_cpu_ns(const cpu_set_t *cores, uint64_t *ns)
{
    struct softirq_sum sum = {.cores = cores};

    proc_for_each_id("/proc", add_thread, &sum);
    *ns = sum.ns;
    return sum.threads > 0;
}

#include "common/usage_meter.h"

#include "common/proc.h"
#include "common/process_group.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A thread and what it had used when it was last seen. */
struct thread_usage {
    pid_t id;
    bool seen; /* in the current reading */
    uint64_t wait_ns, voluntary, involuntary;
};

struct usage_meter {
    pid_t group, process; /* process: the one whose threads are being read */
    struct thread_usage *threads;
    size_t count, capacity;
    uint64_t cpu_ns; /* of the group at the last reading */
    struct process_usage usage;
};

struct usage_meter *usage_meter_create(pid_t group)
{
    struct usage_meter *meter = calloc(1, sizeof *meter);

    if (!meter)
        return NULL;
    meter->group = group;
    usage_meter_read(meter);
    meter->usage = (struct process_usage){0}; /* use before the creation is not counted */
    return meter;
}

void usage_meter_destroy(struct usage_meter *meter)
{
    if (!meter)
        return;
    free(meter->threads);
    free(meter);
}

/* The entry of a thread, which is added if the thread is new; NULL if memory is exhausted. */
static struct thread_usage *find_thread(struct usage_meter *meter, pid_t id)
{
    for (size_t i = 0; i < meter->count; i++)
        if (meter->threads[i].id == id)
            return &meter->threads[i];
    if (meter->count == meter->capacity) {
        size_t capacity = meter->capacity * 2 + 16;
        struct thread_usage *threads = realloc(meter->threads, capacity * sizeof *threads);
        if (!threads)
            return NULL;
        meter->threads = threads;
        meter->capacity = capacity;
    }
    meter->threads[meter->count] = (struct thread_usage){.id = id};
    return &meter->threads[meter->count++];
}

/* By how much a counter grew. A counter that is lower than before belongs to another thread with the same id. */
static uint64_t growth(uint64_t now, uint64_t before)
{
    return now >= before ? now - before : now;
}

static void read_thread(pid_t id, void *context)
{
    struct usage_meter *meter = context;
    struct thread_usage *thread = find_thread(meter, id);
    char path[64], text[4096];
    uint64_t wait_ns;

    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)meter->process, (int)id);
    if (!thread || !proc_read(path, text, sizeof text) || sscanf(text, "%*u %" SCNu64, &wait_ns) != 1)
        return;
    snprintf(path, sizeof path, "/proc/%d/task/%d/status", (int)meter->process, (int)id);
    if (!proc_read(path, text, sizeof text))
        return;
    uint64_t voluntary = proc_find_number(text, "\nvoluntary_ctxt_switches:");
    uint64_t involuntary = proc_find_number(text, "\nnonvoluntary_ctxt_switches:");
    meter->usage.wait_ns += growth(wait_ns, thread->wait_ns);
    meter->usage.voluntary_switches += growth(voluntary, thread->voluntary);
    meter->usage.involuntary_switches += growth(involuntary, thread->involuntary);
    *thread = (struct thread_usage){id, true, wait_ns, voluntary, involuntary};
}

static void read_threads(pid_t pid, void *context)
{
    struct usage_meter *meter = context;
    char path[64];

    meter->process = pid;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    proc_for_each_id(path, read_thread, meter);
}

static void forget_ended_threads(struct usage_meter *meter)
{
    size_t kept = 0;

    for (size_t i = 0; i < meter->count; i++) {
        if (!meter->threads[i].seen)
            continue;
        meter->threads[kept] = meter->threads[i];
        meter->threads[kept++].seen = false;
    }
    meter->count = kept;
}

/*
 * The group's CPU time falls when a child for which nobody waits ends; what it used until the last reading stays counted. A child that ends
 * while the sum is made may be missing from it, but not from the next sum: therefore a sum that fell is made again.
 */
static void read_cpu(struct usage_meter *meter)
{
    uint64_t cpu_ns = process_group_cpu_ns(meter->group);

    if (cpu_ns < meter->cpu_ns)
        cpu_ns = process_group_cpu_ns(meter->group);
    if (cpu_ns > meter->cpu_ns)
        meter->usage.cpu_ns += cpu_ns - meter->cpu_ns;
    meter->cpu_ns = cpu_ns;
}

const struct process_usage *usage_meter_read(struct usage_meter *meter)
{
    read_cpu(meter);
    process_group_for_each(meter->group, read_threads, meter);
    forget_ended_threads(meter);
    return &meter->usage;
}

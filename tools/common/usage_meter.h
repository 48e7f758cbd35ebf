/*
 * What a process group has used since the meter was created: CPU, time waited for a core, context switches. The meter must be read now and
 * then, because part of the use of threads and processes that end is lost from the last reading to their end: the CPU time of children for
 * which nobody waits, and the waiting time and context switches of threads.
 */
#ifndef TOOLS_COMMON_USAGE_METER_H
#define TOOLS_COMMON_USAGE_METER_H

#include <stdint.h>
#include <sys/types.h>

struct process_usage {
    uint64_t cpu_ns;
    uint64_t wait_ns; /* time ready to run while other threads had the core */
    uint64_t voluntary_switches, involuntary_switches;
};

struct usage_meter;

/* Begins to count for the process group `group`. NULL without memory. */
struct usage_meter *usage_meter_create(pid_t group);
void usage_meter_destroy(struct usage_meter *meter);

/* Reads the meter: what was used since it was created. It reads /proc for every process and thread of the group. */
const struct process_usage *usage_meter_read(struct usage_meter *meter);

#endif

/* What the system says about a process group: its CPU time, its memory, its cores, its programs. */
#ifndef TOOLS_COMMON_PROCESS_GROUP_H
#define TOOLS_COMMON_PROCESS_GROUP_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Calls `visit` for every process of `group`. */
void process_group_for_each(pid_t group, void (*visit)(pid_t pid, void *context), void *context);

/*
 * CPU time of the group in ns: of every thread that its processes have or had, and of their children that ended and were waited for. The
 * latter is known in steps of 10 ms per parent. The time of a child for which nobody waits drops out of the sum when it ends.
 */
uint64_t process_group_cpu_ns(pid_t group);

struct process_memory {
    uint64_t rss_bytes;
    uint64_t pss_bytes;  /* a shared page counts by its share */
    uint64_t huge_bytes; /* hugetlb pages, which RSS and PSS leave out */
};

/* Memory of all processes of the group (smaps_rollup). False, and all 0, if none can be read. RSS counts a page once per process. */
bool process_group_memory(pid_t group, struct process_memory *memory);

/* The cores on which at least one thread of the group may run. */
void process_group_cores(pid_t group, cpu_set_t *cores);

/* The names of the group's programs, each once, with ", " between, cut off at `capacity` bytes; returns how many processes there are. */
unsigned process_group_names(pid_t group, char *text, size_t capacity);

#endif

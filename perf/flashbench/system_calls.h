/* Counts the system calls of a process through the kernel's tracepoint, where the kernel permits that. */
#ifndef PERF_FLASHBENCH_SYSTEM_CALLS_H
#define PERF_FLASHBENCH_SYSTEM_CALLS_H

#include <stdint.h>
#include <sys/types.h>

struct system_calls;

/* Counts for all threads of `pid` and those that they start from now on. NULL where that is not allowed (perf_event_paranoid, tracefs). */
struct system_calls *system_calls_open(pid_t pid);
void system_calls_close(struct system_calls *calls);

/* The system calls so far; 0 for NULL. */
uint64_t system_calls_read(const struct system_calls *calls);

#endif

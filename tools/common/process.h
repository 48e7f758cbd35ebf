/* Child processes, and what the system says about a process: CPU, memory. */
#ifndef TOOLS_COMMON_PROCESS_H
#define TOOLS_COMMON_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A child that leads a process group of its own; it is killed if this process dies. */
struct process {
    pid_t pid;  /* 0: not running */
    int status; /* as waitpid gives it, once it ended */
};

struct process_options {
    char *const *arguments; /* argv, NULL at the end; [0] is looked up in PATH if it has no slash */
    const int *cores;       /* to run on; NULL: all */
    unsigned core_count;
    int output; /* descriptor for its stdout and stderr, or -1 for ours */
};

/* Starts a child from the calling thread, which must outlive it. 0, or a negative errno (-ENOENT if the program is missing). */
int process_start(struct process *process, const struct process_options *options);

/* True while it runs; once it is over, `status` is set and its group's remains are killed. */
bool process_is_running(struct process *process);

/* Asks it to end with SIGTERM, kills it and its group after `patience_ms`. True if it ended by itself with status 0. */
bool process_stop(struct process *process, unsigned patience_ms);

/* Lets this process open as many descriptors as the hard limit allows; returns that many. */
uint64_t process_raise_descriptor_limit(void);

/* A TCP port of 127.0.0.1 that nobody listens on at the moment. 0 if there is none. */
uint16_t process_free_port(void);

/* CPU time of all threads of the process group led by `pid`, in ns, from schedstat; exited threads are not in it. 0 if there is none. */
uint64_t process_group_cpu_ns(pid_t pid);

/* How long threads of that group were ready and had to wait for a core, in ns: 0 on a machine where nothing else runs. */
uint64_t process_group_wait_ns(pid_t pid);

/* Context switches of all threads of the group led by `pid`: those that waited, and those that were made to. */
void process_group_switches(pid_t pid, uint64_t *voluntary, uint64_t *involuntary);

/* CPU time of the ksoftirqd threads of `cores` (NULL: of all), in ns, from schedstat. */
uint64_t process_softirq_cpu_ns(const int *cores, unsigned core_count);

struct process_memory {
    uint64_t rss_bytes;
    uint64_t pss_bytes;  /* shared pages by share */
    uint64_t huge_bytes; /* hugetlb pages, which RSS and PSS leave out */
};

/* What smaps_rollup says of `pid`. 0 or a negative errno. */
int process_memory_get(pid_t pid, struct process_memory *memory);

#endif

/* Child processes. */
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
    int output; /* descriptor for its stdout and stderr; -1: those of this process */
};

/* Starts a child from the calling thread, which must outlive it. 0, or a negative errno (-ENOENT if the program is missing). */
int process_start(struct process *process, const struct process_options *options);

/* True while the child runs. When it has ended, `status` is set and the rest of its group is killed. */
bool process_is_running(struct process *process);

/* Sends the child SIGTERM, and kills it and its group after `patience_ms`. True if it ended by itself with status 0. */
bool process_stop(struct process *process, unsigned patience_ms);

/* Lets this process open as many descriptors as the hard limit allows; returns that many. */
uint64_t process_raise_descriptor_limit(void);

/* A TCP port of 127.0.0.1 that nobody listens on at the moment. 0 if there is none. */
uint16_t process_free_port(void);

#endif

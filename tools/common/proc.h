/* Reading /proc. */
#ifndef TOOLS_COMMON_PROC_H
#define TOOLS_COMMON_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads a small file as a terminated text of at most `capacity` - 1 bytes. False, with errno set, if it cannot be read. */
bool proc_read(const char *path, char *text, size_t capacity);

/* Calls `visit` for every entry of `folder` whose name is a number: the processes of /proc, the threads of /proc/PID/task. */
void proc_for_each_id(const char *folder, void (*visit)(pid_t id, void *context), void *context);

/* The number behind `name` in a text of lines "name number"; 0 if `name` is not in it. */
uint64_t proc_find_number(const char *text, const char *name);

/* CPU time of all threads that a process has or had, in ns; 0 if there is no such process. A kernel thread is a process, too. */
uint64_t proc_cpu_ns(pid_t pid);

#endif

/* Threads known by name: to debuggers, and to metrics that show what each of them has allocated. */
#ifndef FLASHRELAY_THREAD_H
#define FLASHRELAY_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#define THREAD_NAME_BYTES     16 /* the kernel's limit, with terminator */
#define THREAD_REGISTRY_SLOTS 256

/* Names the calling thread for debuggers, cut at the kernel's limit, and does no more: for threads that do one thing and end, of which several may run at once. */
void thread_set_name(const char *name);

/* Names the calling thread and enters it, first thing in it; no two that run at once have the same name. Threads beyond THREAD_REGISTRY_SLOTS are named but not entered. */
void thread_register(const char *name);

/* Takes the calling thread out again, last thing in it. Does nothing for a thread that is not entered. */
void thread_unregister(void);

/*
 * Bytes that the thread in `slot` has allocated since it began, and its name. False if the slot is free or the allocator does not
 * count (without jemalloc). Any thread; waits only for a thread that starts or ends just then.
 */
bool thread_allocated_bytes(unsigned slot, char name[THREAD_NAME_BYTES], uint64_t *bytes);

#endif

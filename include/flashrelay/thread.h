/* Names of threads, for debuggers and for metrics that show how much each thread has allocated. */
#ifndef FLASHRELAY_THREAD_H
#define FLASHRELAY_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#define THREAD_NAME_BYTES     16 /* the kernel's limit, with terminator */
#define THREAD_REGISTRY_SLOTS 256

/*
 * Names the calling thread for debuggers only; a longer name is cut to the kernel's limit. For short-lived threads, of which several may run
 * at once under one name.
 */
void thread_set_name(const char *name);

/*
 * Names the calling thread and enters it in the registry; to be called when the thread begins. No two registered threads may have the same
 * name. Threads beyond THREAD_REGISTRY_SLOTS are named but not entered.
 */
void thread_register(const char *name);

/* Removes the calling thread from the registry; to be called when the thread ends. Does nothing for a thread that is not entered. */
void thread_unregister(void);

/*
 * Gives the bytes that the thread in `slot` (below THREAD_REGISTRY_SLOTS) has allocated since it began, and its name. False if the slot is
 * free or the allocator does not count (without jemalloc). Any thread; waits at most for other calls of these functions.
 */
bool thread_allocated_bytes(unsigned slot, char name[THREAD_NAME_BYTES], uint64_t *bytes);

#endif

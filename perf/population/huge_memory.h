/* Anonymous memory on huge pages, where the system has them for it (transparent huge pages). */
#ifndef PERF_POPULATION_HUGE_MEMORY_H
#define PERF_POPULATION_HUGE_MEMORY_H

#include <stddef.h>

/* Maps zeroed memory. NULL without memory. huge_memory_unmap unmaps it; NULL is allowed there. */
void *huge_memory_map(size_t bytes);
void huge_memory_unmap(void *memory, size_t bytes);

#endif

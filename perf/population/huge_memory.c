#include "population/huge_memory.h"

#include <sys/mman.h>

void *huge_memory_map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

void huge_memory_unmap(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

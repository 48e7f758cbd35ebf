#include "channel/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older headers lack it */
#endif

#define PROTECTION (PROT_READ | PROT_WRITE)
#define ANONYMOUS  (MAP_PRIVATE | MAP_ANONYMOUS)

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Kernels before 5.14 answer EINVAL: there every page is touched instead. */
static int populate(uint8_t *base, size_t length)
{
    if (madvise(base, length, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return -ENOMEM;
    for (size_t i = 0; i < length; i += page_bytes())
        *(volatile uint8_t *)(base + i) = 0;
    return 0;
}

static int map_huge(struct channel_memory *memory)
{
    void *base = mmap(NULL, memory->length, PROTECTION, ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);

    if (base == MAP_FAILED)
        return -ENOMEM;
    if (populate(base, memory->length) != 0) {
        munmap(base, memory->length);
        return -ENOMEM;
    }
    memory->base = base;
    memory->pages = CHANNEL_PAGES_HUGE;
    return 0;
}

/* madvise succeeds also where the administrator has switched transparent huge pages off. */
static bool transparent_pages_allowed(void)
{
    char text[64] = "";
    int file = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 && !strstr(text, "[never]");
}

/* Maps `length` bytes that begin at a multiple of `alignment`. */
static uint8_t *map_aligned(size_t length, size_t alignment)
{
    uint8_t *base = mmap(NULL, length + alignment, PROTECTION, ANONYMOUS, -1, 0);

    if (base == MAP_FAILED)
        return NULL;
    size_t before = (alignment - (uintptr_t)base % alignment) % alignment;
    if (before > 0)
        munmap(base, before);
    if (alignment > before)
        munmap(base + before + length, alignment - before);
    return base + before;
}

static int map_ordinary(struct channel_memory *memory, bool large)
{
    memory->base = map_aligned(memory->length, large ? HUGE_PAGE_BYTES : page_bytes());
    if (!memory->base)
        return -ENOMEM;
    memory->pages = CHANNEL_PAGES_PLAIN;
    if (large && transparent_pages_allowed() && madvise(memory->base, memory->length, MADV_HUGEPAGE) == 0)
        memory->pages = CHANNEL_PAGES_TRANSPARENT;
    if (populate(memory->base, memory->length) != 0) {
        channel_memory_unmap(memory);
        return -ENOMEM;
    }
    return 0;
}

int channel_memory_map(struct channel_memory *memory, size_t bytes)
{
    bool large = bytes >= HUGE_PAGE_BYTES;

    memory->length = round_up(bytes, large ? HUGE_PAGE_BYTES : page_bytes());
    if (large && map_huge(memory) == 0)
        return 0;
    return map_ordinary(memory, large);
}

void channel_memory_unmap(struct channel_memory *memory)
{
    munmap(memory->base, memory->length);
    memory->base = NULL;
}

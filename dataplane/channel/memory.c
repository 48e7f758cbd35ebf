#include "channel/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14; older headers lack it */
#endif

/* How much is populated at once on plain pages: that takes some tens of microseconds. */
#define STEP_BYTES ((size_t)256 << 10)

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * Maps a whole file at a multiple of `alignment`; NULL on failure. If mapping the file over the reserved room fails, the
 * kernel may leave a hole there, which another thread may have mapped by then: so only the room around it is unmapped.
 */
static uint8_t *map_aligned(int descriptor, size_t length, size_t alignment)
{
    uint8_t *room = mmap(NULL, length + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (room == MAP_FAILED)
        return NULL;
    size_t before = round_up((uintptr_t)room, alignment) - (uintptr_t)room;
    void *base = mmap(room + before, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0);
    if (before > 0)
        munmap(room, before);
    munmap(room + before + length, alignment - before);
    return base == MAP_FAILED ? NULL : base;
}

/* Maps a whole file. The kernel itself aligns huge pages of its pool; other large memory is aligned so that it may become huge pages. */
static uint8_t *map_file(int descriptor, size_t length, bool pool)
{
    if (!pool && length >= HUGE_PAGE_BYTES)
        return map_aligned(descriptor, length, HUGE_PAGE_BYTES);
    void *base = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    return base == MAP_FAILED ? NULL : base;
}

static int map_memfd(struct channel_memory *memory, size_t length, unsigned flags)
{
    int descriptor = memfd_create("flashrelay-log", MFD_CLOEXEC | flags), error;

    if (descriptor < 0)
        return -errno;
    uint8_t *base = ftruncate(descriptor, (off_t)length) == 0 ? map_file(descriptor, length, (flags & MFD_HUGETLB) != 0) : NULL;
    if (!base) {
        error = -errno;
        close(descriptor);
        return error;
    }
    *memory = (struct channel_memory){.base = base, .length = length, .descriptor = descriptor, .pages = CHANNEL_PAGES_PLAIN};
    return 0;
}

/* Reads the system's setting, since madvise succeeds even where transparent huge pages of shared memory are switched off. */
static bool transparent_pages_allowed(void)
{
    char text[128] = "";
    int file = open("/sys/kernel/mm/transparent_hugepage/shmem_enabled", O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return false;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    return length > 0 && !strstr(text, "[never]") && !strstr(text, "[deny]");
}

static void unmap(void *context, struct channel_memory *memory)
{
    (void)context;
    munmap(memory->base, memory->length);
    close(memory->descriptor);
    memory->base = NULL;
}

/*
 * Maps huge pages of the system's pool and populates all of them. Mapping only reserves them: where a control group or a cpuset forbids their
 * use, the first write would end the process (SIGBUS). False if they can't be had.
 */
static bool map_pool(struct channel_memory *memory, size_t length)
{
    if (map_memfd(memory, length, MFD_HUGETLB | MFD_HUGE_2MB) != 0)
        return false;
    if (madvise(memory->base, length, MADV_POPULATE_WRITE) != 0) {
        unmap(NULL, memory);
        return false;
    }
    memory->pages = CHANNEL_PAGES_HUGE;
    memory->populated_bytes = length;
    return true;
}

static int map(void *context, struct channel_memory *memory, size_t bytes)
{
    bool large = bytes >= HUGE_PAGE_BYTES;
    size_t length = round_up(bytes, large ? HUGE_PAGE_BYTES : page_bytes());

    (void)context;
    if (large && map_pool(memory, length))
        return 0;
    int error = map_memfd(memory, length, 0);
    if (error == 0 && large && transparent_pages_allowed() && madvise(memory->base, length, MADV_HUGEPAGE) == 0)
        memory->pages = CHANNEL_PAGES_TRANSPARENT;
    return error;
}

const struct channel_memory_source channel_memory_memfd = {.map = map, .unmap = unmap};

void channel_memory_populate(struct channel_memory *memory, size_t bytes)
{
    size_t from = memory->populated_bytes;
    size_t step = memory->pages == CHANNEL_PAGES_PLAIN ? STEP_BYTES : HUGE_PAGE_BYTES;
    size_t to = round_up(bytes, step);

    if (bytes <= from)
        return;
    to = to < memory->length ? to : memory->length;
    madvise(memory->base + from, to - from, MADV_POPULATE_WRITE);
    memory->populated_bytes = to;
}

/*
 * The memory of the channels as buffers registered with the ring, which zero-copy sends need. Registering makes memory present and locks it,
 * so it is done slice by slice, when the first frame of a slice is sent: a log that is not full yet takes no more memory than it holds.
 */
#include "engine/uring/uring.h"

#include <errno.h>
#include <stdlib.h>

/* The smallest slice. A frame that lies in two slices is sent by copying: with this size, one in 40 frames of 100 kB. */
#define MIN_SLICE_BYTES ((size_t)4 << 20)
/* The kernel's limits for one registered buffer, and for their number. */
#define MAX_SLICE_BYTES ((size_t)1 << 30)
#define MAX_SLICES      (1u << 14)

void uring_regions_add(struct uring_regions *regions, const uint8_t *base, size_t length)
{
    if (length > 0 && regions->count < URING_REGIONS)
        regions->list[regions->count++] = (struct uring_region){.base = base, .length = length};
}

/* Numbers the slices of all regions; returns how many there are. */
static size_t number_slices(struct uring_regions *regions)
{
    size_t count = 0;

    for (unsigned i = 0; i < regions->count; i++) {
        regions->list[i].first_slice = count;
        count += (regions->list[i].length + regions->slice_bytes - 1) / regions->slice_bytes;
    }
    return count;
}

int uring_regions_open(struct uring_engine *engine)
{
    struct uring_regions *regions = &engine->regions;
    size_t count;

    regions->slice_bytes = MIN_SLICE_BYTES;
    while ((count = number_slices(regions)) > MAX_SLICES && regions->slice_bytes < MAX_SLICE_BYTES)
        regions->slice_bytes *= 2;
    if (count == 0 || count > MAX_SLICES)
        return -E2BIG;
    regions->is_registered = calloc(count, sizeof *regions->is_registered);
    if (!regions->is_registered)
        return -ENOMEM;
    return io_uring_register_buffers_sparse(&engine->ring, (unsigned)count);
}

void uring_regions_close(struct uring_engine *engine)
{
    free(engine->regions.is_registered);
    engine->regions.is_registered = NULL;
}

static int register_slice(struct uring_engine *engine, const struct uring_region *region, size_t index)
{
    size_t offset = index * engine->regions.slice_bytes, left = region->length - offset;
    const struct iovec slice = {.iov_base = (void *)(uintptr_t)(region->base + offset),
                                .iov_len = left < engine->regions.slice_bytes ? left : engine->regions.slice_bytes};
    const __u64 no_tag = 0;
    int result = io_uring_register_buffers_update_tag(&engine->ring, (unsigned)(region->first_slice + index), &slice, &no_tag, 1);

    uring_count_system_call(engine);
    if (result < 0)
        return result;
    engine->regions.is_registered[region->first_slice + index] = true;
    return 0;
}

int uring_regions_find(struct uring_engine *engine, const uint8_t *bytes, size_t length)
{
    const struct uring_regions *regions = &engine->regions;

    for (unsigned i = 0; i < regions->count; i++) {
        const struct uring_region *region = &regions->list[i];
        int error = 0;

        if (bytes < region->base || bytes + length > region->base + region->length)
            continue;
        size_t first = (size_t)(bytes - region->base) / regions->slice_bytes;
        size_t last = (size_t)(bytes + length - 1 - region->base) / regions->slice_bytes;
        if (first != last)
            return -ENOENT;
        if (!regions->is_registered[region->first_slice + first])
            error = register_slice(engine, region, first);
        return error != 0 ? error : (int)(region->first_slice + first);
    }
    return -ENOENT;
}

#include "shard/round_times.h"

#include <assert.h>
#include <string.h>

static void record(struct histogram *histogram, const struct round_times *times, uint64_t end_ns)
{
    for (uint32_t i = 0; i < times->frames; i++)
        histogram_record(histogram, end_ns - times->ingest_ns[i], 1);
}

static void end(struct round_times *times)
{
    if (!times->running)
        return;
    times->running = false;
    if (times->last_ns == 0)
        return;
    record(times->histograms.last_send, times, times->last_ns);
    histogram_record(times->histograms.spread, times->last_ns - times->first_ns, times->frames);
}

static void end_if_nobody_is_left(struct round_times *times)
{
    if (times->offered && times->pending == 0)
        end(times);
}

void round_times_begin(struct round_times *times, uint64_t from, const uint64_t *ingest_ns, uint32_t count)
{
    assert(count <= ROUND_TIMES_FRAMES);
    end(times);
    times->id = times->id == UINT32_MAX ? 1 : times->id + 1;
    times->running = true;
    times->offered = false;
    times->from = from;
    times->pending = 0;
    times->frames = count;
    times->first_ns = times->last_ns = 0;
    memcpy(times->ingest_ns, ingest_ns, count * sizeof *ingest_ns);
}

void round_times_offered(struct round_times *times)
{
    times->offered = true;
    end_if_nobody_is_left(times);
}

uint32_t round_times_wait(struct round_times *times)
{
    times->pending++;
    return times->id;
}

void round_times_leave(struct round_times *times, uint32_t id)
{
    if (id != times->id || !times->running)
        return;
    times->pending--;
    end_if_nobody_is_left(times);
}

bool round_times_served(struct round_times *times, uint32_t id, const struct round_service *service, uint64_t now_ns)
{
    if (id != times->id || !times->running)
        return false;
    if (times->first_ns == 0 && service->took_bytes && service->next_untaken >= times->from) {
        times->first_ns = now_ns;
        record(times->histograms.first_send, times, now_ns);
    }
    if (!service->whole && !service->blocked)
        return false;
    if (service->whole && times->first_ns != 0)
        times->last_ns = now_ns;
    times->pending--;
    end_if_nobody_is_left(times);
    return true;
}

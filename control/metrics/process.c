#include "metrics/metrics.h"

#include "flashrelay/log.h"
#include "flashrelay/thread.h"
#include "version.h"

#ifdef FLASHRELAY_JEMALLOC
#include <jemalloc/jemalloc.h>

static void write_statistic(struct exposition *exposition, const char *name, const char *help, const char *statistic)
{
    size_t value, length = sizeof value;

    if (mallctl(statistic, &value, &length, NULL, 0) != 0)
        return;
    exposition_family(exposition, name, METRIC_GAUGE, help);
    exposition_value(exposition, NO_LABELS, value);
}

static void write_memory(struct exposition *exposition)
{
    uint64_t epoch = 1;

    mallctl("epoch", NULL, NULL, &epoch, sizeof epoch); /* refreshes the statistics */
    write_statistic(exposition, "flashrelay_memory_allocated_bytes", "Bytes allocated (jemalloc, without the logs).",
                    "stats.allocated");
    write_statistic(exposition, "flashrelay_memory_resident_bytes", "Bytes that the allocator holds in memory (jemalloc).",
                    "stats.resident");
}
#endif

static void write_threads(struct exposition *exposition)
{
    char name[THREAD_NAME_BYTES];
    uint64_t bytes;

    exposition_family(exposition, "flashrelay_thread_allocated_bytes_total", METRIC_COUNTER,
                      "Bytes that the thread has allocated since it began: stands still where nothing allocates.");
    for (unsigned slot = 0; slot < THREAD_REGISTRY_SLOTS; slot++)
        if (thread_allocated_bytes(slot, name, &bytes))
            exposition_value(exposition, (const struct label[]){{"thread", name}, {NULL, NULL}}, bytes);
}

void metrics_write_process(struct exposition *exposition)
{
#ifdef FLASHRELAY_JEMALLOC
    write_memory(exposition);
#endif
    write_threads(exposition);
    exposition_family(exposition, "flashrelay_log_dropped_lines_total", METRIC_COUNTER,
                      "Log lines dropped because the reader of the log did not keep up.");
    exposition_value(exposition, NO_LABELS, log_dropped_lines());
    exposition_family(exposition, "flashrelay_build_info", METRIC_GAUGE, "The version that runs.");
    exposition_value(exposition, (const struct label[]){{"version", version_text()}, {NULL, NULL}}, 1);
}

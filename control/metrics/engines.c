#include "metrics/metrics.h"

#include <stddef.h>

#define ENGINE(member)    offsetof(struct engine_counters, member)
#define THREAD_TEXT_BYTES 24

static const struct {
    const char *name;
    enum metric_type type;
    const char *help;
    size_t offset;
} metrics[] = {
    {"flashrelay_engine_open_connections", METRIC_GAUGE, "Connections open now.", ENGINE(open_connections)},
    {"flashrelay_engine_turns_total", METRIC_COUNTER, "Turns of the thread's loop.", ENGINE(turns)},
    {"flashrelay_engine_system_calls_total", METRIC_COUNTER, "System calls of the thread's loop.", ENGINE(system_calls)},
    {"flashrelay_engine_wakeups_total", METRIC_COUNTER, "Times another thread woke this one.", ENGINE(wakeups)},
    {"flashrelay_engine_accepts_total", METRIC_COUNTER, "Connections accepted.", ENGINE(accepts)},
    {"flashrelay_engine_accept_pauses_total", METRIC_COUNTER, "Times accepting had to pause.", ENGINE(accept_pauses)},
    {"flashrelay_engine_connects_total", METRIC_COUNTER, "Connections begun.", ENGINE(connects)},
    {"flashrelay_engine_sends_total", METRIC_COUNTER, "Sends.", ENGINE(sends)},
    {"flashrelay_engine_short_sends_total", METRIC_COUNTER, "Sends that took only a part.", ENGINE(short_sends)},
    {"flashrelay_engine_blocked_sends_total", METRIC_COUNTER, "Times a connection had to wait for room in its socket.",
     ENGINE(blocked)},
    {"flashrelay_engine_sent_bytes_total", METRIC_COUNTER, "Bytes sent.", ENGINE(bytes_sent)},
    {"flashrelay_engine_receives_total", METRIC_COUNTER, "Receives.", ENGINE(receives)},
    {"flashrelay_engine_receive_starved_total", METRIC_COUNTER, "Receives that found no free buffer.", ENGINE(receive_starved)},
    {"flashrelay_engine_received_bytes_total", METRIC_COUNTER, "Bytes received.", ENGINE(bytes_received)},
    {"flashrelay_engine_zerocopy_sends_total", METRIC_COUNTER, "Sends by reference.", ENGINE(zerocopy_sends)},
    {"flashrelay_engine_zerocopy_copied_total", METRIC_COUNTER, "Sends by reference that the kernel copied after all.",
     ENGINE(zerocopy_copied)},
};

static void write_thread(struct exposition *exposition, const char *thread, const struct engine_counters *engine, size_t offset)
{
    exposition_value(exposition, (const struct label[]){{"thread", thread}, {NULL, NULL}},
                     counter_read((const counter *)((const char *)engine + offset)));
}

void metrics_write_engines(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        exposition_family(exposition, metrics[i].name, metrics[i].type, metrics[i].help);
        write_thread(exposition, "ingest", sources->ingest_engine, metrics[i].offset);
        for (unsigned shard = 0; shard < sources->shard_count; shard++) {
            char thread[THREAD_TEXT_BYTES];

            snprintf(thread, sizeof thread, "shard-%u", shard);
            write_thread(exposition, thread, sources->shard_engines[shard], metrics[i].offset);
        }
    }
}

#include "metrics/metrics.h"

#include <stddef.h>

#define TCP(member)        offsetof(struct tcp_counters, member)
#define PORT(member)       offsetof(struct port_counters, member)
#define THREAD_TEXT_BYTES  24
#define RTT_FIRST_POWER    5  /* 32 us */
#define RTT_LAST_POWER     24 /* 17 s */
#define RTT_SECONDS        1e-6
#define WINDOW_FIRST_POWER 10
#define WINDOW_LAST_POWER  24

struct tcp_metric {
    const char *name;
    enum metric_type type;
    const char *help;
    size_t offset;
};

static const struct tcp_metric tcp_metrics[] = {
    {"flashrelay_tcp_received_segments_total", METRIC_COUNTER, "TCP segments received.", TCP(segments_received)},
    {"flashrelay_tcp_sent_segments_total", METRIC_COUNTER, "TCP segments sent, with those sent again.", TCP(segments_sent)},
    {"flashrelay_tcp_timeouts_total", METRIC_COUNTER, "Retransmission time-outs.", TCP(timeouts)},
    {"flashrelay_tcp_tail_loss_probes_total", METRIC_COUNTER, "Last segments sent again to learn what is missing.", TCP(probes)},
    {"flashrelay_tcp_zero_window_probes_total", METRIC_COUNTER, "Questions to peers that had no room.", TCP(zero_window_probes)},
    {"flashrelay_tcp_recoveries_total", METRIC_COUNTER, "Times that losses of a connection began to be repaired.",
     TCP(recoveries)},
    {"flashrelay_tcp_sent_cookies_total", METRIC_COUNTER, "SYNs answered, each with a cookie.", TCP(cookies_sent)},
    {"flashrelay_tcp_accepted_cookies_total", METRIC_COUNTER, "Cookies that came back and opened a connection.",
     TCP(cookies_accepted)},
    {"flashrelay_tcp_sent_resets_total", METRIC_COUNTER, "Resets sent for segments that belong to no connection.",
     TCP(resets_sent)},
    {"flashrelay_tcp_received_resets_total", METRIC_COUNTER, "Resets that ended a connection.", TCP(resets_received)},
    {"flashrelay_tcp_challenge_acks_total", METRIC_COUNTER, "Segments that looked forged and were answered with a challenge.",
     TCP(challenge_acks)},
    {"flashrelay_tcp_mtu_reductions_total", METRIC_COUNTER, "Connections whose segments had to become smaller.",
     TCP(mtu_reductions)},
    {"flashrelay_tcp_unacknowledged_bytes", METRIC_GAUGE, "Bytes sent and not acknowledged now.", TCP(unacknowledged_bytes)},
    {"flashrelay_tcp_recovery_blocks", METRIC_GAUGE, "Connections that keep a list of what their peer lacks now.",
     TCP(recovery_blocks_used)},
    {"flashrelay_tcp_recovery_blocks_missing_total", METRIC_COUNTER, "Times that no memory was left for such a list.",
     TCP(recovery_blocks_missing)},
};

static const struct tcp_metric port_metrics[] = {
    {"flashrelay_port_received_packets_total", METRIC_COUNTER, "Packets received.", PORT(received_packets)},
    {"flashrelay_port_received_bytes_total", METRIC_COUNTER, "Bytes received, with Ethernet headers.", PORT(received_bytes)},
    {"flashrelay_port_sent_packets_total", METRIC_COUNTER, "Packets handed to the device; it may cut them into several.",
     PORT(sent_packets)},
    {"flashrelay_port_sent_bytes_total", METRIC_COUNTER, "Bytes handed to the device, with Ethernet headers.", PORT(sent_bytes)},
    {"flashrelay_port_receive_drops_total", METRIC_COUNTER, "Packets that the device dropped for want of buffers.",
     PORT(receive_drops)},
    {"flashrelay_port_receive_errors_total", METRIC_COUNTER, "Packets that the device received with errors.",
     PORT(receive_errors)},
    {"flashrelay_port_send_drops_total", METRIC_COUNTER, "Packets for which ring and queue had no room.", PORT(send_drops)},
    {"flashrelay_port_copied_segments_total", METRIC_COUNTER, "Segments whose payload was copied.", PORT(copied_segments)},
    {"flashrelay_port_epochs_waited_total", METRIC_COUNTER,
     "Times that sending waited because the device had not let go of what was sent before.", PORT(epochs_waited)},
    {"flashrelay_port_buffer_shortages_total", METRIC_COUNTER, "Times that no buffer was free.", PORT(buffer_shortages)},
};

/* In the order of the enumerations. */
static const char *const retransmit_causes[RETRANSMIT_CAUSES] = {"rack", "duplicate_acks", "probe", "timeout"};
static const char *const drop_causes[DROP_CAUSES] = {"foreign", "fragment", "malformed",   "checksum",
                                                     "paused",  "cookie",   "out_of_order"};

static void write_thread(struct exposition *exposition, unsigned shard, const char *cause, uint64_t value)
{
    char thread[THREAD_TEXT_BYTES];

    snprintf(thread, sizeof thread, "shard-%u", shard);
    exposition_value(exposition, (const struct label[]){{"thread", thread}, {cause ? "cause" : NULL, cause}, {NULL, NULL}},
                     value);
}

static uint64_t value_at(const void *counters, size_t offset)
{
    return counter_read((const counter *)(const void *)((const char *)counters + offset));
}

static void write_values(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (size_t i = 0; i < sizeof tcp_metrics / sizeof tcp_metrics[0]; i++) {
        exposition_family(exposition, tcp_metrics[i].name, tcp_metrics[i].type, tcp_metrics[i].help);
        for (unsigned shard = 0; shard < sources->shard_count; shard++)
            write_thread(exposition, shard, NULL, value_at(sources->shard_tcps[shard], tcp_metrics[i].offset));
    }
    for (size_t i = 0; i < sizeof port_metrics / sizeof port_metrics[0]; i++) {
        exposition_family(exposition, port_metrics[i].name, port_metrics[i].type, port_metrics[i].help);
        for (unsigned shard = 0; shard < sources->shard_count; shard++)
            write_thread(exposition, shard, NULL, value_at(sources->shard_ports[shard], port_metrics[i].offset));
    }
}

/* Counters of which there is an array, one per cause, at `offset`. */
static void write_causes(struct exposition *exposition, const struct metrics_sources *sources, size_t offset,
                         const char *const *causes, unsigned count)
{
    for (unsigned shard = 0; shard < sources->shard_count; shard++)
        for (unsigned i = 0; i < count; i++)
            write_thread(exposition, shard, causes[i], value_at(sources->shard_tcps[shard], offset + i * sizeof(counter)));
}

static void write_slots(struct exposition *exposition, const struct metrics_sources *sources)
{
    exposition_family(exposition, "flashrelay_tcp_connection_slots", METRIC_GAUGE, "Most connections at once.");
    for (unsigned shard = 0; shard < sources->shard_count; shard++)
        write_thread(exposition, shard, NULL, sources->shard_slots[shard]);
}

static void write_histogram(struct exposition *exposition, const struct metrics_sources *sources, size_t offset,
                            unsigned first_power, unsigned last_power, double unit)
{
    struct histogram merged = {0};

    for (unsigned i = 0; i < sources->shard_count; i++)
        histogram_merge(&merged, (const struct histogram *)(const void *)((const char *)sources->shard_tcps[i] + offset));
    exposition_histogram(exposition, NO_LABELS, &merged, first_power, last_power, unit);
}

/* The link is the device's: the shard of its first queue has it. */
static void write_link(struct exposition *exposition, const struct metrics_sources *sources)
{
    for (unsigned shard = 0; shard < sources->shard_count; shard++) {
        uint64_t link = counter_read(&sources->shard_ports[shard]->link);

        if (link == PORT_LINK_UNKNOWN)
            continue;
        exposition_family(exposition, "flashrelay_port_link_up", METRIC_GAUGE, "1 while the port's link is up.");
        exposition_value(exposition, NO_LABELS, link == PORT_LINK_UP);
        return;
    }
}

void metrics_write_tcp(struct exposition *exposition, const struct metrics_sources *sources)
{
    if (!sources->has_tcp)
        return;
    write_values(exposition, sources);
    exposition_family(exposition, "flashrelay_tcp_retransmitted_segments_total", METRIC_COUNTER,
                      "TCP segments sent again, by what showed that they were lost.");
    write_causes(exposition, sources, TCP(retransmitted), retransmit_causes, RETRANSMIT_CAUSES);
    exposition_family(exposition, "flashrelay_tcp_dropped_packets_total", METRIC_COUNTER, "Packets received and not used.");
    write_causes(exposition, sources, TCP(dropped), drop_causes, DROP_CAUSES);
    write_slots(exposition, sources);
    exposition_family(exposition, "flashrelay_tcp_rtt_seconds", METRIC_HISTOGRAM, "Round-trip times measured, one in 8 of them.");
    write_histogram(exposition, sources, TCP(rtt_us), RTT_FIRST_POWER, RTT_LAST_POWER, RTT_SECONDS);
    exposition_family(exposition, "flashrelay_tcp_congestion_window_bytes", METRIC_HISTOGRAM,
                      "Congestion windows at these measurements.");
    write_histogram(exposition, sources, TCP(cwnd_bytes), WINDOW_FIRST_POWER, WINDOW_LAST_POWER, 1);
    write_link(exposition, sources);
}

/* The metrics' text: labels, escaping, histograms, and, letter by letter, the metrics that the reference proxies have. */
#include "metrics/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct label_set labels;
static char *text;
static size_t length;
static struct exposition exposition;

static int begin(void **state)
{
    (void)state;
    exposition = (struct exposition){.out = open_memstream(&text, &length), .global = &labels};
    return exposition.out ? 0 : -1;
}

static const char *written(void)
{
    fflush(exposition.out);
    return text;
}

static int end(void **state)
{
    (void)state;
    fclose(exposition.out);
    free(text);
    label_set_dispose(&labels);
    return 0;
}

static void families_and_values(void **state)
{
    (void)state;
    exposition_family(&exposition, "a_total", METRIC_COUNTER, "Help \\ with\na \"line\".");
    exposition_value(&exposition, NO_LABELS, UINT64_MAX);
    exposition_value(&exposition, (const struct label[]){{"x", "1"}, {"y", "\\ \" \n \xc3\xa9"}, {NULL, NULL}}, 0);
    assert_string_equal(written(), "# HELP a_total Help \\\\ with\\na \"line\".\n"
                                   "# TYPE a_total counter\n"
                                   "a_total 18446744073709551615\n"
                                   "a_total{x=\"1\",y=\"\\\\ \\\" \\n \xc3\xa9\"} 0\n");
}

static void global_labels(void **state)
{
    (void)state;
    assert_int_equal(label_set_add_list(&labels, ",region=eu,gibberish,=x,empty=,chain-id=a=b,region=us,9=nine,"), 0);
    exposition_family(&exposition, "a", METRIC_GAUGE, "A.");
    exposition_value(&exposition, NO_LABELS, 1);
    exposition_value(&exposition, (const struct label[]){{"region", "own"}, {NULL, NULL}}, 2);
    assert_string_equal(written(), "# HELP a A.\n# TYPE a gauge\n"
                                   "a{region=\"us\",chain_id=\"a=b\",_=\"nine\"} 1\n"
                                   "a{chain_id=\"a=b\",_=\"nine\",region=\"own\"} 2\n");
}

static void histogram_is_written(void **state)
{
    struct histogram histogram = {0};

    (void)state;
    histogram_record(&histogram, 8191, 2);
    histogram_record(&histogram, 8192, 1);
    histogram_record(&histogram, 100000, 4);
    assert_int_equal(label_set_add_list(&labels, "le=1,quantile=2,g=3"), 0);
    exposition_family(&exposition, "h_seconds", METRIC_HISTOGRAM, "H.");
    exposition_histogram(&exposition, (const struct label[]){{"u", "v"}, {NULL, NULL}}, &histogram, 13, 14, 1e-9);
    assert_string_equal(written(), "# HELP h_seconds H.\n# TYPE h_seconds histogram\n"
                                   "h_seconds_bucket{g=\"3\",u=\"v\",le=\"8.191e-06\"} 2\n"
                                   "h_seconds_bucket{g=\"3\",u=\"v\",le=\"1.6383e-05\"} 3\n"
                                   "h_seconds_bucket{g=\"3\",u=\"v\",le=\"+Inf\"} 7\n"
                                   "h_seconds_sum{g=\"3\",u=\"v\"} 0.000424574\n"
                                   "h_seconds_count{g=\"3\",u=\"v\"} 7\n");
}

static void histogram_of_counts(void **state)
{
    struct histogram histogram = {0};

    (void)state;
    histogram_record(&histogram, 0, 1);
    histogram_record(&histogram, 1, 1);
    histogram_record(&histogram, 3, 1);
    exposition_family(&exposition, "h", METRIC_HISTOGRAM, "H.");
    exposition_histogram(&exposition, NO_LABELS, &histogram, 0, 2, 1);
    assert_non_null(
        strstr(written(), "h_bucket{le=\"0\"} 1\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"3\"} 3\nh_bucket{le=\"+Inf\"} 3\n"));
}

static uint64_t connections_of(const struct relay *relay, unsigned app)
{
    (void)relay;
    return 10 + app;
}

/* Two shards and two upstreams whose counters are all different, so that none can be taken for another. */
static void reference_to_the_letter(void **state)
{
    static struct shard_counters shards[2];
    static struct upstream_counters upstreams[2];
    const struct access_app apps[] = {{.name = (char[]){"one"}, .key = (char[]){"1"}},
                                      {0}, /* an app that was removed */
                                      {.name = (char[]){"two \"2\""}, .key = (char[]){"2"}}};
    struct snapshot_slot access = {0};
    struct rolling send_durations;
    struct access_table *table;
    struct metrics_sources sources = {
        .shard_count = 2,
        .shards = {&shards[0], &shards[1]},
        .upstream_count = 2,
        .upstreams = {&upstreams[0], &upstreams[1]},
        .upstream_labels = {(char[]){"ws://a:1/"}, (char[]){"wss://b/x"}},
        .app_connections = connections_of,
        .send_durations = &send_durations,
    };

    (void)state;
    assert_int_equal(access_table_create(&table, apps, 3, false), 0);
    rolling_init(&send_durations, 0);
    assert_int_equal(snapshot_group_create(&sources.snapshots, 0), 0);
    assert_int_equal(access_table_publish(sources.snapshots, &access, table, 3), 0);
    sources.access = &access;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t scale = i ? 1000 : 1;
        struct shard_counters *s = &shards[i];
        struct upstream_counters *u = &upstreams[i];

        counter_set(&s->sent_messages, 1 * scale);
        counter_set(&s->failed_messages, 2 * scale);
        counter_set(&s->sent_bytes, 3 * scale);
        counter_set(&s->new_connections, 4 * scale);
        counter_set(&s->closed_connections, 5 * scale);
        counter_set(&s->active_connections, 6 * scale);
        counter_set(&s->disconnects[DISCONNECT_LAGGED], 7 * scale);
        counter_set(&s->disconnects[DISCONNECT_LOG_FLOOR], 10 * scale);
        counter_set(&s->disconnects[DISCONNECT_PONG_TIMEOUT], 11 * scale);
        counter_set(&s->global_limited, 20 * scale);
        counter_set(&s->ip_limited, 30 * scale);
        counter_set(&s->app_limited, 40 * scale);
        counter_set(&s->unauthorized, 12 * scale);
        counter_set(&s->backlog_frames, 13 * scale);
        counter_set(&u->errors, 14 * scale);
        counter_set(&u->connected, 15 * scale);
        counter_set(&u->attempts, 16 * scale);
        counter_set(&u->successes, 17 * scale);
        counter_set(&u->failures, 18 * scale);
        counter_set(&u->pings_sent, 19 * scale);
        counter_set(&u->pongs_missed, 21 * scale);
        counter_set(&u->messages, 22 * scale);
    }
    histogram_record(&shards[0].send_ns, 1000, 1);
    histogram_record(&shards[1].send_ns, 2000000000, 1);
    metrics_write_reference(&exposition, &sources);
    assert_string_equal(
        written(),
        "# HELP websocket_proxy_sent_messages Messages sent to subscribers.\n"
        "# TYPE websocket_proxy_sent_messages counter\n"
        "websocket_proxy_sent_messages 1001\n"
        "# HELP websocket_proxy_failed_messages Messages that could not be sent.\n"
        "# TYPE websocket_proxy_failed_messages counter\n"
        "websocket_proxy_failed_messages 2002\n"
        "# HELP websocket_proxy_bytes_broadcasted Bytes sent to subscribers.\n"
        "# TYPE websocket_proxy_bytes_broadcasted counter\n"
        "websocket_proxy_bytes_broadcasted 3003\n"
        "# HELP websocket_proxy_new_connections Subscribers that connected.\n"
        "# TYPE websocket_proxy_new_connections counter\n"
        "websocket_proxy_new_connections 4004\n"
        "# HELP websocket_proxy_closed_connections Subscribers whose connection ended.\n"
        "# TYPE websocket_proxy_closed_connections counter\n"
        "websocket_proxy_closed_connections 5005\n"
        "# HELP websocket_proxy_active_connections Subscribers connected now.\n"
        "# TYPE websocket_proxy_active_connections gauge\n"
        "websocket_proxy_active_connections 6006\n"
        "# HELP websocket_proxy_lagged_connections Subscribers disconnected because they lagged.\n"
        "# TYPE websocket_proxy_lagged_connections counter\n"
        "websocket_proxy_lagged_connections 17017\n"
        "# HELP websocket_proxy_client_pong_disconnects Subscribers disconnected because they answered no ping.\n"
        "# TYPE websocket_proxy_client_pong_disconnects counter\n"
        "websocket_proxy_client_pong_disconnects 11011\n"
        "# HELP websocket_proxy_rate_limited_requests Connections refused by a limit of the instance, the address or the app.\n"
        "# TYPE websocket_proxy_rate_limited_requests counter\n"
        "websocket_proxy_rate_limited_requests 90090\n"
        "# HELP websocket_proxy_per_ip_rate_limited_requests Connections refused by the limit per IP address.\n"
        "# TYPE websocket_proxy_per_ip_rate_limited_requests counter\n"
        "websocket_proxy_per_ip_rate_limited_requests 30030\n"
        "# HELP websocket_proxy_global_rate_limited_requests Connections refused by the limit of the instance.\n"
        "# TYPE websocket_proxy_global_rate_limited_requests counter\n"
        "websocket_proxy_global_rate_limited_requests 20020\n"
        "# HELP websocket_proxy_unauthorized_requests Connections refused for an unknown API key.\n"
        "# TYPE websocket_proxy_unauthorized_requests counter\n"
        "websocket_proxy_unauthorized_requests 12012\n"
        "# HELP websocket_proxy_upstream_errors Attempts to connect to an upstream that failed, and connections that were lost.\n"
        "# TYPE websocket_proxy_upstream_errors counter\n"
        "websocket_proxy_upstream_errors 14014\n"
        "# HELP websocket_proxy_upstream_connections Upstreams connected now.\n"
        "# TYPE websocket_proxy_upstream_connections gauge\n"
        "websocket_proxy_upstream_connections 15015\n"
        "# HELP websocket_proxy_upstream_connection_attempts Attempts to connect to an upstream.\n"
        "# TYPE websocket_proxy_upstream_connection_attempts counter\n"
        "websocket_proxy_upstream_connection_attempts 16016\n"
        "# HELP websocket_proxy_upstream_connection_successes Attempts to connect to an upstream that succeeded.\n"
        "# TYPE websocket_proxy_upstream_connection_successes counter\n"
        "websocket_proxy_upstream_connection_successes 17017\n"
        "# HELP websocket_proxy_upstream_connection_failures Attempts to connect to an upstream that failed.\n"
        "# TYPE websocket_proxy_upstream_connection_failures counter\n"
        "websocket_proxy_upstream_connection_failures 18018\n"
        "# HELP websocket_proxy_ping_attempts Pings to upstreams begun.\n"
        "# TYPE websocket_proxy_ping_attempts counter\n"
        "websocket_proxy_ping_attempts 19019\n"
        "# HELP websocket_proxy_ping_sent Pings to upstreams sent.\n"
        "# TYPE websocket_proxy_ping_sent counter\n"
        "websocket_proxy_ping_sent 19019\n"
        "# HELP websocket_proxy_ping_failures Pings to upstreams that no pong answered in time.\n"
        "# TYPE websocket_proxy_ping_failures counter\n"
        "websocket_proxy_ping_failures 21021\n"
        "# HELP websocket_proxy_broadcast_queue_size Messages not yet offered to all subscribers.\n"
        "# TYPE websocket_proxy_broadcast_queue_size gauge\n"
        "websocket_proxy_broadcast_queue_size 13000\n"
        "# HELP websocket_proxy_message_send_duration Seconds from when a message is offered to a subscriber until its socket "
        "has taken it; quantiles of the last minute.\n"
        "# TYPE websocket_proxy_message_send_duration summary\n"
        "websocket_proxy_message_send_duration{quantile=\"0\"} 9.6e-07\n"
        "websocket_proxy_message_send_duration{quantile=\"0.5\"} 1.023e-06\n"
        "websocket_proxy_message_send_duration{quantile=\"0.9\"} 2\n"
        "websocket_proxy_message_send_duration{quantile=\"0.95\"} 2\n"
        "websocket_proxy_message_send_duration{quantile=\"0.99\"} 2\n"
        "websocket_proxy_message_send_duration{quantile=\"0.999\"} 2\n"
        "websocket_proxy_message_send_duration{quantile=\"1\"} 2\n"
        "websocket_proxy_message_send_duration_sum 2.000001\n"
        "websocket_proxy_message_send_duration_count 2\n"
        "# HELP websocket_proxy_connections_by_app Connections with a valid key of the app.\n"
        "# TYPE websocket_proxy_connections_by_app counter\n"
        "websocket_proxy_connections_by_app{app=\"one\"} 10\n"
        "websocket_proxy_connections_by_app{app=\"two \\\"2\\\"\"} 12\n"
        "# HELP websocket_proxy_upstream_messages Messages received from the upstream.\n"
        "# TYPE websocket_proxy_upstream_messages counter\n"
        "websocket_proxy_upstream_messages{upstream=\"ws://a:1/\"} 22\n"
        "websocket_proxy_upstream_messages{upstream=\"wss://b/x\"} 22000\n");
    rolling_dispose(&send_durations);
    snapshot_publish(sources.snapshots, &access, NULL);
    snapshot_group_destroy(sources.snapshots);
}

static void quantiles_forget_what_sum_and_count_keep(void **state)
{
    static struct shard_counters shard;
    struct rolling send_durations;
    struct snapshot_slot access = {0};
    struct metrics_sources sources = {.shard_count = 1, .shards = {&shard}, .access = &access, .send_durations = &send_durations};
    struct access_table *table;

    (void)state;
    rolling_init(&send_durations, 0);
    assert_int_equal(access_table_create(&table, NULL, 0, false), 0);
    assert_int_equal(snapshot_group_create(&sources.snapshots, 0), 0);
    assert_int_equal(access_table_publish(sources.snapshots, &access, table, 0), 0);
    histogram_record(&shard.send_ns, 1000000000, 2);
    assert_true(metrics_turn(&sources, 60 * NS_PER_S) == 80 * NS_PER_S);
    metrics_write_reference(&exposition, &sources);
    assert_non_null(strstr(written(), "websocket_proxy_message_send_duration{quantile=\"1\"} 0\n"
                                      "websocket_proxy_message_send_duration_sum 2\n"
                                      "websocket_proxy_message_send_duration_count 2\n"));
    rolling_dispose(&send_durations);
    snapshot_publish(sources.snapshots, &access, NULL);
    snapshot_group_destroy(sources.snapshots);
}

static void fill_tcp(struct tcp_counters *tcp, uint64_t scale)
{
    counter_set(&tcp->segments_received, 1 * scale);
    counter_set(&tcp->segments_sent, 2 * scale);
    counter_set(&tcp->timeouts, 3 * scale);
    counter_set(&tcp->probes, 4 * scale);
    counter_set(&tcp->zero_window_probes, 5 * scale);
    counter_set(&tcp->recoveries, 6 * scale);
    counter_set(&tcp->cookies_sent, 7 * scale);
    counter_set(&tcp->cookies_accepted, 8 * scale);
    counter_set(&tcp->resets_sent, 9 * scale);
    counter_set(&tcp->resets_received, 10 * scale);
    counter_set(&tcp->challenge_acks, 11 * scale);
    counter_set(&tcp->mtu_reductions, 12 * scale);
    counter_set(&tcp->unacknowledged_bytes, 13 * scale);
    counter_set(&tcp->recovery_blocks_used, 14 * scale);
    counter_set(&tcp->recovery_blocks_missing, 15 * scale);
    for (unsigned i = 0; i < RETRANSMIT_CAUSES; i++)
        counter_set(&tcp->retransmitted[i], (16 + i) * scale);
    for (unsigned i = 0; i < DROP_CAUSES; i++)
        counter_set(&tcp->dropped[i], (20 + i) * scale);
}

static void fill_port(struct port_counters *port, uint64_t scale)
{
    counter_set(&port->received_packets, 30 * scale);
    counter_set(&port->received_bytes, 31 * scale);
    counter_set(&port->sent_packets, 32 * scale);
    counter_set(&port->sent_bytes, 33 * scale);
    counter_set(&port->receive_drops, 34 * scale);
    counter_set(&port->receive_errors, 35 * scale);
    counter_set(&port->send_drops, 36 * scale);
    counter_set(&port->copied_segments, 37 * scale);
    counter_set(&port->epochs_waited, 38 * scale);
    counter_set(&port->buffer_shortages, 39 * scale);
}

/* Asserts that the metric `name` has the value `value` for shard 0 and a hundred times that for shard 1, and its type. */
static void assert_metric(const char *name, const char *type, unsigned value)
{
    char expected[256];

    snprintf(expected, sizeof expected, "# TYPE %s %s\n%s{thread=\"shard-0\"} %u\n%s{thread=\"shard-1\"} %u\n", name, type, name,
             value, name, value * 100);
    if (!strstr(written(), expected))
        fail_msg("missing:\n%s", expected);
}

static void assert_causes(const char *name, const char *const *causes, unsigned first)
{
    for (unsigned i = 0; causes[i]; i++) {
        for (unsigned shard = 0; shard < 2; shard++) {
            char expected[256];

            snprintf(expected, sizeof expected, "\n%s{thread=\"shard-%u\",cause=\"%s\"} %u\n", name, shard, causes[i],
                     (first + i) * (shard == 0 ? 1 : 100));
            if (!strstr(written(), expected))
                fail_msg("missing:%s", expected);
        }
    }
}

/* Two shards whose counters are all different, so that none can be taken for another. */
static void tcp_of_engines_that_have_one(void **state)
{
    static const char *const totals[] = {"tcp_received_segments", "tcp_sent_segments",      "tcp_timeouts",
                                         "tcp_tail_loss_probes",  "tcp_zero_window_probes", "tcp_recoveries",
                                         "tcp_sent_cookies",      "tcp_accepted_cookies",   "tcp_sent_resets",
                                         "tcp_received_resets",   "tcp_challenge_acks",     "tcp_mtu_reductions"};
    static const char *const port_totals[] = {"received_packets", "received_bytes",  "sent_packets", "sent_bytes",
                                              "receive_drops",    "receive_errors",  "send_drops",   "copied_segments",
                                              "epochs_waited",    "buffer_shortages"};
    static const char *const drops[] = {"foreign", "fragment", "malformed", "checksum", "paused", "cookie", "out_of_order", NULL};
    static const char *const retransmissions[] = {"rack", "duplicate_acks", "probe", "timeout", NULL};
    static struct tcp_counters tcps[2];
    static struct port_counters ports[2];
    struct metrics_sources sources = {.shard_count = 2,
                                      .has_tcp = true,
                                      .shard_tcps = {&tcps[0], &tcps[1]},
                                      .shard_ports = {&ports[0], &ports[1]},
                                      .shard_slots = {40, 4000}};
    char name[64];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        fill_tcp(&tcps[i], i == 0 ? 1 : 100);
        fill_port(&ports[i], i == 0 ? 1 : 100);
    }
    counter_set(&ports[0].link, PORT_LINK_UP);
    histogram_record(&tcps[0].rtt_us, 63, 1);
    histogram_record(&tcps[1].rtt_us, 2000000, 1);
    histogram_record(&tcps[0].cwnd_bytes, 14600, 3);
    metrics_write_tcp(&exposition, &sources);
    for (unsigned i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        snprintf(name, sizeof name, "flashrelay_%s_total", totals[i]);
        assert_metric(name, "counter", i + 1);
    }
    for (unsigned i = 0; i < sizeof port_totals / sizeof port_totals[0]; i++) {
        snprintf(name, sizeof name, "flashrelay_port_%s_total", port_totals[i]);
        assert_metric(name, "counter", 30 + i);
    }
    assert_metric("flashrelay_tcp_unacknowledged_bytes", "gauge", 13);
    assert_metric("flashrelay_tcp_recovery_blocks", "gauge", 14);
    assert_metric("flashrelay_tcp_recovery_blocks_missing_total", "counter", 15);
    assert_metric("flashrelay_tcp_connection_slots", "gauge", 40);
    assert_causes("flashrelay_tcp_retransmitted_segments_total", retransmissions, 16);
    assert_causes("flashrelay_tcp_dropped_packets_total", drops, 20);
    assert_non_null(strstr(written(), "flashrelay_tcp_rtt_seconds_bucket{le=\"3.1e-05\"} 0\n"
                                      "flashrelay_tcp_rtt_seconds_bucket{le=\"6.3e-05\"} 1\n"));
    assert_non_null(strstr(written(), "flashrelay_tcp_rtt_seconds_sum 2.000063\nflashrelay_tcp_rtt_seconds_count 2\n"));
    assert_non_null(strstr(written(), "flashrelay_tcp_congestion_window_bytes_sum 43800\n"));
    assert_non_null(strstr(written(), "# TYPE flashrelay_port_link_up gauge\nflashrelay_port_link_up 1\n"));
}

static void the_link_is_shown_as_the_device_tells(void **state)
{
    static struct tcp_counters tcp;
    static struct port_counters port;
    struct metrics_sources sources = {.shard_count = 1, .has_tcp = true, .shard_tcps = {&tcp}, .shard_ports = {&port}};

    (void)state;
    metrics_write_tcp(&exposition, &sources);
    assert_null(strstr(written(), "flashrelay_port_link_up"));
    counter_set(&port.link, PORT_LINK_DOWN);
    metrics_write_tcp(&exposition, &sources);
    assert_non_null(strstr(written(), "\nflashrelay_port_link_up 0\n"));
}

static void nothing_of_tcp_for_engines_on_sockets(void **state)
{
    struct metrics_sources sources = {.shard_count = 1};

    (void)state;
    metrics_write_tcp(&exposition, &sources);
    assert_string_equal(written(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(families_and_values, begin, end),
        cmocka_unit_test_setup_teardown(global_labels, begin, end),
        cmocka_unit_test_setup_teardown(histogram_is_written, begin, end),
        cmocka_unit_test_setup_teardown(histogram_of_counts, begin, end),
        cmocka_unit_test_setup_teardown(reference_to_the_letter, begin, end),
        cmocka_unit_test_setup_teardown(quantiles_forget_what_sum_and_count_keep, begin, end),
        cmocka_unit_test_setup_teardown(tcp_of_engines_that_have_one, begin, end),
        cmocka_unit_test_setup_teardown(the_link_is_shown_as_the_device_tells, begin, end),
        cmocka_unit_test_setup_teardown(nothing_of_tcp_for_engines_on_sockets, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

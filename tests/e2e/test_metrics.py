"""The metrics that dashboards and alerts of the reference proxies use, by name and type, and that a scrape is well-formed."""
import re
import socket
import urllib.error
import urllib.request

import pytest

from harness.metrics import Metrics, get

REFERENCE = {
    "sent_messages": "counter", "failed_messages": "counter", "new_connections": "counter", "closed_connections": "counter",
    "lagged_connections": "counter", "rate_limited_requests": "counter", "per_ip_rate_limited_requests": "counter",
    "global_rate_limited_requests": "counter", "unauthorized_requests": "counter", "upstream_errors": "counter",
    "upstream_connection_attempts": "counter", "upstream_connection_successes": "counter", "upstream_connection_failures": "counter",
    "bytes_broadcasted": "counter", "client_pong_disconnects": "counter", "ping_attempts": "counter", "ping_failures": "counter",
    "ping_sent": "counter", "active_connections": "gauge", "upstream_connections": "gauge", "broadcast_queue_size": "gauge",
    "message_send_duration": "summary",
}
LABELLED = {"connections_by_app": "counter", "upstream_messages": "counter"}


def check_histogram(metrics, name):
    """Asserts that the counts of buckets do not fall as their limits grow, and that the last bucket counts everything."""
    series = {}
    for labels, value in metrics.labelled(f"{name}_bucket").items():
        labels = dict(labels)
        limit = float(labels.pop("le"))
        series.setdefault(frozenset(labels.items()), []).append((limit, value))
    assert series, name
    for labels, buckets in series.items():
        buckets.sort()
        assert buckets[-1][0] == float("inf")
        counts = [value for _, value in buckets]
        assert counts == sorted(counts), name
        assert counts[-1] == metrics.samples[f"{name}_count", labels]
        assert (f"{name}_sum", labels) in metrics.samples


def check(metrics):
    """Asserts that every sample's family has a type, histograms are sound, and of flashrelay's metrics exactly the counters end in _total."""
    families = set()
    for name, _ in metrics.samples:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        family = name if name in metrics.types else base
        assert family in metrics.types, f"{name} has no type"
        families.add(family)
    for family, kind in metrics.types.items():
        if kind == "histogram":
            check_histogram(metrics, family)
        if family.startswith("flashrelay_"):
            assert (kind == "counter") == family.endswith("_total"), family


def test_the_reference_s_names_and_types_from_the_start(builder, start_relay):
    metrics = start_relay(builder, "--api-keys=app:key:1").metrics()
    check(metrics)
    for name, kind in {**REFERENCE, **LABELLED}.items():
        assert metrics.types.get(f"websocket_proxy_{name}") == kind, name
    for name, kind in REFERENCE.items():
        if kind != "summary" and name != "upstream_connection_attempts":
            assert metrics.value(f"websocket_proxy_{name}") in ((0, 1) if name.startswith(("upstream", "ping")) else (0,)), name
    assert {name for name in metrics.types if name.startswith("websocket_proxy_")} == {
        f"websocket_proxy_{name}" for name in {**REFERENCE, **LABELLED}}


def test_the_summary(relayed, subscribe):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    for _ in range(10):
        upstream.send_text(b"{}")
    subscriber.receive_all(10)
    relay.wait_metric("websocket_proxy_message_send_duration_count", 10)
    metrics = relay.metrics()
    quantiles = {dict(labels)["quantile"]: value for labels, value in metrics.labelled("websocket_proxy_message_send_duration").items()}
    assert {float(quantile) for quantile in quantiles} == {0, 0.5, 0.9, 0.95, 0.99, 0.999, 1}
    values = [value for _, value in sorted(quantiles.items(), key=lambda item: float(item[0]))]
    assert values == sorted(values) and values[-1] < 10 # seconds
    assert metrics.value("websocket_proxy_message_send_duration_sum") > 0


def test_what_flashrelay_adds(relayed, subscribe):
    relay, upstream = relayed("--enable-compression")
    subscriber = subscribe(relay)
    upstream.send_text(b"{}")
    subscriber.receive()
    relay.wait_metric("flashrelay_ingest_to_last_send_seconds_count", 1)
    metrics = relay.metrics()
    check(metrics)
    for name in ("flashrelay_ingest_to_first_send_seconds", "flashrelay_ingest_to_last_send_seconds", "flashrelay_fan_out_spread_seconds",
                 "flashrelay_upstream_behind_seconds", "flashrelay_subscriber_lag_frames", "flashrelay_compress_seconds"):
        assert metrics.types[name] == "histogram", name
    for name in ("flashrelay_shard_backlog_frames", "flashrelay_shard_subscribers", "flashrelay_log_frames", "flashrelay_log_bytes",
                 "flashrelay_log_floor"):
        assert metrics.types[name] == "gauge", name
    assert {dict(labels)["cause"] for labels in metrics.labelled("flashrelay_disconnects_total")} == {
        "peer_closed", "peer_vanished", "lagged", "log_floor", "send_timeout", "pong_timeout", "protocol_error", "flood",
        "shutdown"}
    limits = sorted(float(dict(labels)["le"]) for labels in metrics.labelled("flashrelay_ingest_to_first_send_seconds_bucket"))
    assert limits[0] <= 10e-6 and limits[-2] >= 1
    assert not [name for name in metrics.types if name.startswith(("flashrelay_tcp_", "flashrelay_port_"))] # the kernel's are not ours
    assert metrics.total("flashrelay_published_messages_total") == 1


def test_global_labels_are_on_every_sample(builder, start_relay):
    relay = start_relay(builder, '--metrics-global-labels=region=eu,quote="a"\\b,broken,x=1=2', "--metrics-host-label")
    metrics = relay.metrics()
    expected = {("region", "eu"), ("quote", '\\"a\\"\\\\b'), ("hostname", socket.gethostname())}
    for _, labels in metrics.samples:
        assert expected <= labels
    assert "broken" in relay.log() and "WARN" in relay.log()


def test_any_path_serves_them(builder, start_relay):
    relay = start_relay(builder)
    for path in ("/metrics", "/", "/anything/else", "/metrics?x=1"):
        status, content_type, text = get(f"http://127.0.0.1:{relay.metrics_port}{path}")
        assert status == 200 and content_type.startswith("text/plain")
        assert "websocket_proxy_sent_messages" in Metrics(text).types
    status, _, text = get(f"http://127.0.0.1:{relay.metrics_port}/health")
    assert (status, text.strip()) == (200, "OK")


def test_only_get_and_head(builder, start_relay):
    relay = start_relay(builder)
    url = f"http://127.0.0.1:{relay.metrics_port}/metrics"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(urllib.request.Request(url, b"x", method="POST"), timeout=20)
    assert refused.value.code == 405


def test_metrics_at_an_ipv6_address(builder, start_relay):
    relay = start_relay(builder, "--metrics-addr=[::1]:0")
    assert get(f"http://[::1]:{relay.metrics_port}/metrics")[0] == 200


def test_connections_that_come_and_go_are_counted(relayed, raw):
    relay, _ = relayed()
    for _ in range(7):
        raw(relay).upgrade().close()
    relay.wait_metric("websocket_proxy_closed_connections", 7)
    relay.wait_metric("websocket_proxy_new_connections", 7)
    relay.wait_subscribers(0)


def test_scrapes_while_flashblocks_flow(relayed, subscribe):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    last = 0
    for number in range(50):
        upstream.send_text(b'{"index":%d}' % number)
        metrics = relay.metrics()
        check(metrics)
        sent = metrics.value("websocket_proxy_sent_messages")
        assert sent >= last
        last = sent
    subscriber.receive_all(50)
    relay.wait_metric("websocket_proxy_sent_messages", 50)

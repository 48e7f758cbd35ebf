"""How many subscribers may connect: per instance and per address; and that every place is given back."""
import json

import pytest

from harness import ENGINE, eventually, scaled


def refused(raw, relay, message, **headers):
    answer = raw(relay).request(**headers)
    assert (answer.status, json.loads(answer.body)) == (429, {"message": message})


def test_the_instance_limit(builder, start_relay, raw):
    relay = start_relay(builder, "--instance-connection-limit=3")
    for _ in range(3):
        raw(relay).upgrade()
    refused(raw, relay, "Global limit")
    refused(raw, relay, "Global limit", X_Forwarded_For="9.9.9.9")
    relay.wait_metric("websocket_proxy_global_rate_limited_requests", 2)
    relay.wait_metric("websocket_proxy_rate_limited_requests", 2)
    relay.wait_metric("websocket_proxy_per_ip_rate_limited_requests", 0)
    relay.wait_subscribers(3)


def test_an_instance_limit_of_nobody(builder, start_relay, raw):
    relay = start_relay(builder, "--instance-connection-limit=0")
    refused(raw, relay, "Global limit")
    assert raw(relay).request("/healthz").status == 200


def test_the_address_limit(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=2")
    for _ in range(2):
        raw(relay).upgrade()
    refused(raw, relay, "IP limit exceeded")
    raw(relay).upgrade(X_Forwarded_For="10.0.0.1")
    relay.wait_metric("websocket_proxy_per_ip_rate_limited_requests", 1)
    relay.wait_metric("websocket_proxy_global_rate_limited_requests", 0)


def test_by_default_ten_an_address(builder, start_relay, raw):
    relay = start_relay(builder)
    for _ in range(10):
        raw(relay).upgrade()
    refused(raw, relay, "IP limit exceeded")


def test_no_address_limit(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=0")
    for _ in range(30):
        raw(relay).upgrade()


@pytest.mark.parametrize("value, counts_as", [
    ("1.2.3.4", "1.2.3.4"),
    ("8.8.8.8, 1.2.3.4", "1.2.3.4"),
    ("8.8.8.8,\t 1.2.3.4 ", "1.2.3.4"),
    ("::ffff:1.2.3.4", "1.2.3.4"),
    ("2001:DB8:0::1", "2001:db8::1"),
])
def test_whose_address_the_header_tells(builder, start_relay, raw, value, counts_as):
    relay = start_relay(builder, "--per-ip-connection-limit=1")
    raw(relay).upgrade(X_Forwarded_For=value)
    refused(raw, relay, "IP limit exceeded", X_Forwarded_For=counts_as)
    raw(relay).upgrade()


@pytest.mark.parametrize("value", ["", "unknown", "1.2.3.4:80", "[::1]", "1.2.3.4,", "1.2.3.4, x", "fe80::1%eth0", "1.2.3"])
def test_what_is_no_address_falls_back_to_the_socket(builder, start_relay, raw, value):
    relay = start_relay(builder, "--per-ip-connection-limit=1")
    raw(relay).upgrade(X_Forwarded_For=value)
    refused(raw, relay, "IP limit exceeded")


def test_the_first_header_of_the_name_counts(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=1")
    connection = raw(relay)
    connection.send(connection.request_text(X_Forwarded_For="1.1.1.1").replace(b"\r\n\r\n", b"\r\nx-forwarded-for: 2.2.2.2\r\n\r\n"))
    assert connection.receive_answer().status == 101
    refused(raw, relay, "IP limit exceeded", X_Forwarded_For="1.1.1.1")
    raw(relay).upgrade(X_Forwarded_For="2.2.2.2")


def test_another_header_may_tell(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=1", "--ip-addr-http-header=CF-Connecting-IP")
    raw(relay).upgrade(cf_connecting_ip="1.1.1.1")
    raw(relay).upgrade(X_Forwarded_For="2.2.2.2")
    refused(raw, relay, "IP limit exceeded", X_Forwarded_For="3.3.3.3")
    refused(raw, relay, "IP limit exceeded", CF_Connecting_IP="1.1.1.1")


def test_no_header_may_tell(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=1", "--ip-addr-http-header=")
    raw(relay).upgrade(X_Forwarded_For="1.1.1.1")
    refused(raw, relay, "IP limit exceeded", X_Forwarded_For="2.2.2.2")


def test_ipv6_and_ipv4_count_apart(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=1", "--listen-addr=[::]:8545" if ENGINE == "dpdk" else "--listen-addr=[::]:0")
    hosts = (relay.network.host_v6, relay.network.host)
    for host in hosts:
        raw(relay, host).upgrade()
    for host in hosts:
        answer = raw(relay, host).request()
        assert answer.status == 429


def test_the_instance_comes_before_the_address_before_the_app(builder, start_relay, raw):
    keys = "--api-keys=a:k:1"
    relay = start_relay(builder, keys, "--instance-connection-limit=1", "--per-ip-connection-limit=1")
    raw(relay).upgrade("/ws/k")
    assert b"Global limit" in raw(relay).request("/ws/k").body
    relay = start_relay(builder, keys, "--instance-connection-limit=2", "--per-ip-connection-limit=1")
    raw(relay).upgrade("/ws/k")
    assert b"IP limit exceeded" in raw(relay).request("/ws/k").body
    assert b"App limit exceeded" in raw(relay).request("/ws/k", X_Forwarded_For="1.1.1.1").body


def test_refusals_leak_no_place(builder, start_relay, raw):
    relay = start_relay(builder, "--instance-connection-limit=3", "--per-ip-connection-limit=2", "--api-keys=a:k:1")
    held = raw(relay).upgrade("/ws/k")
    for _ in range(scaled(100, 20)):
        connection = raw(relay)
        assert connection.request("/ws/k").status == 429 # by the app's limit, after the instance's and the address's had a place
        connection.close()
    held.close()
    held = eventually(lambda: admitted(raw, relay, "/ws/k"), "the place to be given back")
    assert raw(relay).request("/ws/k").status == 429
    held.reset()
    eventually(lambda: admitted(raw, relay, "/ws/k"), "the place to be given back after a reset")


def admitted(raw, relay, path="/ws"):
    connection = raw(relay)
    if connection.request(path).status == 101:
        return connection
    connection.close()
    return None


def test_every_end_gives_the_place_back(builder, start_relay, raw):
    relay = start_relay(builder, "--instance-connection-limit=1")
    endings = [lambda c: c.close(), lambda c: c.reset(), lambda c: c.end_writes(), lambda c: c.send_close(1000),
               lambda c: c.send(b"\xff\xff\xff\xff"), lambda c: (c.send_close(1000), c.reset())]
    for end in endings:
        end(eventually(lambda: admitted(raw, relay), "a place"))
    relay.wait_subscribers(0)
    metrics = relay.metrics()
    assert metrics.total("websocket_proxy_new_connections") == metrics.total("websocket_proxy_closed_connections") == len(endings)


def test_a_subscriber_that_leaves_while_it_is_admitted_gives_its_place_back(builder, start_relay, raw):
    relay = start_relay(builder, "--instance-connection-limit=2", "--per-ip-connection-limit=0")
    for _ in range(scaled(200, 20)):
        connection = raw(relay)
        connection.send(connection.request_text())
        connection.reset()
    relay.wait_subscribers(0)
    first = eventually(lambda: admitted(raw, relay), "the first place")
    second = eventually(lambda: admitted(raw, relay), "the second place")
    refused(raw, relay, "Global limit")
    assert first and second

"""API keys: both forms, limits of apps, public access, and that no key is ever shown."""
import json

import pytest

from harness import eventually

KEYS = "--api-keys=shop:s3cret%/:2,open:0ther:0,base:b4se"


def refused(raw, relay, path, status, message):
    answer = raw(relay).request(path)
    assert (answer.status, json.loads(answer.body)) == (status, {"message": message})


def test_keys_open_the_door(builder, start_relay, raw):
    relay = start_relay(builder, KEYS)
    raw(relay).upgrade("/ws/b4se")
    for wrong in ("b4s", "b4se0", "B4SE", "%62", "b4se%", "b4se%00", "x" * 4000):
        refused(raw, relay, f"/ws/{wrong}", 401, "Invalid API key")
    relay.wait_metric("websocket_proxy_unauthorized_requests", 7)


def test_keys_are_percent_decoded(builder, start_relay, raw):
    relay = start_relay(builder, KEYS)
    raw(relay).upgrade("/ws/s3cret%25%2F")
    raw(relay).upgrade("/ws/%73%33cret%25%2f")
    raw(relay).upgrade("/ws/%624se")


def test_limits_of_apps(builder, start_relay, raw):
    relay = start_relay(builder, KEYS, "--per-ip-connection-limit=0")
    held = [raw(relay).upgrade("/ws/s3cret%25%2f") for _ in range(2)]
    refused(raw, relay, "/ws/s3cret%25%2f", 429, "App limit exceeded")
    refused(raw, relay, "/ws/0ther", 429, "App limit exceeded")
    for _ in range(5):
        raw(relay).upgrade("/ws/b4se")
    held[0].close()
    eventually(lambda: raw(relay).request("/ws/s3cret%25%2f").status == 101, "the place to be given back")


def test_valid_keys_are_counted_by_app(builder, start_relay, raw):
    relay = start_relay(builder, KEYS)
    raw(relay).upgrade("/ws/b4se")
    raw(relay).request("/ws/0ther") # refused, and counted all the same
    raw(relay).request("/ws/wrong")
    relay.wait_metric("websocket_proxy_connections_by_app", 1, app="base")
    relay.wait_metric("websocket_proxy_connections_by_app", 1, app="open")
    relay.wait_metric("websocket_proxy_connections_by_app", 0, app="shop")
    assert len(relay.metrics().labelled("websocket_proxy_connections_by_app")) == 3


def test_public_access(builder, start_relay, raw):
    relay = start_relay(builder, KEYS, "--public-access-enabled")
    raw(relay).upgrade("/ws")
    raw(relay).upgrade("/ws/b4se")
    refused(raw, relay, "/ws/wrong", 401, "Invalid API key")
    relay = start_relay(builder, KEYS)
    assert raw(relay).request("/ws").status == 404


@pytest.mark.parametrize("form", ["text", "json"])
def test_keys_are_never_shown(builder, start_relay, raw, form):
    relay = start_relay(builder, "--api-keys=shop:s3cret:2", "--log-level=trace", f"--log-format={form}")
    raw(relay).upgrade("/ws/s3cret")
    assert raw(relay).request("/ws/s3cret/filter").status == 501
    raw(relay).request("/ws/wr0ng")
    metrics = relay.metrics().text
    relay.end()
    for secret in ("s3cret", "wr0ng"):
        assert secret not in relay.log() and secret not in metrics


def test_fan_out_reaches_every_app(relayed, subscribe):
    relay, upstream = relayed(KEYS)
    subscribers = [subscribe(relay, "/ws/b4se"), subscribe(relay, "/ws/s3cret%25%2f")]
    upstream.send_text(b'{"n":1}')
    assert [subscriber.receive() for subscriber in subscribers] == [b'{"n":1}'] * 2

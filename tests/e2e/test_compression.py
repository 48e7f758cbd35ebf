"""Brotli: sent to all subscribers, passed through a chain of relays, and decompressed where JSON is sent."""
import json

import pytest

from harness import brotli, eventually


def message(number, size=2000):
    return json.dumps({"payload_id": "0x1", "index": number, "pad": "0123456789" * (size // 10)}).encode()


@pytest.fixture
def compressing(relayed):
    return relayed("--enable-compression")


def test_subscribers_get_brotli_of_what_came(compressing, subscribe):
    relay, upstream = compressing
    subscribers = [subscribe(relay) for _ in range(3)]
    messages = [message(number, size) for number, size in enumerate((0, 100, 30_000, 1_000_000))] + [b"{}", b""]
    for each in messages:
        upstream.send_text(each)
    for subscriber in subscribers:
        received = subscriber.receive_all(len(messages))
        assert [brotli.decompress(each) if each else each for each in received] == messages
        assert len(received[2]) < 1000


def test_everybody_gets_the_same_bytes_in_order(compressing, subscribe):
    relay, upstream = compressing
    subscribers = [subscribe(relay) for _ in range(5)]
    for number in range(15): # fewer messages than a subscriber may fall behind
        upstream.send_text(message(number))
    first = subscribers[0].receive_all(15)
    assert [brotli.decompress(each) for each in first] == [message(number) for number in range(15)]
    for subscriber in subscribers[1:]:
        assert subscriber.receive_all(15) == first


def test_an_upstream_s_brotli_is_passed_on_as_it_is(compressing, subscribe):
    relay, upstream = compressing
    subscriber = subscribe(relay)
    packed = brotli.compress(message(1), quality=11)
    upstream.send_binary(packed)
    assert subscriber.receive() == packed
    upstream.send_text(message(2))
    assert brotli.decompress(subscriber.receive()) == message(2)


def test_compressing_relays_in_a_chain(builder, start_relay, subscribe):
    first = start_relay(builder, "--enable-compression")
    upstream = builder.accept()
    second, third = start_relay(first.uri(), "--enable-compression"), start_relay(first.uri())
    for relay in (second, third):
        relay.wait_metric("websocket_proxy_upstream_connections", 1)
    packed, plain = subscribe(second), subscribe(third)
    for number in range(20):
        upstream.send_text(message(number))
    assert [brotli.decompress(each) for each in packed.receive_all(20)] == [message(number) for number in range(20)]
    assert plain.receive_all(20) == [message(number) for number in range(20)]


def test_an_upstream_s_brotli_is_unpacked_where_json_is_sent(relayed, subscribe):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    for number, quality in enumerate((0, 5, 11)):
        upstream.send_binary(brotli.compress(message(number, 50_000), quality))
        assert subscriber.receive() == message(number, 50_000)


def test_a_bomb_is_dropped(relayed, subscribe):
    relay, upstream = relayed("--max-message-bytes=1M")
    subscriber = subscribe(relay)
    upstream.send_binary(brotli.compress(b"{" + b" " * (1 << 20)))
    upstream.send_text(message(1))
    assert subscriber.receive() == message(1)
    eventually(lambda: relay.metrics().total("flashrelay_upstream_oversized_messages_total") == 1, "the bomb to be counted")


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b"\xff" * 50, lambda b: b[:10]])
def test_broken_brotli_is_dropped(relayed, subscribe, spoil):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    upstream.send_binary(spoil(brotli.compress(message(1))))
    upstream.send_text(message(2))
    assert subscriber.receive() == message(2)
    relay.wait_metric("flashrelay_upstream_invalid_messages_total", 1)


def test_a_burst_through_the_encoder(builder, start_relay, subscribe):
    relay = start_relay(builder, "--enable-compression", "--per-ip-connection-limit=0", "--message-buffer-size=1000")
    upstream = builder.accept()
    subscribers = [subscribe(relay) for _ in range(20)]
    for number in range(100):
        upstream.send_text(message(number, 20_000))
    for subscriber in subscribers:
        assert [json.loads(brotli.decompress(each))["index"] for each in subscriber.receive_all(100)] == list(range(100))
    assert relay.metrics().total("websocket_proxy_lagged_connections") == 0


def test_both_logs_share_the_memory(builder, start_relay):
    metrics = start_relay(builder, "--enable-compression", "--log-memory=32M", "--max-message-bytes=8M").metrics()
    for channel in ("json", "brotli"):
        assert metrics.value("flashrelay_log_capacity_bytes", channel=channel) == 16 << 20

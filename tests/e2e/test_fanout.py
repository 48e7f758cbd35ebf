"""From one builder to all subscribers: byte for byte, whole, in order."""
import json
import os
import random

import pytest

from harness import needs_queues, scaled
from harness.wire import BINARY, CONTINUATION, TEXT, encode_frame


# Flags with which no subscriber is cut off, for messages that come faster than Python reads them.
PATIENT = ("--message-buffer-size=100000", "--client-send-timeout-ms=0")


def flashblock(index, size=0):
    return json.dumps({"payload_id": "0x0123456789abcdef", "index": index, "diff": {}, "metadata": {"pad": "x" * size}}).encode()


def test_every_subscriber_gets_the_bytes_that_came(relayed, subscribe):
    relay, upstream = relayed()
    subscribers = [subscribe(relay) for _ in range(5)]
    messages = [flashblock(0), b'{ "spaces" : [ 1,2 ] }\n', '{"é":"€𝄞"}'.encode(), b"{", b"not JSON at all", b" ", b""]
    for message in messages:
        upstream.send_text(message)
    for subscriber in subscribers:
        assert subscriber.receive_all(len(messages)) == messages


def test_binary_json_is_passed_on_as_it_came(relayed, subscribe):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    messages = [flashblock(1), b'\r\n\t {"a":1}', b'{"not utf-8":"\xff"}', b""]
    for message in messages:
        upstream.send_binary(message)
    assert subscriber.receive_all(len(messages)) == messages


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 300_000, 4_000_000])
def test_frames_are_whole_and_in_their_shortest_form(relayed, raw, length):
    relay, upstream = relayed()
    subscriber = raw(relay).upgrade()
    message = b"{" * length
    upstream.send_text(message)
    assert subscriber.take(len(encode_frame(BINARY, message))) == encode_frame(BINARY, message)


def test_many_sizes_in_order(relayed, subscribe):
    relay, upstream = relayed(*PATIENT, "--log-memory=128M", "--max-message-bytes=1M")
    subscribers = [subscribe(relay) for _ in range(3)]
    dice = random.Random(1)
    messages = [flashblock(index, dice.choice([0, 100, 5_000, 70_000, 300_000])) for index in range(scaled(300, 50))]
    for message in messages:
        upstream.send_frame(dice.choice([TEXT, BINARY]), message)
    for subscriber in subscribers:
        assert subscriber.receive_all(len(messages)) == messages


def test_fragments_become_whole_frames(relayed, raw):
    relay, upstream = relayed()
    subscriber = raw(relay).upgrade()
    upstream.send_frame(TEXT, b'{"a":', fin=False)
    upstream.send_frame(CONTINUATION, b"", fin=False)
    upstream.send_frame(CONTINUATION, b"1}")
    frame = subscriber.receive_frame()
    assert frame == (BINARY, b'{"a":1}', True, 0, False)


def test_a_burst_reaches_everybody(builder, start_relay, subscribe):
    relay = start_relay(builder, "--instance-connection-limit=2000", "--per-ip-connection-limit=0")
    upstream = builder.accept()
    subscribers = [subscribe(relay) for _ in range(scaled(100, 10))]
    messages = [flashblock(index, 4000) for index in range(100)]
    upstream.send(b"".join(encode_frame(TEXT, message) for message in messages))
    for subscriber in subscribers:
        assert subscriber.receive_all(len(messages)) == messages
    metrics = relay.metrics()
    assert metrics.total("websocket_proxy_lagged_connections") == 0
    assert metrics.total("websocket_proxy_active_connections") == len(subscribers)


def test_a_subscriber_that_comes_late_begins_with_the_next_message(relayed, subscribe):
    relay, upstream = relayed()
    early = subscribe(relay)
    upstream.send_text(flashblock(0))
    assert early.receive() == flashblock(0)
    late = subscribe(relay)
    upstream.send_text(flashblock(1))
    assert early.receive() == late.receive() == flashblock(1)


def test_what_one_connection_repeats_is_passed_on(relayed, subscribe):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    for _ in range(3):
        upstream.send_text(flashblock(7))
    upstream.send_text(flashblock(8))
    assert subscriber.receive_all(4) == [flashblock(7)] * 3 + [flashblock(8)]


@needs_queues
def test_several_shards(builder, start_relay, subscribe):
    relay = start_relay(builder, *PATIENT, "--shards=4", "--instance-connection-limit=200", "--per-ip-connection-limit=0")
    upstream = builder.accept()
    subscribers = [subscribe(relay) for _ in range(scaled(60, 12))]
    messages = [flashblock(index, 20_000) for index in range(40)]
    for message in messages:
        upstream.send_text(message)
    for subscriber in subscribers:
        assert subscriber.receive_all(len(messages)) == messages
    shares = relay.metrics().labelled("flashrelay_shard_subscribers")
    assert len(shares) == 4 and sum(shares.values()) == len(subscribers)
    assert sum(share > 0 for share in shares.values()) > 1


def test_the_log_goes_round(builder, start_relay, subscribe):
    relay = start_relay(builder, "--log-memory=2M", "--max-message-bytes=1M")
    upstream = builder.accept()
    subscriber = subscribe(relay)
    for _ in range(scaled(100, 40)): # several times as much as the log holds
        messages = [b"{" + os.urandom(size).hex().encode() for size in (1000, 120_000, 3)]
        for message in messages:
            upstream.send_binary(message)
        assert subscriber.receive_all(len(messages)) == messages
    assert relay.metrics().total("flashrelay_log_wraps_total") > 0


@pytest.mark.parametrize("flag", ["--zerocopy=on", "--zerocopy=off", "--busy-poll", "--notsent-lowat=16K", "--notsent-lowat=0",
                                  "--cpu-list=0", "--log-level=trace"])
def test_the_engine_s_flags_change_no_byte(builder, start_relay, subscribe, flag):
    relay = start_relay(builder, flag, *PATIENT)
    upstream = builder.accept()
    subscribers = [subscribe(relay) for _ in range(3)]
    messages = [flashblock(index, 300 * index) for index in range(100)]
    for message in messages:
        upstream.send_text(message)
    for subscriber in subscribers:
        assert subscriber.receive_all(len(messages)) == messages


def test_relays_in_a_chain(builder, start_relay, subscribe):
    first = start_relay(builder)
    upstream = builder.accept()
    second = start_relay(first.uri())
    second.wait_metric("websocket_proxy_upstream_connections", 1)
    subscriber = subscribe(second)
    messages = [flashblock(index, 1000 * index) for index in range(20)]
    for message in messages:
        upstream.send_text(message)
    assert subscriber.receive_all(len(messages)) == messages


def test_what_went_through_is_counted(relayed, subscribe):
    relay, upstream = relayed()
    subscribers = [subscribe(relay) for _ in range(3)]
    for index in range(10):
        upstream.send_text(flashblock(index))
    for subscriber in subscribers:
        subscriber.receive_all(10)
    relay.wait_metric("websocket_proxy_sent_messages", 30)
    metrics = relay.metrics()
    assert metrics.total("websocket_proxy_upstream_messages") == 10
    assert metrics.total("websocket_proxy_bytes_broadcasted") >= 30 * len(flashblock(0))
    assert metrics.total("websocket_proxy_failed_messages") == 0
    assert metrics.total("websocket_proxy_new_connections") == 3

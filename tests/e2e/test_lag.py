"""Subscribers that refuse bytes lag: when they are cut off, what their close says, and that no other subscriber notices."""
import os
import selectors
import signal
import time

import pytest

from harness import eventually
from harness.wire import CLOSE, Closed, decode_close, encode_frame

# Bytes of a large message: a few of them fill the buffers of both ends, so that a subscriber that reads nothing refuses bytes.
LARGE_MESSAGE_BYTES = 400_000
SMALL_BUFFER = 4096


def message(number, size=LARGE_MESSAGE_BYTES):
    return b'{"index":%d,"pad":"%s"}' % (number, b"x" * size)


def causes(relay):
    samples = relay.metrics().labelled("flashrelay_disconnects_total")
    return {dict(labels)["cause"]: value for labels, value in samples.items() if value}


def publish_until(upstream, stop, first=0, interval_s=0.01):
    """Sends messages until stop() is true; returns how many."""
    number = first
    deadline = time.monotonic() + 60
    while not stop():
        assert time.monotonic() < deadline, "nobody was cut off"
        upstream.send_text(message(number))
        number += 1
        time.sleep(interval_s)
    return number - first


def test_a_subscriber_that_falls_behind_is_cut_off(builder, start_relay, raw, subscribe):
    relay = start_relay(builder, "--message-buffer-size=10", "--client-send-timeout-ms=0", "--log-memory=128M", "--max-message-bytes=1M")
    upstream = builder.accept()
    reading, stalled = subscribe(relay), raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    sent = publish_until(upstream, lambda: causes(relay).get("lagged"), interval_s=0.1)
    assert [each[:12] for each in reading.receive_all(sent)] == [message(number)[:12] for number in range(sent)]
    assert causes(relay) == {"lagged": 1}
    relay.wait_metric("websocket_proxy_lagged_connections", 1)
    relay.wait_subscribers(1)
    stalled.receive_end()


def drain(connections, quiet_s=0.2):
    """Reads what arrives on all connections until nothing has come for a while; returns the number of bytes."""
    waiting, count = selectors.DefaultSelector(), 0
    for connection in connections:
        waiting.register(connection.sock, selectors.EVENT_READ)
    while ready := waiting.select(quiet_s):
        for key, _ in ready:
            received = key.fileobj.recv(1 << 20)
            count += len(received)
            if not received:
                waiting.unregister(key.fileobj)
    return count


def test_a_relay_that_was_stopped_blames_nobody(builder, start_relay, raw):
    """Subscribers that make room while the relay stands still, as in a frozen container, are not cut off for the time before."""
    relay = start_relay(builder, "--shards=1", "--message-buffer-size=1000", "--client-send-timeout-ms=3000", "--log-memory=64M",
                        "--max-message-bytes=1M", "--per-ip-connection-limit=0")
    upstream = builder.accept()
    slow = [raw(relay, receive_buffer=SMALL_BUFFER).upgrade() for _ in range(20)]
    for number in range(20):
        upstream.send_text(message(number))
    relay.wait_metric("flashrelay_shard_blocked_subscribers", len(slow), shard="0")
    os.kill(relay.process.pid, signal.SIGSTOP)
    stopped = time.monotonic()
    assert drain(slow) > 0
    time.sleep(max(0.0, stopped + 3.5 - time.monotonic()))
    os.kill(relay.process.pid, signal.SIGCONT)
    assert drain(slow) > 0
    assert causes(relay) == {}
    relay.wait_subscribers(len(slow))


def test_nobody_else_notices_a_stalled_one(builder, start_relay, raw, subscribe):
    relay = start_relay(builder, "--message-buffer-size=1000", "--client-send-timeout-ms=0", "--log-memory=128M", "--max-message-bytes=1M")
    upstream = builder.accept()
    raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    reading = subscribe(relay)
    for number in range(30):
        upstream.send_text(message(number))
        assert reading.receive() == message(number)
    assert causes(relay) == {}
    relay.wait_subscribers(2)


def test_a_subscriber_that_takes_no_byte_for_long_is_cut_off(builder, start_relay, raw, subscribe):
    relay = start_relay(builder, "--message-buffer-size=100000", "--client-send-timeout-ms=300", "--log-memory=128M",
                        "--max-message-bytes=1M")
    upstream = builder.accept()
    reading, stalled = subscribe(relay), raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    sent = publish_until(upstream, lambda: causes(relay).get("send_timeout"), interval_s=0.1)
    assert len(reading.receive_all(sent)) == sent
    assert causes(relay) == {"send_timeout": 1}
    relay.wait_subscribers(1)
    stalled.receive_end()


def test_a_subscriber_that_takes_bytes_slowly_is_not_cut_off(builder, start_relay, raw):
    relay = start_relay(builder, "--message-buffer-size=100000", "--client-send-timeout-ms=3000", "--log-memory=128M",
                        "--max-message-bytes=8M")
    upstream = builder.accept()
    slow = raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    expected = encode_frame(2, message(0, 6_000_000)) + encode_frame(2, message(1))
    upstream.send_text(message(0, 6_000_000))
    upstream.send_text(message(1))
    received = b""
    for _ in range(45): # for longer than the time-out
        received += slow.take(20_000)
        time.sleep(0.1)
    received += slow.take(len(expected) - len(received))
    assert received == expected
    assert causes(relay) == {}


def stall_then_read(relay, upstream, subscriber):
    """Has a subscriber read nothing until it is cut off, and then everything; returns its frames."""
    before = causes(relay).get("lagged", 0)
    publish_until(upstream, lambda: causes(relay).get("lagged", 0) > before, interval_s=0.1)
    frames = []
    while not frames or frames[-1].opcode != CLOSE:
        frames.append(subscriber.receive_frame())
    return frames


def test_a_subscriber_that_is_cut_off_is_told_why_if_it_reads_on(builder, start_relay, raw):
    relay = start_relay(builder, "--message-buffer-size=2", "--client-send-timeout-ms=0", "--log-memory=128M", "--max-message-bytes=1M")
    upstream = builder.accept()
    for _ in range(5):
        try:
            frames = stall_then_read(relay, upstream, raw(relay, receive_buffer=SMALL_BUFFER).upgrade())
            break
        except Closed: # the subscriber has a second to read on, which may pass on a busy machine
            continue
    else:
        pytest.fail("it was never told")
    numbers = [frame.payload[:12] for frame in frames[:-1]]
    assert numbers and numbers == [message(number)[:12] for number in range(len(numbers))] # whole, in order, from the first
    code, reason = decode_close(frames[-1].payload)
    assert code == 1013 and reason


def test_the_log_s_floor_cuts_off(builder, start_relay, raw, subscribe):
    relay = start_relay(builder, "--message-buffer-size=100000", "--client-send-timeout-ms=0", "--log-memory=4M", "--max-message-bytes=1M")
    upstream = builder.accept()
    raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    reading = subscribe(relay)
    number = 0
    deadline = time.monotonic() + 60
    while not causes(relay).get("log_floor"):
        assert time.monotonic() < deadline
        upstream.send_text(message(number))
        assert reading.receive() == message(number)
        number += 1
    assert causes(relay) == {"log_floor": 1}
    relay.wait_metric("websocket_proxy_lagged_connections", 1)
    relay.wait_subscribers(1)


def test_a_subscriber_that_lagged_may_come_back(builder, start_relay, raw):
    relay = start_relay(builder, "--message-buffer-size=2", "--client-send-timeout-ms=0", "--instance-connection-limit=1",
                        "--log-memory=128M", "--max-message-bytes=1M")
    upstream = builder.accept()
    stalled = raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    publish_until(upstream, lambda: causes(relay).get("lagged"), interval_s=0.1)
    stalled.close()

    def back():
        connection = raw(relay)
        return connection if connection.request().status == 101 else connection.close()

    again = eventually(back, "the place to be free")
    upstream.send_text(message(77, 10))
    assert again.receive_frame().payload == message(77, 10)


@pytest.mark.parametrize("compression", [False, True])
def test_a_stalled_one_does_not_hold_up_the_upstream(builder, start_relay, raw, subscribe, compression):
    relay = start_relay(builder, f"--enable-compression={str(compression).lower()}", "--log-memory=4M", "--max-message-bytes=1M")
    upstream = builder.accept()
    for _ in range(3):
        raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    reading = subscribe(relay)
    for number in range(100): # many times as much as the log holds
        upstream.send_text(message(number))
        reading.receive()

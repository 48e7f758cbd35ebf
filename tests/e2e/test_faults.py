"""Upstreams and subscribers that misbehave on purpose. The relay stays up, other peers notice nothing, and nothing leaks."""
import contextlib
import os
import random
import re
import resource
import socket
import threading
import time

import pytest

from harness import brotli, eventually, needs_sockets, scaled
from harness.wire import BINARY, CLOSE, PING, TEXT, Closed, encode_frame

SMALL_BUFFER = 4096
MANY = ("--instance-connection-limit=5000", "--per-ip-connection-limit=0")


def message(number, size=100):
    return b'{"index":%d,"pad":"%s"}' % (number, b"x" * size)


def descriptors(relay):
    return len(os.listdir(f"/proc/{relay.process.pid}/fd"))


class Flow:
    """A thread that sends flashblocks at a steady pace until it is stopped; `count` is how many were sent."""

    def __init__(self, upstream, size=2000, interval_s=0.01):
        self.upstream, self.size, self.interval_s = upstream, size, interval_s
        self.count, self.stopping = 0, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.count == 0 or not self.stopping.wait(self.interval_s):
            self.upstream.send_text(message(self.count, self.size))
            self.count += 1

    def stop(self):
        self.stopping.set()
        self.thread.join()
        return self.count


@pytest.fixture
def flowing(builder, start_relay, subscribe, request):
    """
    A relay with flashblocks flowing through it, and a subscriber, the witness, that must have received all of them in the end. A test may
    give the relay more flags by indirect parametrization.
    """
    relay = start_relay(builder, *MANY, "--message-buffer-size=1000", *getattr(request, "param", ())) # the witness may be slow
    witness = subscribe(relay)
    flow = Flow(builder.accept())
    yield relay
    count = flow.stop()
    assert count > 0
    assert witness.receive_all(count) == [message(number, flow.size) for number in range(count)]


# --- upstreams ---

@pytest.mark.parametrize("cut", [1, 2, 3, 9, 10, 11, 5000, 70_000])
def test_an_upstream_that_dies_within_a_frame(builder, start_relay, subscribe, cut):
    relay = start_relay(builder)
    subscriber = subscribe(relay)
    upstream = builder.accept()
    upstream.send_text(message(1))
    upstream.send(encode_frame(TEXT, message(2, 70_000))[:cut])
    assert subscriber.receive() == message(1)
    upstream.reset()
    builder.accept().send_text(message(3))
    assert subscriber.receive() == message(3)


def test_an_upstream_that_dies_between_fragments(builder, start_relay, subscribe):
    relay = start_relay(builder)
    subscriber = subscribe(relay)
    upstream = builder.accept()
    upstream.send_frame(TEXT, b'{"half":', fin=False)
    upstream.close()
    builder.accept().send_text(message(3))
    assert subscriber.receive() == message(3)


def test_an_upstream_that_stalls_within_a_frame(start_builder, start_relay, subscribe):
    stalling, healthy = start_builder(), start_builder()
    relay = start_relay(stalling, healthy, "--subscriber-ping-interval-ms=100", "--subscriber-pong-timeout-ms=300")
    subscriber = subscribe(relay)
    upstream, other = stalling.accept(), healthy.accept()
    upstream.answers_pings = False
    upstream.send(encode_frame(TEXT, message(1, 5000))[:100])
    other.send_text(message(2))
    assert subscriber.receive() == message(2)
    upstream.wait_end()
    stalling.accept().send_text(message(3))
    assert subscriber.receive() == message(3)


def test_upstreams_that_never_answer_do_not_hold_up_the_others(start_builder, start_relay, subscribe):
    mute, half, healthy = start_builder(), start_builder(), start_builder()
    relay = start_relay(mute, half, healthy)
    mute.accept_socket()
    half.accept_request().send(b"HTTP/1.1 101 Switching")
    subscriber = subscribe(relay)
    upstream = healthy.accept()
    upstream.send_text(message(1))
    assert subscriber.receive() == message(1)
    mute.accept_socket() # the next attempt, after the time-out


def disconnects(relay, *causes):
    """How many connections ended for one of these causes."""
    metrics = relay.metrics()
    return sum(metrics.total("flashrelay_disconnects_total", cause=cause) for cause in causes)


def messages_until_cut_off(subscriber, count):
    """(whole messages, True if there was a close or a reset before they were `count`)."""
    messages = []
    with contextlib.suppress(Closed):
        while len(messages) < count:
            frame = subscriber.receive_frame()
            if frame.opcode == CLOSE:
                break
            assert frame.opcode == BINARY
            messages.append(frame.payload)
    return messages, len(messages) < count


def test_an_upstream_that_floods(builder, start_relay, raw):
    """
    The upstream sends faster than subscribers read: a subscriber that stays gets everything in order, and one that is cut off got whole
    frames in order before.
    """
    relay = start_relay(builder, "--log-memory=4M", "--max-message-bytes=1M", *MANY)
    upstream = builder.accept()
    reading = [raw(relay).upgrade() for _ in range(2)]
    for _ in range(3): # these subscribers read nothing
        raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    count = scaled(3000, 300)

    def flood():
        for number in range(count):
            upstream.send_text(message(number, 20_000))

    flooding = threading.Thread(target=flood)
    flooding.start()
    were_cut_off = 0
    for subscriber in reading:
        messages, was_cut_off = messages_until_cut_off(subscriber, count)
        assert messages and messages == [message(number, 20_000) for number in range(len(messages))]
        were_cut_off += was_cut_off
    flooding.join()
    relay.wait_metric("flashrelay_published_messages_total", count)
    eventually(lambda: disconnects(relay, "lagged", "log_floor", "send_timeout") == 3 + were_cut_off, "whoever refuses to be cut off")
    relay.wait_subscribers(2 - were_cut_off)
    late = raw(relay).upgrade()
    upstream.send_text(b'{"end":1}')
    assert late.receive_frame().payload == b'{"end":1}'


@needs_sockets("the engine dpdk has no send buffers: a subscriber that pauses for 100 ms, as on a busy machine, may be cut off")
def test_an_upstream_that_floods_with_tiny_messages(builder, start_relay, raw):
    """Thousands of tiny messages are not published at once: a subscriber that reads, though slowly, is not cut off as lagging."""
    relay = start_relay(builder)
    upstream = builder.accept()
    reader = raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    messages = [message(number, 10) for number in range(12_000)]
    expected = b"".join(encode_frame(BINARY, each) for each in messages)
    reading = threading.Event()

    def flood():
        for half in (messages[:6000], messages[6000:]):
            upstream.send(b"".join(encode_frame(TEXT, each) for each in half))
            reading.wait()

    flooding = threading.Thread(target=flood, daemon=True)
    flooding.start()
    received = reader.buffer
    while len(received) < len(expected):
        got = reader.sock.recv(4096)
        assert got, "the relay has cut it off"
        received += got
        if len(received) > 20_000:
            reading.set() # while the first half still waits to be read
        time.sleep(0.005)
    assert received == expected
    flooding.join()
    reader.close()


def test_an_upstream_that_floods_with_pings(builder, start_relay, subscribe):
    relay = start_relay(builder)
    upstream = builder.accept()
    subscriber = subscribe(relay)
    upstream.send(encode_frame(PING, b"p" * 125) * scaled(20_000, 2000))
    upstream.send_text(message(1))
    assert subscriber.receive() == message(1)


def test_an_upstream_that_takes_no_bytes(builder, start_relay, subscribe):
    """The pongs to this upstream find no room in its socket; its messages are published all the same."""
    builder.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    relay = start_relay(builder, "--subscriber-pong-timeout-ms=600000")
    request = builder.accept_request()
    request.read = lambda: None
    upstream = request.accept()
    subscriber = subscribe(relay)
    after_it_blocked = 0
    for number in range(20_000):
        upstream.send(encode_frame(PING, b"p" * 125) * 200)
        upstream.send_text(message(number))
        assert subscriber.receive() == message(number)
        if number % 20 == 0:
            after_it_blocked += relay.metrics().total("flashrelay_engine_blocked_sends_total", thread="ingest") > 0
        if after_it_blocked == 5:
            break
    assert after_it_blocked == 5


def test_upstreams_that_send_garbage(builder, start_relay, subscribe):
    relay = start_relay(builder, "--subscriber-max-interval-ms=20")
    subscriber = subscribe(relay)
    dice = random.Random(3)
    for _ in range(scaled(40, 10)):
        upstream = builder.accept()
        try:
            upstream.send(dice.randbytes(dice.choice([1, 10, 1000, 100_000])))
            upstream.end_writes()
        except OSError:
            pass # the relay has ended the connection before
    eventually(lambda: relay.metrics().total("websocket_proxy_upstream_errors") >= scaled(40, 10), "each to be dropped")
    subscriber.close()


@pytest.mark.parametrize("code", [1000, 1001, 1009, 1011])
def test_an_upstream_that_closes(builder, start_relay, subscribe, code):
    relay = start_relay(builder)
    subscriber = subscribe(relay)
    upstream = builder.accept()
    upstream.send_text(message(1))
    upstream.send_close(code, "enough")
    assert subscriber.receive() == message(1)
    builder.accept().send_text(message(2))
    assert subscriber.receive() == message(2)


def test_damaged_brotli_from_one_of_several(start_builder, start_relay, subscribe):
    first, second = start_builder(), start_builder()
    relay = start_relay(first, second)
    subscriber = subscribe(relay)
    damaged, whole = first.accept(), second.accept()
    dice = random.Random(5)
    for number in range(50):
        packed = bytearray(brotli.compress(message(number, 3000)))
        packed[dice.randrange(len(packed) - 1) + 1] ^= 1 << dice.randrange(8)
        damaged.send_binary(bytes(packed[:dice.randrange(1, len(packed))]))
        whole.send_text(message(number))
        assert subscriber.receive() == message(number)


# --- subscribers ---

def test_subscribers_that_never_read(flowing, raw):
    stalled = [raw(flowing, receive_buffer=SMALL_BUFFER).upgrade() for _ in range(20)]
    eventually(lambda: flowing.metrics().total("flashrelay_engine_blocked_sends_total") >= 20, "their sockets to take no more")
    sent = flowing.metrics().total("websocket_proxy_sent_messages")
    eventually(lambda: flowing.metrics().total("websocket_proxy_sent_messages") > sent + 100, "flashblocks to flow on")
    for connection in stalled:
        connection.reset()
    flowing.wait_subscribers(1)


def test_a_subscriber_that_reads_a_byte_a_second(builder, start_relay, raw, subscribe):
    relay = start_relay(builder, *MANY, "--client-send-timeout-ms=2500", "--message-buffer-size=1000000", "--log-memory=64M")
    upstream = builder.accept()
    slow = raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    witness = subscribe(relay)
    deadline = time.monotonic() + 60
    number, taken, next_byte = 0, 0, 0
    while relay.metrics().total("websocket_proxy_active_connections") == 2:
        assert time.monotonic() < deadline
        upstream.send_text(message(number, 20_000))
        assert witness.receive() == message(number, 20_000)
        number += 1
        if time.monotonic() > next_byte:
            taken += len(slow.sock.recv(1))
            next_byte = time.monotonic() + 1
        time.sleep(0.01)
    relay.wait_subscribers(1)
    assert taken >= 3 and disconnects(relay, "send_timeout") == 1


def test_half_handshakes(flowing, raw):
    before = descriptors(flowing)
    dice = random.Random(7)
    text = b"GET /ws HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\n"
    connections = [raw(flowing) for _ in range(scaled(300, 50))]
    for connection in connections:
        connection.send(text[:dice.randrange(len(text))])
    for connection in connections[::2]:
        connection.reset()
    raw(flowing).upgrade().close()
    for connection in connections[1::2]:
        assert connection.receive_answer().status == 408
        connection.close()
    eventually(lambda: descriptors(flowing) <= before, "all descriptors to be given back")


@pytest.mark.parametrize("flowing", [["--shards=1"]], indirect=True, ids=["one shard"])
def test_half_handshakes_take_no_place_from_others(flowing, raw):
    """A shard reads at most 512 requests per address: a further one takes the oldest one's place, and other clients notice nothing."""
    connections = [raw(flowing) for _ in range(700)]
    for _ in range(3):
        late = raw(flowing)
        late.send(late.request_text())
        assert late.receive_answer().status == 101
        other = raw(flowing, source=flowing.network.source(1))
        other.send(b"GET /healthz HTTP/1.1\r\nHost: relay\r\n\r\n")
        assert other.receive_answer().status == 200
    assert flowing.metrics().value("flashrelay_evicted_handshakes_total") >= 700 - 512
    for connection in connections:
        connection.close()
    flowing.wait_subscribers(4)


def test_subscribers_that_reset_within_a_frame(flowing, raw):
    before = descriptors(flowing)
    dice = random.Random(9)
    for _ in range(scaled(200, 30)):
        connection = raw(flowing).upgrade()
        connection.receive_some()
        connection.send(encode_frame(TEXT, b"x" * 1000, mask=b"abcd")[:dice.randrange(1000)])
        connection.reset()
    flowing.wait_subscribers(1)
    eventually(lambda: descriptors(flowing) <= before, "all descriptors to be given back")


def test_subscribers_that_send_garbage(flowing, raw):
    dice = random.Random(11)
    for _ in range(scaled(100, 20)):
        connection = raw(flowing).upgrade()
        connection.send(dice.randbytes(dice.choice([2, 50, 5000])))
        connection.end_writes()
        connection.receive_end()
        connection.close()
    flowing.wait_subscribers(1)
    assert disconnects(flowing, "protocol_error") > 0


def test_a_subscriber_that_sends_without_end(flowing, raw):
    """A subscriber that sends all the time costs the others nothing, and is closed with 1008 once it has sent too much."""
    talker = raw(flowing).upgrade()
    frame = encode_frame(BINARY, b"x" * 60_000, mask=b"abcd")

    def talk():
        with contextlib.suppress(OSError):
            while True:
                talker.send(frame)

    talking = threading.Thread(target=talk)
    talking.start()
    received = talker.receive_frame()
    while received.opcode == BINARY:
        received = talker.receive_frame()
    assert (received.opcode, received.payload[:2]) == (CLOSE, (1008).to_bytes(2, "big"))
    talker.reset()
    talking.join()
    assert flowing.metric("flashrelay_disconnects_total", cause="flood") == 1


def test_a_subscriber_that_sends_little_may_do_so_for_ever(flowing, raw):
    talker = raw(flowing).upgrade()
    for _ in range(300):
        talker.send(encode_frame(BINARY, b"x" * 2000, mask=b"abcd"))
    for _ in range(20):
        assert talker.receive_frame().opcode == BINARY


def test_crowds_that_come_and_go(flowing, raw):
    before = descriptors(flowing)
    for _ in range(3):
        crowd = []
        for _ in range(scaled(2000, 100)):
            crowd.append(raw(flowing))
            crowd[-1].send(crowd[-1].request_text())
        for connection in crowd:
            assert connection.receive_answer().status == 101
        for number, connection in enumerate(crowd):
            (connection.close, connection.reset, connection.send_close)[number % 3]()
        for connection in crowd:
            connection.close()
        flowing.wait_subscribers(1)
    eventually(lambda: descriptors(flowing) <= before, "all descriptors to be given back")


def test_crowds_that_leave_before_they_are_answered(flowing, raw):
    before = descriptors(flowing)
    for number in range(scaled(2000, 100)):
        connection = raw(flowing)
        connection.send(connection.request_text())
        (connection.close, connection.reset)[number % 2]()
    flowing.wait_subscribers(1)
    eventually(lambda: descriptors(flowing) <= before, "all descriptors to be given back")


@needs_sockets("connections of the engine dpdk take no descriptors")
def test_out_of_descriptors(builder, start_relay, raw):
    """Accepting pauses and goes on when there are descriptors again; the log says so once."""
    relay = start_relay(builder, *MANY)
    upstream = builder.accept()
    limit = descriptors(relay) + 20
    resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    crowd = [raw(relay) for _ in range(60)]
    for connection in crowd:
        connection.send(connection.request_text())
    eventually(lambda: "accepting pauses" in relay.log(), "it to run out of descriptors")
    served = eventually(lambda: [c for c in crowd if has_answer(c)][:10], "some to be served")
    upstream.send_text(message(1))
    for connection in served:
        assert connection.receive_answer().status == 101
        assert connection.receive_frame().payload == message(1)
    time.sleep(2.5) # meanwhile the relay tries to accept again once per second
    assert relay.log().count("accepting pauses") == 1
    assert len([connection for connection in crowd if has_answer(connection)]) <= 20
    waiting = [connection for connection in crowd if connection not in served]
    for connection in served:
        connection.close()
    while waiting: # each connection that closes makes room for the next
        connection = next(c for c in eventually(lambda: [c for c in waiting if has_answer(c)], "the next to be served"))
        assert connection.receive_answer().status == 101
        connection.close()
        waiting.remove(connection)
    relay.wait_subscribers(0)


@needs_sockets("connections of the engine dpdk take no descriptors")
def test_descriptors_are_left_for_upstreams_and_metrics(start_builder, start_relay, raw):
    """
    Subscribers use up their share of the descriptors, and others are refused; the relay still looks up the builder's name and connects
    again when the builder restarts, and answers scrapes and /healthz.
    """
    builder = start_builder()
    relay = start_relay(f"ws://localhost:{builder.port}/", *MANY, descriptors=150)
    share = re.search(r" 150 file descriptors, of which \d+ stay reserved .* room for (\d+) connections, of which (\d+) may be", relay.log())
    room, most = int(share[1]), int(share[2])
    assert 20 < room < 110
    assert most == room - room // 4
    assert f"--instance-connection-limit 5000 is more than the file descriptors allow: {most} subscribers, and {room // 4} " in relay.log()
    upstream = builder.accept()
    crowd = []
    for _ in range(150):
        crowd.append(raw(relay))
        with contextlib.suppress(ConnectionError): # the relay may reset it at once
            crowd[-1].send(crowd[-1].request_text())
    relay.wait_subscribers(most)
    silent = [raw(relay) for _ in range(150)]
    assert raw(relay).request("/healthz").status == 200
    upstream.reset()
    builder.close()
    scrapes = [socket.create_connection(("127.0.0.1", relay.metrics_port)) for _ in range(20)]
    for _ in range(3):
        builder = start_builder(port=builder.port)
        upstream = builder.accept()
        upstream.send_text(message(1))
        upstream.reset()
        builder.close()
    for connection in [*scrapes, *silent]:
        connection.close()
    assert relay.metric("websocket_proxy_active_connections") == most
    served = [connection for connection in crowd if was_upgraded(connection)]
    assert len(served) == most
    for connection in served:
        assert connection.receive_frame().payload == message(1)
    assert "Too many open files" not in relay.log()


def was_upgraded(connection):
    """Whether the relay has upgraded the connection: it may have refused it, or reset it without an answer."""
    try:
        return connection.receive_answer().status == 101
    except Closed:
        return False


@needs_sockets("connections of the engine dpdk take no descriptors")
@pytest.mark.parametrize("shards", (1, 3))
@pytest.mark.parametrize("said", (b"", b"GET /nothing HTTP/1.1\r\nHost: relay\r\n\r\n"), ids=("silent", "refused"))
def test_connections_that_are_no_subscribers_leave_descriptors_to_others(builder, start_relay, raw, said, shards):
    """Many addresses open more connections than the relay has descriptors, and keep them, silent or after a refusal."""
    relay = start_relay(builder, f"--shards={shards}", descriptors=1024)
    upstream = builder.accept()
    crowd = []
    for number in range(1100):
        crowd.append(raw(relay, source=relay.network.source(number % 50)))
        with contextlib.suppress(ConnectionError): # the relay may reset it at once
            crowd[-1].send(said)
    assert raw(relay, source=relay.network.source(101)).request("/healthz").status == 200
    subscriber = raw(relay, source=relay.network.source(102)).upgrade()
    upstream.send_text(message(1))
    assert subscriber.receive_frame().payload == message(1)
    assert "accepting pauses" not in relay.log()


@needs_sockets("connections of the engine dpdk take no descriptors")
def test_descriptors_are_left_for_each_of_many_upstreams(start_builder, start_relay, raw):
    """Connections use up their share of the descriptors; all upstreams connect again when the builder restarts."""
    upstreams = 100
    builder = start_builder()
    relay = start_relay(*(f"ws://localhost:{builder.port}/{number}" for number in range(upstreams)), *MANY, descriptors=300)
    for _ in range(upstreams):
        builder.accept()
    crowd = []
    for _ in range(300):
        crowd.append(raw(relay))
        with contextlib.suppress(ConnectionError): # the relay may reset it at once
            crowd[-1].send(crowd[-1].request_text())
    silent = [raw(relay) for _ in range(150)]
    assert raw(relay).request("/healthz").status == 200
    for connection in builder.connections:
        connection.reset()
    builder.close()
    builder = start_builder(port=builder.port)
    for _ in range(upstreams):
        builder.accept()
    for connection in silent:
        connection.close()
    assert "Too many open files" not in relay.log()


def has_answer(connection):
    connection.sock.settimeout(0)
    try:
        return bool(connection.buffer) or bool(connection.sock.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.sock.settimeout(20)

"""The orderly end, the end at once at a second signal, and ports that are in use."""
import selectors
import signal
import socket
import struct

import pytest

from harness import ENGINE, eventually, needs_sockets, scaled
from harness.relay import MEMORY, run
from harness.wire import CLOSE, PING, Closed, decode_close

SMALL_BUFFER = 4096
SO_TIMESTAMPNS = 35 # the socket option, and the kind of the control message that it adds


def refuses(relay):
    try:
        socket.create_connection((relay.host, relay.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError: # the relay stopped listening at this very moment
        pass
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_everybody_is_told(relayed, subscribe, raw, number):
    relay, upstream = relayed()
    subscribers = [subscribe(relay) for _ in range(5)]
    plain = raw(relay).upgrade()
    relay.signal(number)
    for subscriber in subscribers:
        assert subscriber.receive_close()[0] == 1001
    frame = plain.receive_frame()
    assert (frame.opcode, decode_close(frame.payload)[0]) == (CLOSE, 1001)
    plain.close()
    assert upstream.receive_close()[0] == 1001
    assert relay.wait_ended() == 0


def test_the_end_without_anybody(builder, start_relay):
    relay = start_relay(builder)
    relay.signal(signal.SIGTERM)
    assert relay.wait_ended() == 0


def test_the_end_before_an_upstream_answers(start_builder, start_relay):
    silent = start_builder()
    relay = start_relay(silent, "ws://127.0.0.1:1/", "ws://does-not-exist.invalid/")
    silent.accept_request()
    relay.signal(signal.SIGTERM)
    assert relay.wait_ended() == 0


def test_the_port_is_left_first(relayed, raw):
    relay, _ = relayed()
    held = [raw(relay).upgrade() for _ in range(3)] # these do not answer the relay's close at once
    relay.signal(signal.SIGTERM)
    eventually(lambda: refuses(relay), "the port to be left")
    for subscriber in held:
        subscriber.close()
    assert relay.wait_ended() == 0


def test_frames_in_flight_are_finished(builder, start_relay, raw):
    relay = start_relay(builder, "--client-send-timeout-ms=0", "--message-buffer-size=1000", "--log-memory=64M", "--max-message-bytes=8M")
    upstream = builder.accept()
    slow = raw(relay).upgrade()
    messages = [b"%d" % number + b"{" * 3_000_000 for number in range(3)]
    for message in messages:
        upstream.send_text(message)
    relay.wait_metric("flashrelay_published_messages_total", len(messages))
    relay.signal(signal.SIGTERM)
    assert [slow.receive_frame().payload for _ in messages] == messages
    frame = slow.receive_frame()
    assert (frame.opcode, decode_close(frame.payload)[0]) == (CLOSE, 1001)
    slow.close()
    assert relay.wait_ended() == 0


def test_a_subscriber_that_reads_nothing_does_not_delay_the_end(builder, start_relay, raw):
    relay = start_relay(builder, "--client-send-timeout-ms=0", "--message-buffer-size=1000", "--log-memory=64M", "--max-message-bytes=8M")
    upstream = builder.accept()
    for _ in range(5):
        raw(relay, receive_buffer=SMALL_BUFFER).upgrade()
    for _ in range(3):
        upstream.send_text(b"{" * 3_000_000)
    relay.wait_metric("websocket_proxy_upstream_messages", 3)
    relay.signal(signal.SIGTERM)
    assert relay.wait_ended() == 0


def test_half_handshakes_do_not_hold_it_up(relayed, raw):
    relay, _ = relayed()
    for text in (b"", b"GET /ws HTTP/1.1\r\nHo"):
        raw(relay).send(text)
    relay.signal(signal.SIGTERM)
    assert relay.wait_ended() == 0


def test_what_is_queued_is_still_served(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=0", "--instance-connection-limit=1000")
    connections = [raw(relay) for _ in range(scaled(200, 20))]
    for connection in connections:
        connection.send(connection.request_text())
    relay.signal(signal.SIGTERM)
    for connection in connections:
        assert connection.receive_answer().status == 101
        assert decode_close(connection.receive_frame().payload)[0] == 1001
        connection.close()
    assert relay.wait_ended() == 0


def receive_stamped(connection):
    """Receives a short frame; returns the first two bytes of its payload, and the time stamp that the kernel put beside it, if it did."""
    data, ancillary, _, _ = connection.sock.recvmsg(4096, 256)
    return data[2:4], ancillary


def is_stamped(connection):
    """True if the kernel stamps what arrives: it begins some time after the first socket asked for it."""
    connection.send_frame(PING, mask=b"abcd")
    return receive_stamped(connection)[1]


def receive_stamped_close(connection):
    """Receives the relay's close; returns when it arrived in the kernel, in seconds."""
    payload, ancillary = receive_stamped(connection)
    assert decode_close(payload)[0] == 1001
    (level, kind, stamp), = ancillary
    assert (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)
    seconds, nanoseconds = struct.unpack("qq", stamp)
    return seconds + nanoseconds / 1e9


def test_many_are_told_over_some_seconds(builder, start_relay, raw):
    """
    A shard closes one subscriber per millisecond, so that they do not all reconnect at once: 2 s for these on one shard. The kernel's time
    stamps do not depend on how fast this test reads.
    """
    relay = start_relay(builder, "--shards=1", "--per-ip-connection-limit=0", "--instance-connection-limit=2000")
    connections = [raw(relay).upgrade() for _ in range(2000)]
    waiting = selectors.DefaultSelector()
    for connection in connections:
        connection.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        waiting.register(connection.sock, selectors.EVENT_READ, connection)
    eventually(lambda: is_stamped(connections[0]), "time stamps")
    relay.signal(signal.SIGTERM)
    stamps = []
    while len(stamps) < len(connections): # in the order in which they are closed, as each has only a second to answer
        for key, _ in waiting.select():
            stamps.append(receive_stamped_close(key.data))
            waiting.unregister(key.fileobj)
            key.data.close()
    assert relay.wait_ended() == 0
    stamps.sort()
    assert stamps[1500] - stamps[0] > 0.5


def test_a_second_signal_ends_at_once(builder, start_relay, raw):
    relay = start_relay(builder, "--per-ip-connection-limit=0", "--instance-connection-limit=2000")
    connections = [raw(relay).upgrade() for _ in range(100)] # none answers the close
    relay.signal(signal.SIGTERM)
    eventually(lambda: "closing connections" in relay.log(), "the first signal to be seen")
    relay.signal(signal.SIGTERM)
    relay.expected_status = 128 + signal.SIGTERM
    assert relay.wait_ended() == relay.expected_status
    for connection in connections if ENGINE != "dpdk" else (): # nobody resets the connections of a TCP that has ended
        try:
            while True:
                connection.receive_some()
        except Closed:
            pass


def assert_port_in_use_is_reported(address, flag="--listen-addr", **kwargs):
    status, _, errors = run("--upstream-ws=ws://127.0.0.1:1/", "--metrics-addr=127.0.0.1:0", *MEMORY, f"{flag}={address}", **kwargs)
    assert status == 1
    assert address in errors and "in use" in errors and errors.count("\n") == 1


def test_a_port_that_somebody_has(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert_port_in_use_is_reported(f"127.0.0.1:{listener.getsockname()[1]}", cwd=tmp_path)


@needs_sockets("the engine dpdk has a port and addresses of its own")
def test_a_port_that_another_flashrelay_has(builder, start_relay, tmp_path, raw):
    relay = start_relay(builder)
    assert_port_in_use_is_reported(f"127.0.0.1:{relay.port}", cwd=tmp_path)
    raw(relay).upgrade()


@needs_sockets("the engine dpdk has a port and addresses of its own")
def test_a_port_that_another_flashrelay_has_for_all_addresses(builder, start_relay, tmp_path):
    relay = start_relay(builder, "--listen-addr=0.0.0.0:0", "--shards=2")
    assert_port_in_use_is_reported(f"127.0.0.1:{relay.port}", cwd=tmp_path)


def test_a_metrics_port_that_somebody_has(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        status, _, errors = run("--upstream-ws=ws://127.0.0.1:1/", "--listen-addr=127.0.0.1:0", *MEMORY, f"--metrics-addr={address}",
                                cwd=tmp_path)
        assert status == 1
        assert address in errors and "in use" in errors


def test_an_address_that_is_not_ours(tmp_path):
    status, _, errors = run("--upstream-ws=ws://127.0.0.1:1/", "--metrics-addr=127.0.0.1:0", *MEMORY, "--listen-addr=192.0.2.1:8545",
                            cwd=tmp_path)
    assert status == 1
    assert "192.0.2.1:8545" in errors


def test_the_port_is_free_again_at_once(builder, start_relay, raw):
    relay = start_relay(builder)
    raw(relay).upgrade()
    port = relay.port
    relay.signal(signal.SIGTERM)
    assert relay.wait_ended() == 0
    again = start_relay(builder, f"--listen-addr={relay.network.listen_host}:{port}")
    raw(again).upgrade()

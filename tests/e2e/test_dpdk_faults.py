"""The engine dpdk and the kernel's TCP across a wire that loses, reorders and cuts short, and with peers that do what they should not."""
import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import time

import pytest

from harness import eventually, scaled
from harness.network import Tap, Wire, enter_namespace, ip, why_no_port
from harness.wire import PING, Closed, encode_frame

WHY_NOT = why_no_port()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

PATIENT = ("--message-buffer-size=100000", "--log-memory=32M", "--max-message-bytes=8M", "--per-ip-connection-limit=0")
TCP_WINDOW_CLAMP = 10
SMALL_BUFFER = 4096
SYN = 2


@pytest.fixture(scope="module", autouse=True)
def namespace(): # before the first thread begins
    enter_namespace()


@pytest.fixture
def start_on(builder, start_relay):
    """Starts a relay on a network; returns it, and the builder's side of its upstream."""
    networks = []

    def start(network, *flags, send_timeout_ms=20_000):
        networks.append(network)
        relay = start_relay(builder, *PATIENT, f"--client-send-timeout-ms={send_timeout_ms}", *flags, network=network)
        return relay, builder.accept()

    yield start
    for network in networks:
        if isinstance(network, Wire) and network.wire.poll() is None:
            network.disconnect()


def message(number, size=25_000):
    return b'{"index":%d,"pad":"%s"}' % (number, b"%d" % (number % 10) * size)


def check_flow(upstream, subscribers, count, interval_s=0.02, size=25_000):
    """Sends flashblocks, and checks that every subscriber gets all of them byte for byte."""
    messages = [message(number, size) for number in range(count)]
    for each in messages:
        upstream.send_text(each)
        time.sleep(interval_s)
    for subscriber in subscribers:
        for each in messages:
            assert subscriber.receive_frame().payload == each


def sent_again(relay):
    return relay.metrics().total("flashrelay_tcp_retransmitted_segments_total")


@pytest.mark.parametrize("faults", [
    ["--loss", "0.1%"], ["--loss", "1%"], ["--loss", "5%"], ["--reorder", "5%"], ["--duplicate", "5%", "--corrupt", "1%"],
    ["--loss", "1%", "--reorder", "2%", "--jitter", "2ms"],
], ids=" ".join)
def test_every_byte_comes_through_a_bad_wire(start_on, raw, faults):
    network = Wire("--delay", "1ms", *faults)
    relay, upstream = start_on(network)
    hosts = (network.host, network.host_v6)
    check_flow(upstream, [raw(relay, hosts[number % 2]).upgrade() for number in range(10)], scaled(40, 15))
    again = sent_again(relay)
    forth, _ = network.disconnect()
    assert forth["lost"] + forth["reordered"] + forth["corrupted"] > 0
    assert again >= (forth["lost"] + forth["corrupted"]) / 2 # some carry no payload, or are sent again by the peer


def test_a_long_outage_is_survived(start_on, raw):
    network = Wire("--delay", "1ms")
    relay, upstream = start_on(network)
    subscribers = [raw(relay).upgrade() for _ in range(5)]
    network.wire.send_signal(signal.SIGSTOP)
    for number in range(20):
        upstream.send_text(message(number))
    time.sleep(1.5)
    network.wire.send_signal(signal.SIGCONT)
    for subscriber in subscribers:
        for number in range(20):
            assert subscriber.receive_frame().payload == message(number)


@pytest.mark.parametrize("mtu", [576, 1280, 1500])
def test_the_port_s_mtu(start_on, raw, mtu):
    network = Tap()
    if mtu < 1280:
        network.flags = lambda: [flag.split(",fd00")[0] for flag in Tap.flags(network)]
    relay, upstream = start_on(network, f"--dpdk-mtu={mtu}")
    check_flow(upstream, [raw(relay, host).upgrade() for host in (network.host, network.host_v6)[:2 if mtu >= 1280 else 1]], 10)


@pytest.mark.parametrize("mtu, is_v6", [(576, False), (1000, False), (1280, True)])
def test_a_shorter_mtu_on_the_way_is_heeded(start_on, raw, mtu, is_v6):
    network = Wire("--mtu", str(mtu))
    relay, upstream = start_on(network)
    check_flow(upstream, [raw(relay, network.host_v6 if is_v6 else network.host).upgrade()], 10)
    assert relay.metrics().total("flashrelay_tcp_mtu_reductions_total") == 1
    assert network.disconnect()[0]["too_big"] > 0


def test_a_peer_of_the_smallest_segments(start_on, raw):
    network = Tap()
    relay, upstream = start_on(network)
    ip(f"route add {network.host} dev {network.interface} advmss 88")
    check_flow(upstream, [raw(relay).upgrade() for _ in range(3)], 10)


def test_a_window_of_zero_for_a_while(start_on, raw):
    relay, upstream = start_on(Tap())
    paused = [raw(relay, receive_buffer=SMALL_BUFFER).upgrade() for _ in range(5)]
    reading = raw(relay).upgrade()
    for number in range(30):
        upstream.send_text(message(number))
        assert reading.receive_frame().payload == message(number)
    eventually(lambda: relay.metrics().total("flashrelay_tcp_zero_window_probes_total") >= 10, "probes of their windows")
    for subscriber in paused:
        for number in range(30):
            assert subscriber.receive_frame().payload == message(number)
    relay.wait_subscribers(6)


def test_a_window_that_shrinks(start_on, raw):
    relay, upstream = start_on(Tap())
    subscriber = raw(relay).upgrade()
    check_flow(upstream, [subscriber], 5)
    for clamp in (3000, 600, 50_000, 300, 100_000):
        subscriber.sock.setsockopt(socket.IPPROTO_TCP, TCP_WINDOW_CLAMP, clamp)
        check_flow(upstream, [subscriber], 3)


def test_a_peer_that_vanishes_is_cut_off_and_nobody_else_notices(start_on, raw):
    network = Tap()
    relay, upstream = start_on(network, send_timeout_ms=1000)
    vanishing = [raw(relay, source=network.source(number)).upgrade() for number in range(20)]
    witness = raw(relay).upgrade()
    ip(f"route del local {network.network}.128.0/17 dev lo", f"route add blackhole {network.network}.128.0/17")
    number = 0
    while relay.metrics().total("websocket_proxy_active_connections") > 1:
        upstream.send_text(message(number))
        assert witness.receive_frame().payload == message(number)
        number += 1
        time.sleep(0.02)
    for connection in vanishing:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    eventually(lambda: relay.metrics().value("flashrelay_engine_open_connections", thread="shard-0") == 1, "their slots to be free")
    eventually(lambda: relay.metrics().total("flashrelay_tcp_unacknowledged_bytes") == 0, "nothing to be held for them")


def test_an_interface_that_goes_down_and_comes_back(start_on, raw):
    network = Tap()
    relay, upstream = start_on(network)
    subscribers = [raw(relay).upgrade() for _ in range(5)]
    check_flow(upstream, subscribers, 5)
    ip(f"link set {network.interface} down")
    for number in range(20):
        upstream.send_text(message(number))
    time.sleep(1)
    ip(f"link set {network.interface} up")
    for subscriber in subscribers:
        for number in range(20):
            assert subscriber.receive_frame().payload == message(number)


def test_an_interface_that_is_gone_does_not_hold_up_the_publisher(builder, start_relay, raw):
    network = Tap()
    relay = start_relay(builder, "--log-memory=4M", "--max-message-bytes=1M", network=network)
    upstream = builder.accept()
    for _ in range(5):
        raw(relay).upgrade()
    ip(f"link del {network.interface}")
    for number in range(300): # twice what the log holds
        upstream.send_text(message(number))
    relay.wait_metric("flashrelay_published_messages_total", 300)
    relay.wait_subscribers(0)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def syn(link, source, to, source_port, port):
    """An Ethernet frame with a SYN."""
    tcp = struct.pack("!HHIIBBHHH", source_port, port, source_port * 7919, 0, 5 << 4, SYN, 65535, 0, 0)
    pseudo = source + to + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 1, 0, 64, socket.IPPROTO_TCP, 0, source, to)
    return link + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


class Flood:
    """SYNs from addresses that never answer."""

    def __init__(self, relay):
        network = relay.network
        neighbour = json.loads(subprocess.check_output(["ip", "-json", "neigh", "show", network.host]))[0]["lladdr"]
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((network.interface, 0))
        link = bytes.fromhex(neighbour.replace(":", "")) + self.socket.getsockname()[4] + b"\x08\x00"
        self.frames = [syn(link, socket.inet_aton(f"{network.network}.64.{number % 250 + 1}"), socket.inet_aton(network.host),
                           1024 + number, relay.port) for number in range(2000)]

    def send(self, count):
        for number in range(count):
            with contextlib.suppress(OSError): # the tap's queue is full
                self.socket.send(self.frames[number % len(self.frames)])


def test_a_flood_of_syns(start_on, raw):
    """No subscriber notices, no connection is kept for them, and a new client connects at once."""
    relay, upstream = start_on(Tap())
    witness = raw(relay).upgrade()
    flood = Flood(relay)
    for number in range(20):
        flood.send(scaled(5000))
        upstream.send_text(message(number))
        assert witness.receive_frame().payload == message(number)
    raw(relay).upgrade()
    relay.wait_subscribers(2)
    metrics = relay.metrics()
    assert metrics.total("flashrelay_tcp_sent_cookies_total") > scaled(100_000) / 2
    assert metrics.total("flashrelay_engine_accepts_total", thread="shard-0") == 2


def test_a_flood_while_few_signals_may_wait(start_on, raw):
    """A tap sends a signal per packet: where no more may wait, the kernel sends SIGIO, by which a process ends."""
    relay, upstream = start_on(Tap())
    witness = raw(relay).upgrade()
    flood = Flood(relay)
    resource.prlimit(relay.process.pid, resource.RLIMIT_SIGPENDING, (100, 100))
    os.kill(relay.process.pid, signal.SIGSTOP)
    flood.send(2000)
    os.kill(relay.process.pid, signal.SIGCONT)
    check_flow(upstream, [witness, raw(relay).upgrade()], 5)
    assert relay.metrics().total("flashrelay_tcp_sent_cookies_total") >= 2000


def test_a_relay_that_was_killed_is_replaced(start_on, start_relay, builder, raw):
    """Nobody resets the old connections; the new relay does so, as soon as their clients say something."""
    network = Tap()
    relay, _ = start_on(network)
    old = [raw(relay).upgrade() for _ in range(5)]
    relay.expected_status = -signal.SIGKILL
    relay.signal(signal.SIGKILL)
    relay.wait_ended()
    new = start_relay(builder, *PATIENT, network=network)
    upstream = builder.accept()
    subscriber = raw(new).upgrade()
    check_flow(upstream, [subscriber], 5)
    for connection in old:
        connection.send(encode_frame(PING, b"there?", mask=b"abcd"))
        with pytest.raises(Closed) as end:
            while True:
                connection.receive_some()
        assert end.value.reset

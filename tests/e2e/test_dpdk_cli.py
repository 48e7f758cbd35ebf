"""The engine dpdk at the command line: what it lacks is said in one line, with status 2, and nothing is left behind."""
import os
import re
import shutil
import socket
import subprocess

import pytest

from harness import BIN, PATIENCE_S, eventually

UPSTREAM = "--upstream-ws=ws://127.0.0.1:1"
ADDRESS = "--dpdk-address=198.18.0.2/24"
NULL = ("--dpdk-port=net_null0", ADDRESS, "--eal=--no-huge")
TAP = ("--dpdk-port=net_tap0,iface=flash0", ADDRESS, "--eal=--no-huge")
IN_OWN_NETWORK = ["unshare", "--net"]


def start(*arguments, wrapper=()):
    ended = subprocess.run([*wrapper, BIN / "flashrelay", *arguments], capture_output=True, text=True, check=False,
                           stdin=subprocess.DEVNULL, timeout=6 * PATIENCE_S)
    return ended.returncode, ended.stdout, ended.stderr


def refused(*arguments, wrapper=(), check=False):
    """The one line that a start with --engine=dpdk, or with --dpdk-check, writes to standard error before it ends with status 2."""
    mode = ["--dpdk-check"] if check else [UPSTREAM, "--engine=dpdk"]
    status, _, errors = start(*mode, "--log-level=error", *arguments, wrapper=wrapper)
    lines = errors.splitlines()
    assert (status, len(lines)) == (2, 1), (status, errors)
    return lines[0].removeprefix("flashrelay: ")


def is_built_with_dpdk():
    return "was built without DPDK" not in start("--dpdk-check", "--dpdk-port=none", ADDRESS)[2]


with_dpdk = pytest.mark.skipif(not is_built_with_dpdk(), reason="this variant is built without DPDK")
without_dpdk = pytest.mark.skipif(is_built_with_dpdk(), reason="this variant is built with DPDK")


def check_that_a_tap_can_be_made():
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("a tap needs root and /dev/net/tun")
    if subprocess.run([*IN_OWN_NETWORK, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("network namespaces cannot be made here")


@without_dpdk
def test_a_build_without_dpdk_says_how_to_get_one():
    assert refused(*NULL) == ("no engine: dpdk is not possible (this program was built without DPDK: install libdpdk-dev and "
                              "build it again)")


@with_dpdk
@pytest.mark.parametrize("flags, text", [
    (["--dpdk-port=ffff:3b:00.0"], "there is no PCI device ffff:3b:00.0: dpdk-devbind.py --status-dev net lists them"),
    (["--dpdk-port=eth0"], "eth0 is no port: expected a PCI address as 0000:3b:00.0, or a device of DPDK as net_tap0,iface=flash0"),
    (["--dpdk-port=net_nul0", "--eal=--no-huge"], "net_nul0"),
    (["--dpdk-port=net_null0", "--eal=--no-huge --steam"], "unrecognized option '--steam'"),
    (["--dpdk-port=net_null0", "--eal=--no-huge -m '5"], "a quote does not end"),
    (["--dpdk-port=net_null0", "--eal=--no-huge -m 20"], "too little memory of EAL for the buffers of net_null0"),
])
def test_what_is_wrong_is_one_line(flags, text):
    for check in (False, True):
        assert text in refused(ADDRESS, *flags, check=check)


@with_dpdk
def test_too_few_huge_pages_are_refused_with_the_number_to_type():
    line = refused("--dpdk-port=net_null0", ADDRESS, "--log-memory=512G", check=True)
    match = re.search(r"too few huge pages: (\d+) MiB are needed, (\d+) MiB are free; as root: echo (\d+) > /proc/sys/vm/nr_hugepages",
                      line)
    assert match, line
    assert int(match[1]) > 512 * 1024 and int(match[3]) * 2 >= int(match[1]) - int(match[2])


@with_dpdk
def test_a_tap_needs_a_capability():
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can give a capability up")
    line = refused(*TAP, wrapper=["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"], check=True)
    assert line == "net_tap0 needs CAP_NET_ADMIN: run as root, or setcap cap_net_admin,cap_net_raw+ep on the program"


@with_dpdk
@pytest.mark.parametrize("flag, text", [
    ("--shards=5", "net_tap0 has 4 queue pairs, fewer than 5 shards: --shards 4"),
    ("--dpdk-mtu=9000", "--dpdk-mtu 9000 is above the 1504 of net_tap0"),
])
def test_a_tap_that_does_not_fit_is_refused(flag, text):
    check_that_a_tap_can_be_made()
    assert text in refused(*TAP, flag, wrapper=IN_OWN_NETWORK, check=True)


@with_dpdk
def test_a_refused_engine_leaves_nothing_behind():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    before = set(os.listdir("/sys/class/net"))
    refused("--dpdk-port=net_null0", ADDRESS, "--eal=--no-huge -m 20", f"--metrics-addr=127.0.0.1:{port}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
    assert set(os.listdir("/sys/class/net")) == before


@with_dpdk
def test_a_check_says_what_the_port_is_used_for():
    check_that_a_tap_can_be_made()
    status, out, errors = start("--dpdk-check", "--log-level=error", *TAP, "--shards=2", wrapper=IN_OWN_NETWORK)
    assert (status, errors) == (0, "")
    report = dict((line[:18].strip(), line[18:]) for line in out.splitlines())
    assert report["driver"].startswith("net_tap, DPDK ")
    assert report["queue pairs"] == "2 used, 4 there"
    assert report["MTU"] == "1500"
    assert report["chains"] == "yes"
    assert report["TSO"].startswith("no: ")
    assert report["interrupts"] == "yes"
    assert report["memory"].endswith("plain pages")


@with_dpdk
def test_metrics_tell_of_the_port_and_its_tcp(builder, start_relay):
    relay = start_relay(builder, "--engine=dpdk", "--listen-addr=198.18.0.2:8545", *NULL)
    relay.wait_metric("flashrelay_port_link_up", 1)
    eventually(lambda: relay.metrics().total("flashrelay_tcp_dropped_packets_total", cause="foreign") > 0,
               "packets of net_null, which are nobody's")
    metrics = relay.metrics()
    assert metrics.total("flashrelay_port_received_packets_total") > 0
    assert metrics.total("flashrelay_port_received_bytes_total") > 0
    assert metrics.value("flashrelay_tcp_connection_slots", thread="shard-0") > 0
    for name, kind in (("tcp_sent_segments_total", "counter"), ("tcp_unacknowledged_bytes", "gauge"), ("tcp_rtt_seconds", "histogram")):
        assert metrics.types[f"flashrelay_{name}"] == kind

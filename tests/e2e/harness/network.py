"""
Where a relay listens: on loopback, or on a tap of its own with the engine dpdk. The taps are in a network namespace that the tests enter and
that ends with them.
"""
import ctypes
import itertools
import re
import subprocess

from . import BIN, ENGINE, PATIENCE_S, PORT

_CLONE_NEWNET = 0x40000000
_numbers = itertools.cycle(range(1, 250))


class Loopback:
    """The network of the engines that use sockets."""
    listen_host, listen_addr, host, host_v6 = "127.0.0.1", "127.0.0.1:0", "127.0.0.1", "::1"

    def flags(self):
        return []

    def connect(self):
        pass

    def source(self, number):
        """The address of a client; clients with different numbers have different ones."""
        return f"127.0.{number // 250}.{number % 250 + 2}"


class Tap:
    """A tap between a relay on the engine dpdk and the kernel, which answers for all addresses of the upper half of the tap's network."""
    listen_host, listen_addr = "0.0.0.0", "[::]:8545"

    def __init__(self):
        self.number = next(_numbers)
        self.interface = f"flash{self.number}"
        self.network, self.network_v6 = f"10.{self.number}", f"fd00:{self.number}:"
        self.host, self.host_v6 = f"{self.network}.0.2", f"{self.network_v6}:2"

    def flags(self, arguments=""):
        return ["--engine=dpdk", f"--dpdk-port=net_tap{self.number},iface={self.interface}{arguments}", "--eal=--no-huge",
                f"--dpdk-address={self.host}/16,{self.host_v6}/64"]

    def connect(self):
        ip(f"addr add {self.network}.0.1/16 dev {self.interface}", f"addr add {self.network_v6}:1/64 dev {self.interface} nodad",
           f"link set {self.interface} up txqueuelen 10000", f"route replace local {self.network}.128.0/17 dev lo")

    def source(self, number):
        return f"{self.network}.{128 + number // 250}.{number % 250 + 2}"


class Veth(Tap):
    """A pair of interfaces: the relay takes one by af_xdp, the kernel has the other."""

    def flags(self):
        ip(f"link add port{self.number} type veth peer name {self.interface}", f"link set port{self.number} up")
        # Else the kernel leaves checksums unfinished between the two.
        subprocess.run(["ethtool", "-K", self.interface, "tx", "off"], check=True, capture_output=True)
        return ["--engine=dpdk", f"--dpdk-port=net_af_xdp{self.number},iface=port{self.number}", "--eal=--no-huge",
                f"--dpdk-address={self.host}/16,{self.host_v6}/64"]


class Wire(Tap):
    """A tap behind the test wire: what the relay and the kernel send each other goes through `faults`, flags of build/wire."""

    def __init__(self, *faults):
        super().__init__()
        self.faults, self.wire, self.kernel_interface = faults, None, f"wire{self.number}"

    def connect(self):
        ip(f"link set {self.interface} arp off addrgenmode none up") # the kernel is behind the wire, and not here
        self.wire = subprocess.Popen([BIN / "wire", *self.faults, self.interface, f"tap:{self.kernel_interface}"],
                                     stdout=subprocess.PIPE, text=True)
        assert self.wire.stdout.readline().startswith("connected"), "the wire does not run"
        self.interface = self.kernel_interface
        super().connect()

    def disconnect(self):
        """Ends the wire; returns what it did to frames on the way from the relay, and on the way to it."""
        self.wire.terminate()
        lines = self.wire.communicate(timeout=PATIENCE_S)[0].splitlines()
        return [{name: int(value) for name, value in re.findall(r"(\w+) (\d+)", line.split(": ")[1])} for line in lines]


def default_network():
    """A network for a relay on the engine that is to be tested."""
    if ENGINE != "dpdk":
        return Loopback()
    return Veth() if PORT == "af_xdp" else Tap()


def ip(*commands):
    """Has ip(8) do these commands, one after the other."""
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def enter_namespace():
    """Moves this process into a new network namespace, where taps can be made."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    ip("link set lo up")


def why_no_port():
    """Why no relay can run on such a port here; None if one can."""
    prepare, port = ("true", "net_tap0,iface=flash0") if PORT == "tap" else \
        ("ip link add port0 type veth peer name flash0 && ip link set port0 up", "net_af_xdp0,iface=port0")
    check = f'{prepare} && exec "$0" --dpdk-check --dpdk-port={port} --dpdk-address=192.0.2.1/24 --eal=--no-huge --log-level=error'
    probe = subprocess.run(["unshare", "--net", "sh", "-c", check, BIN / "flashrelay"], capture_output=True, text=True, check=False)
    return None if probe.returncode == 0 else f"no port by {PORT}: {probe.stderr.strip().splitlines()[-1]}"

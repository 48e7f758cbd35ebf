"""The test wire between two interfaces, with the kernel's TCP at both ends, each in a network namespace of its own."""
import hashlib
import json
import re
import subprocess
import sys
import textwrap

import pytest

from harness import BIN, PATIENCE_S

BYTES = 300_000

# Runs the wire in a new network namespace, with its other end in a second one, and sends bytes through it by TCP. Prints the
# hash of what arrived, then what the wire has counted.
TRANSFER = textwrap.dedent('''
    import json, signal, socket, subprocess, sys

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    def connect(*arguments):
        process = subprocess.Popen([wire, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline().startswith("connected"), "the wire does not run"
        return process

    wire, count, middle, faults = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    connected = connect(*faults, "tap:w0", f"tap:{middle}")
    if middle != "w1":
        ip("link", "set", middle, "up")
        beyond = connect(middle, "tap:w1")
    receiver = subprocess.Popen(["unshare", "--net", sys.executable, "-c", RECEIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    receiver.stdout.readline()
    ip("link", "set", "w1", "netns", str(receiver.pid))
    for words in (("addr", "add", "198.18.0.1/24", "dev", "w0"), ("link", "set", "w0", "up")):
        ip(*words)
    receiver.stdin.write("go\\n")
    receiver.stdin.flush()
    receiver.stdout.readline()
    with socket.create_connection(("198.18.0.2", 80), timeout=30) as peer:
        peer.sendall(bytes(i * 7 & 255 for i in range(count)))
        peer.shutdown(socket.SHUT_WR)
        peer.recv(1)
    connected.send_signal(signal.SIGTERM)
    print(receiver.communicate()[0].strip(), flush=True)
    print(json.dumps(connected.communicate()[0].splitlines()))
''')

RECEIVER = textwrap.dedent('''
    import hashlib, socket, subprocess, sys

    print("here", flush=True)
    sys.stdin.readline()
    for words in (("addr", "add", "198.18.0.2/24", "dev", "w1"), ("link", "set", "w1", "up")):
        subprocess.run(["ip", *words], check=True)
    with socket.create_server(("198.18.0.2", 80)) as server:
        print("listens", flush=True)
        peer, _ = server.accept()
        with peer:
            received = hashlib.sha256()
            while part := peer.recv(65536):
                received.update(part)
    print(received.hexdigest())
''')


def run_apart(*command):
    """Runs a command in a new network namespace; what it starts ends with it."""
    return subprocess.run(["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", *map(str, command)],
                          capture_output=True, text=True, timeout=3 * PATIENCE_S, check=False)


@pytest.fixture(scope="module", autouse=True)
def taps():
    probe = run_apart("ip", "tuntap", "add", "dev", "w0", "mode", "tap")
    if probe.returncode != 0:
        pytest.skip(f"needs a network namespace and taps: {probe.stderr.strip()}")


def transfer(*faults, middle="w1"):
    """
    Sends BYTES through the wire; returns its counters, of both directions by name. A `middle` is an interface at which the wire ends, and a
    second one goes on.
    """
    script = TRANSFER.replace("RECEIVER", repr(RECEIVER))
    run = run_apart(sys.executable, "-c", script, BIN / "wire", BYTES, middle, *faults)
    lines = run.stdout.splitlines()
    assert run.returncode == 0, run.stderr
    assert lines[0] == hashlib.sha256(bytes(i * 7 & 255 for i in range(BYTES))).hexdigest()
    return [{name: int(value) for name, value in re.findall(r"(\w+) (\d+)", line)} for line in json.loads(lines[1])]


def test_a_good_wire_loses_nothing():
    forth, back = transfer()
    assert forth["delivered"] == forth["pushed"] > BYTES / 1500
    assert back["delivered"] == back["pushed"] > 0


def test_the_kernel_repairs_what_a_bad_wire_does():
    forth, _ = transfer("--delay", "2ms", "--jitter", "1ms", "--loss", "2%", "--reorder", "2%", "--duplicate", "2%", "--corrupt", "1%")
    assert min(forth[fault] for fault in ("lost", "reordered", "duplicated", "corrupted")) > 0


def test_the_kernel_heeds_the_mtu_of_the_wire():
    forth, _ = transfer("--mtu", 1000)
    assert forth["too_big"] > 0 and forth["delivered"] > BYTES / 1000


def test_an_interface_that_exists_may_be_an_end():
    forth, back = transfer(middle="m0")
    assert forth["delivered"] == forth["pushed"] > BYTES / 1500
    assert back["delivered"] == back["pushed"] > 0


@pytest.mark.parametrize("arguments, complaint", [
    (("tap:w0",), "argument missing"),
    (("no-such-interface", "tap:w0"), "no-such-interface"),
    (("tap:", "tap:w0"), "expected the name of an interface"),
    (("--loss", "2", "tap:w0", "tap:w1"), "--loss"),
])
def test_what_is_wrong_is_said_in_one_line(arguments, complaint):
    run = run_apart(BIN / "wire", *arguments)
    assert run.returncode == 2 and complaint in run.stderr and run.stderr.count("\n") == 1

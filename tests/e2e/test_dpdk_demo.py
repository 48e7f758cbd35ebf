"""The demo with the relay on DPDK: its figures, and that nothing is left of it however it ends."""
import os
import re
import signal
import subprocess
import time

import pytest

from harness import BIN, PATIENCE_S, eventually, scaled
from harness.network import why_no_port

WHY_NOT = why_no_port()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def start_demo(*flags):
    return subprocess.Popen([BIN / "demo", "--dpdk", f"--subscribers={scaled(200)}", *flags], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL)


def relays_of(demo):
    """The processes that the demo has started."""
    with open(f"/proc/{demo.pid}/task/{demo.pid}/children", encoding="utf-8") as file:
        return file.read().split()


def test_every_flashblock_reaches_everybody_and_the_segments_are_shown():
    demo = start_demo("--seconds=2")
    output, _ = demo.communicate(timeout=3 * PATIENCE_S)
    assert demo.returncode == 0, output
    assert "lost 0, repeated 0, corrupt 0, cut off 0" in output
    segments = int(re.search(r"TCP: ([\d,]+) segments sent, [\d,]+ of them again", output)[1].replace(",", ""))
    deliveries = int(re.search(r"([\d,]+) deliveries", output)[1].replace(",", ""))
    assert segments > 17 * deliveries # of 1,460 bytes each


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT, signal.SIGINT], [signal.SIGKILL]])
def test_nothing_is_left_of_it(signals):
    interfaces = set(os.listdir("/sys/class/net"))
    demo = start_demo("--seconds=60")
    while " 1s " not in demo.stdout.readline(): # the first line of figures
        assert demo.poll() is None
    relays = eventually(lambda: relays_of(demo), "the relay")
    for number in signals:
        demo.send_signal(number)
        time.sleep(0.05)
    output, _ = demo.communicate(timeout=3 * PATIENCE_S)
    if signals == [signal.SIGINT]:
        assert demo.returncode == 0, output
    for relay in relays: # with it end its tap, and the namespace
        eventually(lambda pid=relay: not os.path.exists(f"/proc/{pid}"), "the relay to end")
    assert set(os.listdir("/sys/class/net")) == interfaces


def test_without_privileges_it_says_what_is_missing():
    ended = subprocess.run(["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", BIN / "demo", "--dpdk"], check=False,
                           capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert ended.stderr == "demo: cannot make a network namespace: Operation not permitted: run it as root\n"

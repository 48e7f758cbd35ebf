"""The basis of the end-to-end tests: the programs under test, and peers for them that share no code with them."""
import os
import socket
import time
from pathlib import Path

import pytest

from .sandbox import IO_URING, command_without_calls

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(os.environ.get("FLASHRELAY_BIN", ROOT / "build")).resolve()
SCALE = float(os.environ.get("FLASHRELAY_TEST_SCALE", "1"))
# The kind of engine that the programs run on; None: the kind that they choose.
ENGINE = os.environ.get("FLASHRELAY_TEST_ENGINE")
# How the engine dpdk reaches the kernel: by a tap or by af_xdp.
PORT = os.environ.get("FLASHRELAY_TEST_PORT", "tap")

# How long to wait for an expected event: much longer than it takes, except on a loaded machine, with a sanitizer or in an emulator.
PATIENCE_S = int(os.environ.get("FLASHRELAY_TEST_PATIENCE_S", 20 if SCALE >= 1 else 60))


def program_command(program):
    """The beginning of the command line of a program of ours that has no flag for its engine."""
    return [*(command_without_calls(IO_URING) if ENGINE == "epoll" else ()), str(BIN / program),
            *(["--dpdk"] if ENGINE == "dpdk" and program == "demo" else ())]


def needs_sockets(reason):
    """Marks a test that says nothing of the engine dpdk, because it is about sockets."""
    return pytest.mark.skipif(ENGINE == "dpdk", reason=reason)


def needs_queues(test):
    """Marks a test with several shards."""
    return pytest.mark.skipif(ENGINE == "dpdk" and PORT == "af_xdp", reason="af_xdp has one queue pair here")(test)


def scaled(count, least=1):
    """A number of connections or messages, smaller where the programs are slow."""
    return max(least, int(count * SCALE))


def free_port():
    """A free port, for tests that must know the port beforehand."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def eventually(condition, what="condition", timeout_s=PATIENCE_S):
    """Waits until condition() is true and returns what it returned."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        time.sleep(0.02)

"""Which engine is chosen, and that everything works where io_uring is forbidden, as it is by default in containers."""
import errno
import re
import subprocess

import pytest

from harness import BIN, PATIENCE_S, brotli
from harness.relay import run
from harness.sandbox import IO_URING, command_without_calls

pytestmark = pytest.mark.skipif(subprocess.run([*command_without_calls(IO_URING), "/bin/true"], check=False,
                                               capture_output=True).returncode != 0,
                                reason="seccomp filters cannot be set here")


def lines_about_the_choice(relay):
    return re.findall(r"engine (\w+) was chosen: (.*)", relay.log())


def check_that_flashblocks_flow(builder, relay, subscribe, decode=bytes):
    upstream = builder.accept()
    subscribers = [subscribe(relay) for _ in range(3)]
    messages = [b'{"index":%d,"pad":"%s"}' % (index, b"x" * 10_000 * index) for index in range(20)]
    for message in messages:
        upstream.send_text(message)
    for subscriber in subscribers:
        assert [decode(message) for message in subscriber.receive_all(len(messages))] == messages


@pytest.mark.parametrize("error, why", [(errno.EPERM, "io_uring is forbidden here: set kernel.io_uring_disabled=0, or let the "
                                         "container's seccomp profile allow io_uring_setup, io_uring_enter and io_uring_register"),
                                        (errno.ENOSYS, "this kernel, or its sandbox, has no io_uring")])
def test_auto_takes_epoll_where_io_uring_is_forbidden(builder, start_relay, subscribe, error, why):
    relay = start_relay(builder, wrapper=command_without_calls(IO_URING, error))
    (kind, reason), = lines_about_the_choice(relay)
    assert kind == "epoll"
    assert reason.startswith("uring is not possible (" + why)
    assert "engine epoll: deadlines in nanoseconds" in relay.log()
    check_that_flashblocks_flow(builder, relay, subscribe)


def test_epoll_does_without_epoll_pwait2(builder, start_relay, subscribe):
    relay = start_relay(builder, wrapper=command_without_calls([*IO_URING, "epoll_pwait2"]))
    assert "engine epoll: deadlines in milliseconds (no epoll_pwait2)" in relay.log()
    check_that_flashblocks_flow(builder, relay, subscribe)


def test_auto_takes_io_uring_where_it_is_allowed(builder, start_relay, subscribe):
    relay = start_relay(builder, "--engine=auto")
    (kind, reason), = lines_about_the_choice(relay)
    if kind != "uring":
        pytest.skip(reason)
    assert reason == "it is the best, and this system allows it"
    check_that_flashblocks_flow(builder, relay, subscribe)


@pytest.mark.parametrize("flag, environment", [("--engine=epoll", {}), ("--log-level=info", {"ENGINE": "epoll"})])
def test_an_engine_that_is_asked_for_is_used(builder, start_relay, subscribe, flag, environment):
    relay = start_relay(builder, flag, env=environment)
    assert "engine epoll: " in relay.log()
    assert lines_about_the_choice(relay) == []
    check_that_flashblocks_flow(builder, relay, subscribe)


def test_a_forbidden_engine_that_is_asked_for_is_refused():
    ended = subprocess.run([*command_without_calls(IO_URING), BIN / "flashrelay", "--upstream-ws=ws://127.0.0.1:1",
                            "--engine=uring"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                           timeout=PATIENCE_S)
    assert ended.returncode == 1
    assert "no engine: uring is not possible (io_uring is forbidden here: " in ended.stdout + ended.stderr


def command_with_little_locked_memory():
    """The beginning of a command that runs without privileges and may lock 64 KiB, less than the rings of two threads; probes for both."""
    command = ["prlimit", "--memlock=65536:65536", "setpriv", "--reuid=65534", "--clear-groups", "--bounding-set=-ipc_lock"]
    if subprocess.run([*command, BIN / "flashrelay", "--version"], check=False, capture_output=True).returncode != 0:
        pytest.skip("privileges cannot be given up here, or other users may not run the relay")
    return command


@pytest.mark.parametrize("flags, decode", [(["--shards=1"], bytes), (["--shards=3", "--enable-compression"], brotli.decompress)])
def test_auto_takes_epoll_where_the_rings_of_all_threads_find_no_memory(builder, start_relay, subscribe, flags, decode):
    relay = start_relay(builder, *flags, wrapper=command_with_little_locked_memory())
    (kind, reason), = lines_about_the_choice(relay)
    if kind == "uring":
        pytest.skip("this kernel does not count rings as locked memory")
    assert kind == "epoll"
    assert reason.startswith("uring is not possible (no memory for the ring of each thread: ")
    assert "limit of 64 KiB" in reason and "ulimit -l, LimitMEMLOCK=" in reason
    assert "ERROR" not in relay.log()
    check_that_flashblocks_flow(builder, relay, subscribe, decode)


def test_io_uring_that_finds_no_memory_is_refused_with_the_limit():
    ended = subprocess.run([*command_with_little_locked_memory(), "timeout", "5", BIN / "flashrelay", "--upstream-ws=ws://127.0.0.1:1",
                            "--engine=uring"], capture_output=True, text=True,
                           check=False, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
    if ended.returncode == 124:
        pytest.skip("this kernel does not count rings as locked memory")
    assert ended.returncode == 1
    assert "no engine: uring is not possible (no memory for the ring of each thread: " in ended.stdout
    assert "limit of 64 KiB" in ended.stdout and "ulimit -l, LimitMEMLOCK=" in ended.stdout


def test_an_unknown_engine_is_refused():
    status, _, errors = run("--upstream-ws=ws://127.0.0.1:1", "--engine=steam")
    assert status == 2
    assert errors.splitlines() == ["flashrelay: --engine steam: expected auto, uring, epoll or dpdk"]


def test_zero_copy_sends_that_epoll_has_not_are_one_line(builder, start_relay, subscribe):
    relay = start_relay(builder, "--engine=epoll", "--zerocopy=on", "--shards=3")
    assert relay.log().count("no zero-copy sends") == 1
    check_that_flashblocks_flow(builder, relay, subscribe)


def test_the_demo_works_without_io_uring():
    ended = subprocess.run([*command_without_calls(IO_URING), BIN / "demo", "--subscribers=50", "--seconds=2"],
                           capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=3 * PATIENCE_S)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost 0, repeated 0, corrupt 0, cut off 0" in ended.stdout

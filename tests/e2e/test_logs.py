"""Log lines: where they go, in which form, and the limits on how many."""
import fcntl
import json
import os
import pathlib
import re
import socket
import threading

import pytest

from harness import PATIENCE_S, eventually, free_port, scaled
from harness.relay import run

QUICK = "--subscriber-max-interval-ms=5"


def end_of(relay):
    relay.end()
    return relay.output.read_text(), relay.errors.read_text()


def test_text_on_standard_output(builder, start_relay):
    relay = start_relay(builder)
    builder.accept()
    eventually(lambda: "connected to" in relay.log(), "the upstream's line")
    out, errors = end_of(relay)
    assert errors == ""
    for line in out.splitlines():
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z (ERROR| WARN| INFO|DEBUG|TRACE) \w+: .+", line), line


def test_what_was_chosen_by_default_is_said(start_relay, builder):
    chosen = rf"by default: shards \d+ \(processors {len(os.sched_getaffinity(0))}(, CPU quota [\d.]+)?, one for the ingest.*\)$"
    assert re.search(chosen, start_relay(builder).log(), re.MULTILINE)
    assert "by default" not in start_relay(builder, "--shards=1").log()


@pytest.mark.parametrize("flags, variables", [
    (["--log-format=json"], {}), (["--logs.stdout.format=json"], {}), ([], {"LOG_FORMAT": "json"}),
    ([], {"WEBSOCKET_PROXY_LOG_FORMAT": "json"}),
])
def test_json(start_relay, flags, variables):
    relay = start_relay('ws://u:p@127.0.0.1:1/"quotes"\\', *flags, env=variables)
    eventually(lambda: "cannot connect" in relay.log(), "a failure")
    lines = [json.loads(line) for line in end_of(relay)[0].splitlines()]
    assert {line["level"] for line in lines} >= {"INFO", "WARN"}
    for line in lines:
        assert line.keys() == {"timestamp", "level", "fields", "target"}, line
    assert any('/"quotes"\\' in line["fields"]["message"] for line in lines)


@pytest.mark.parametrize("flags, least", [
    (["--log-level=error"], "ERROR"), (["-v"], "ERROR"), (["--log-level=warn"], "WARN"), (["-vv"], "WARN"), (["-vvv"], "INFO"),
    (["--log-level=debug"], "DEBUG"), (["-vvvv"], "DEBUG"), (["-v", "-v", "-v", "-v"], "DEBUG"),
])
def test_levels(start_relay, flags, least):
    levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
    port = free_port()
    relay = start_relay("ws://127.0.0.1:1/", *flags, f"--listen-addr=127.0.0.1:{port}", wait=False)
    eventually(lambda: is_open(port), "the relay to run")
    eventually(lambda: least in relay.log() or least == "ERROR", "a line of that level")
    written = set(re.findall(r"Z +(\w+) ", end_of(relay)[0]))
    assert written <= set(levels[:levels.index(least) + 1])


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_file_beside_standard_output(builder, start_relay, tmp_path):
    folder = tmp_path / "new" / "logs"
    relay = start_relay(builder, f"--logs.file.directory={folder}")
    out, _ = end_of(relay)
    lines = [json.loads(line) for line in (folder / "flashrelay.log").read_text().splitlines()]
    assert len(lines) == len(out.splitlines()) > 1


def test_quiet_with_a_file(start_relay, tmp_path, builder):
    relay = start_relay(builder, "-q", f"--logs.file.directory={tmp_path}", "--logs.file.format=text", wait=False)
    eventually(lambda: (tmp_path / "flashrelay.log").exists() and "listens on" in (tmp_path / "flashrelay.log").read_text(), "the file")
    assert end_of(relay) == ("", "")


def test_quiet(start_relay, builder):
    relay = start_relay(builder, "-q", wait=False)
    builder.accept()
    assert end_of(relay) == ("", "")


def test_a_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    status, _, errors = run("--upstream-ws=ws://h/", f"--logs.file.directory={tmp_path}/file/below", cwd=tmp_path)
    assert status == 1
    assert "file/below" in errors and errors.count("\n") == 1


def test_repeats_are_limited(builder, start_relay):
    relay = start_relay(builder, QUICK)
    for _ in range(100):
        builder.accept().close()
    out, _ = end_of(relay)
    lines = [line for line in out.splitlines() if "lost ws://" in line]
    assert 1 <= len(lines) < 100


def test_a_reason_from_outside_cannot_forge_lines(builder, start_relay):
    relay = start_relay(builder)
    builder.accept().send_close(1000, "bye\n2026-01-01T00:00:00.000000Z  INFO main: forged\x1b[31m")
    builder.accept()
    out, _ = end_of(relay)
    assert "forged" in out
    for line in out.splitlines():
        assert not line.startswith("2026-01-01T00:00:00.000000Z")
    assert "\x1b" not in out


# --- subscribers that come and go ---

def subscriber_lines(relay):
    return [line.split("shard: ")[1] for line in relay.log().splitlines() if " INFO shard: subscriber " in line]


def test_subscribers_are_seen_to_come_and_go(builder, start_relay, raw):
    relay = start_relay(builder)
    subscriber = raw(relay).upgrade("/ws?token=hunter2", X_Forwarded_For="203.0.113.7")
    eventually(lambda: subscriber_lines(relay), "the first line")
    subscriber.send_close(1000)
    eventually(lambda: len(subscriber_lines(relay)) == 2, "the second line")
    assert subscriber_lines(relay) == ["subscriber 203.0.113.7 connected to /ws",
                                       "subscriber 203.0.113.7 disconnected from /ws: peer_closed"]
    assert "hunter2" not in relay.log()


def test_a_key_is_shown_as_its_app(builder, start_relay, raw):
    relay = start_relay(builder, "--api-keys=shop:hunter2")
    raw(relay).upgrade("/ws/hunter2").reset()
    eventually(lambda: len(subscriber_lines(relay)) == 2, "both lines")
    assert subscriber_lines(relay) == ["subscriber 127.0.0.1 connected to /ws/shop",
                                       "subscriber 127.0.0.1 disconnected from /ws/shop: peer_vanished"]
    assert "hunter2" not in relay.log()


def test_a_subscriber_that_comes_and_goes_all_the_time_hides_no_other(builder, start_relay, raw):
    """All connect within a second or two: of the first address only some lines are shown, and the other's line is shown, too."""
    relay = start_relay(builder, "--per-ip-connection-limit=0")
    for _ in range(scaled(1000, 300)):
        raw(relay).upgrade(X_Forwarded_For="203.0.113.7").reset()
    raw(relay).upgrade(X_Forwarded_For="198.51.100.4")
    eventually(lambda: any("198.51.100.4 connected" in line for line in subscriber_lines(relay)), "the other's line")


# --- a log that is not read ---

def full_pipe():
    """Returns both ends of a pipe that is full."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4095 + b"\n")
    except BlockingIOError:
        os.set_blocking(writing, True)
        return reading, writing


def read_into(lines, reading):
    with os.fdopen(reading, errors="replace") as pipe:
        for line in pipe:
            lines.append(line)


def test_flashblocks_flow_though_nobody_reads_the_log(builder, start_relay, raw, subscribe):
    reading, writing = full_pipe()
    ports = free_port(), free_port()
    relay = start_relay(builder, f"--listen-addr=127.0.0.1:{ports[0]}", f"--metrics-addr=127.0.0.1:{ports[1]}",
                        "--per-ip-connection-limit=0", "--instance-connection-limit=1000", stdout=writing, wait=False)
    os.close(writing)
    relay.port, relay.metrics_port = ports
    eventually(lambda: is_open(ports[1]), "the relay to run")
    upstream, witness, sent = builder.accept(), subscribe(relay), 0

    def deliver():
        nonlocal sent
        sent += 1
        upstream.send_text(b'{"number":%d}' % sent)
        assert witness.receive() == b'{"number":%d}' % sent

    while relay.metric("flashrelay_log_dropped_lines_total") == 0:
        for number in range(50):
            raw(relay).upgrade(X_Forwarded_For=f"10.0.{sent % 256}.{number}").reset()
        deliver()
    for _ in range(20):
        deliver()
    dropped, lines = relay.metric("flashrelay_log_dropped_lines_total"), []
    reader = threading.Thread(target=read_into, args=(lines, reading))
    reader.start()
    eventually(lambda: any("lines dropped here" in line for line in lines), "the line that tells")
    relay.end()
    reader.join(PATIENCE_S)
    said = [int(line.split("WARN log: ")[1].split()[0]) for line in lines if "lines dropped here" in line]
    assert sum(said) >= dropped
    assert any("all connections closed" in line for line in lines) # no line is lost once the log is read


def test_what_led_to_a_failed_start_is_not_lost(start_relay):
    """The log is read late; the relay waits until its lines are read before it ends."""
    reading, writing = full_pipe()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        relay = start_relay("ws://h/", f"--listen-addr=127.0.0.1:{taken.getsockname()[1]}", stdout=writing, wait=False)
        os.close(writing)
        lines = []
        eventually(lambda: relay.process.poll() is not None or has_thread(relay, "log-0"), "the relay to log")
        read_into(lines, reading)
    relay.expected_status = 1
    assert any("ERROR relay: cannot listen" in line for line in lines)
    assert "cannot listen" in relay.log()


def has_thread(relay, name):
    try:
        return any(pathlib.Path(f"/proc/{relay.process.pid}/task/{task}/comm").read_text().strip() == name
                   for task in os.listdir(f"/proc/{relay.process.pid}/task"))
    except FileNotFoundError:
        return False

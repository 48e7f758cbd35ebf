"""Log lines: where they go, in what form, how many."""
import json
import re
import socket

import pytest

from harness import eventually, free_port
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

"""flashbuilder and flashcat, with each other and with the relay between them."""
import json
import os
import pty
import re
import subprocess
import termios
import unicodedata

import pytest

from harness import BIN, PATIENCE_S, ROOT, eventually


class Flashbuilder:
    def __init__(self, folder, *flags):
        self.output = folder / f"flashbuilder{len(list(folder.iterdir()))}.out"
        with self.output.open("wb") as out:
            self.process = subprocess.Popen([BIN / "flashbuilder", "--listen-addr=127.0.0.1:0", *flags], stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL)
        self.port = int(eventually(lambda: re.search(r"listening on \S+:(\d+)", self.output.read_text()), "its port")[1])
        self.uri = f"ws://127.0.0.1:{self.port}/any/path"

    def close(self):
        self.process.terminate()
        assert self.process.wait(timeout=PATIENCE_S) == 0, self.output.read_text()


@pytest.fixture
def flashbuilder(tmp_path):
    builders = []

    def start(*flags):
        builders.append(Flashbuilder(tmp_path, *flags))
        return builders[-1]

    yield start
    for builder in builders:
        builder.close()


def run(program, *arguments):
    ended = subprocess.run([BIN / program, *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                           timeout=3 * PATIENCE_S)
    return ended.returncode, ended.stdout, ended.stderr


def receive(uri, count):
    status, output, errors = run("flashcat", "--raw", f"--count={count}", uri)
    assert status == 0, errors
    texts = output.splitlines()
    assert len(texts) == count
    return texts, [json.loads(text) for text in texts]


def is_hex(text, digits):
    return re.fullmatch(rf"0x[0-9a-f]{{{digits}}}", text)


def test_generated_flashblocks_follow_the_rules(flashbuilder):
    builder = flashbuilder("--size=8k", "--interval=2ms", "--flashblocks-per-block=4", "--wait-for=1")
    texts, flashblocks = receive(builder.uri, 40)
    assert [flashblock["index"] for flashblock in flashblocks] == [0, 1, 2, 3] * 10
    assert [flashblock["metadata"]["block_number"] for flashblock in flashblocks] == [1 + i // 4 for i in range(40)]
    assert len({flashblock["payload_id"] for flashblock in flashblocks}) == 10
    for text, flashblock in zip(texts, flashblocks):
        assert abs(len(text) - 8000) < 80
        assert ("base" in flashblock) == (flashblock["index"] == 0)
        assert is_hex(flashblock["payload_id"], 16)
        assert is_hex(flashblock["diff"]["logs_bloom"], 512)
        for name in ("state_root", "receipts_root", "block_hash", "withdrawals_root"):
            assert is_hex(flashblock["diff"][name], 64)
        transactions = flashblock["diff"]["transactions"]
        assert all(is_hex(transaction, "2,") for transaction in transactions)
        called = [transaction for transaction in transactions if transaction.startswith("0x02")]
        assert len(called) == len(flashblock["metadata"]["receipts"]) == len(flashblock["metadata"]["new_account_balances"]) > 0
        assert flashblock["metadata"]["flashblock_timestamp"] > 10**18


@pytest.mark.parametrize("size", [1000, 3000, 25000, 2_000_000])
def test_sizes(flashbuilder, size):
    builder = flashbuilder(f"--size={size}", "--interval=20", "--wait-for=1")
    texts, _ = receive(builder.uri, 3)
    assert all(abs(len(text) - size) < 0.01 * size for text in texts[1:]) or size == 1000 and len(texts[1]) < 1200


def test_the_same_seed_gives_the_same_content(flashbuilder):
    def content(seed):
        _, flashblocks = receive(flashbuilder(f"--seed={seed}", "--interval=5", "--wait-for=1").uri, 3)
        for flashblock in flashblocks:
            del flashblock["metadata"]["flashblock_timestamp"]
        return flashblocks

    assert content(5) == content(5) != content(6)


def record(tmp_path, count):
    path = tmp_path / "recorded.jsonl"
    path.write_text("".join(f'{{"payload_id": "0x{7:016x}", "index": {i}, "extra": "kept"}}\n' for i in range(count)))
    return path


def test_replay_in_a_loop_with_fresh_ids(flashbuilder, tmp_path):
    recording = record(tmp_path, 3)
    _, flashblocks = receive(flashbuilder(f"--replay={recording}", "--interval=5", "--wait-for=1").uri, 9)
    assert [flashblock["index"] for flashblock in flashblocks] == [0, 1, 2] * 3
    ids = [flashblock["payload_id"] for flashblock in flashblocks]
    assert ids[0] == f"0x{7:016x}"
    assert ids == [ids[0]] * 3 + [ids[3]] * 3 + [ids[6]] * 3
    assert len(set(ids)) == 3
    assert all(flashblock["extra"] == "kept" for flashblock in flashblocks)


def test_replay_with_the_same_ids(flashbuilder, tmp_path):
    recording = record(tmp_path, 2)
    texts, _ = receive(flashbuilder(f"--replay={recording}", "--same-ids", "--interval=5", "--wait-for=1").uri, 6)
    assert texts == recording.read_text().splitlines() * 3


def test_drop_leaves_gaps(flashbuilder):
    _, flashblocks = receive(flashbuilder("--drop=50%", "--interval=1", "--size=1k", "--wait-for=1").uri, 50)
    places = [10 * flashblock["metadata"]["block_number"] + flashblock["index"] for flashblock in flashblocks]
    assert places == sorted(set(places))
    assert places[-1] - places[0] > 60


def test_duplicate_sends_twice(flashbuilder):
    texts, _ = receive(flashbuilder("--duplicate=1", "--interval=1", "--size=1k", "--wait-for=1").uri, 10)
    assert texts[0::2] == texts[1::2]
    assert len(set(texts)) == 5


def test_skip_index(flashbuilder):
    _, flashblocks = receive(flashbuilder("--skip-index=1", "--interval=1", "--size=1k", "--wait-for=1").uri, 10)
    assert [flashblock["index"] for flashblock in flashblocks] == [1, 3, 5, 7, 9] * 2


def test_burst_comes_at_once(flashbuilder):
    _, flashblocks = receive(flashbuilder("--burst=20", "--interval=20", "--size=1k", "--wait-for=1").uri, 40)
    stamps = [flashblock["metadata"]["flashblock_timestamp"] for flashblock in flashblocks]
    assert stamps[20] - stamps[19] > stamps[19] - stamps[0]


def test_count_ends_it_in_order(flashbuilder):
    builder = flashbuilder("--count=5", "--interval=1", "--size=1k", "--wait-for=1")
    status, output, errors = run("flashcat", builder.uri)
    assert status == 1 and "1001" in errors
    assert len(output.splitlines()) == 5
    assert builder.process.wait(timeout=PATIENCE_S) == 0
    assert "5 flashblocks sent" in builder.output.read_text()


@pytest.mark.parametrize("flags", [(), ("--enable-compression",)])
def test_through_the_relay(flashbuilder, start_relay, flags):
    builder = flashbuilder("--size=50k", "--interval=20")
    relay = start_relay(builder.uri, *flags)
    _, flashblocks = receive(relay.uri(), 5)
    assert [flashblock["index"] for flashblock in flashblocks] == [(flashblocks[0]["index"] + i) % 10 for i in range(5)]
    status, output, _ = run("flashcat", "--count=2", relay.uri())
    assert status == 0
    assert ("of JSON" in output) == bool(flags)
    assert re.search(r"0x[0-9a-f]{16}  block \d+  index +\d+ +\d+ bytes.* \d+ transactions +\d+\.\d+ ms\n", output)


def test_a_refusal_is_shown(start_relay, builder):
    relay = start_relay(builder, "--api-keys=app:secret:1")
    status, output, errors = run("flashcat", relay.uri("/ws/wrong"))
    assert (status, output) == (1, "")
    assert "401" in errors and "Invalid API key" in errors
    assert "wrong" not in errors


# --- text from peers on a terminal ---

HOSTILE = '{"title":"\x1b]0;owned\x07\x1b[2J\x7f\u009b31m\u202e\u2066\r\n","text":"ä 😀"}'


def flashcat_at(builder, *flags, stdout=subprocess.PIPE):
    """flashcat, connected to a builder: (process, the builder's side)."""
    process = subprocess.Popen([BIN / "flashcat", *flags, builder.uri], stdin=subprocess.DEVNULL, stdout=stdout,
                               stderr=subprocess.PIPE)
    return process, builder.accept()


def on_a_terminal(builder, message, *flags):
    """What flashcat writes to a terminal for one message, and its standard error."""
    ours, theirs = pty.openpty()
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST # bytes as they are written
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    process, upstream = flashcat_at(builder, "--count=1", *flags, stdout=theirs)
    os.close(theirs)
    upstream.send_binary(message)
    _, errors = process.communicate(timeout=PATIENCE_S)
    written = os.read(ours, 65536)
    os.close(ours)
    assert process.returncode == 0
    return written, errors


def assert_harmless(written):
    """Asserts that `written` is one line of text without anything that a terminal obeys."""
    text = written.decode()
    assert text.endswith("\n")
    for character in text[:-1]:
        assert unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp"), repr(text)


def test_raw_is_byte_for_byte_unless_on_a_terminal(builder):
    process, upstream = flashcat_at(builder, "--raw", "--count=2")
    broken = b'{"half":"\xc3","c1":"\x9b"}'
    upstream.send_text(HOSTILE)
    upstream.send_binary(broken)
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert output == HOSTILE.encode() + b"\n" + broken + b"\n"


def test_raw_on_a_terminal_is_escaped_and_means_the_same(builder):
    written, _ = on_a_terminal(builder, HOSTILE.encode(), "--raw")
    assert_harmless(written)
    assert json.loads(written) == json.loads(HOSTILE, strict=False)


def test_bytes_that_are_no_text_are_escaped_on_a_terminal(builder):
    written, _ = on_a_terminal(builder, b'{"c1":"\x9b31m"}', "--raw")
    assert written == b'{"c1":"\\x9b31m"}\n'


def test_a_line_shows_what_the_builder_wrote_as_text(builder):
    flashblock = json.dumps({"payload_id": "0x\x1b[2J\u202e", "index": 0}).encode()
    written, _ = on_a_terminal(builder, flashblock)
    assert_harmless(written)
    assert b"0x\\u001b[2J\\u202e  block" in written
    process, upstream = flashcat_at(builder, "--count=1") # the same where the output is no terminal: the line is for people to read
    upstream.send_binary(flashblock)
    assert b"0x\\u001b[2J\\u202e  block" in process.communicate(timeout=PATIENCE_S)[0]


def test_errors_show_what_the_peer_said_as_text(builder):
    process, upstream = flashcat_at(builder)
    upstream.send_text('{"payload_id" \x1b[2J')
    upstream.send_close(1011, "\x1b[2J\u009b\u202eenough")
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, output) == (1, b"")
    no_flashblock, closed = errors.splitlines(keepends=True)
    assert b"no flashblock" in no_flashblock
    assert closed == b"flashcat: closed by the server with 1011: \\u001b[2J\\u009b\\u202eenough\n"
    for line in (no_flashblock, closed):
        assert_harmless(line)


def test_a_refusal_shows_what_the_server_said_as_text(builder):
    process = subprocess.Popen([BIN / "flashcat", builder.uri], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    request = builder.accept_request()
    request.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 14\r\n\r\n\x1b[2J\r\nenough\x07")
    request.end_writes()
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert b"\\u001b[2J\\u000d\\u000aenough\\u0007" in errors
    assert_harmless(errors)


def test_nobody_there():
    status, _, errors = run("flashcat", "ws://127.0.0.1:1/ws")
    assert status == 1
    assert errors == "flashcat: cannot connect to 127.0.0.1 port 1: Connection refused\n"


@pytest.mark.parametrize("program, arguments, named", [
    ("flashbuilder", ["--size=huge"], ["--size", "huge", "25k"]),
    ("flashbuilder", ["--interval", "0"], ["--interval", "'0'"]),
    ("flashbuilder", ["--drop=2"], ["--drop", "'2'", "0.01"]),
    ("flashbuilder", ["--listen-addr=here"], ["--listen-addr", "here", "127.0.0.1:1111"]),
    ("flashbuilder", ["--size=0x10k"], ["--size", "0x10k", "expected bytes"]),
    ("flashbuilder", ["--replay=/nowhere"], ["--replay", "/nowhere", "No such file"]),
    ("flashbuilder", ["--wings"], ["--wings"]),
    ("flashbuilder", ["--same-ids=yes"], ["--same-ids", "yes", "no value"]),
    ("flashbuilder", ["--size=1k", "extra"], ["argument 2", "usage"]),
    ("flashbuilder", ["wss://user:s3cret@host/s3cret"], ["argument 1", "usage"]),
    ("flashcat", [], ["argument missing"]),
    ("flashcat", ["ws://127.0.0.1:1/ws", "wss://user:s3cret@host/s3cret"], ["argument 2", "usage"]),
    ("flashcat", ["http://127.0.0.1"], ["ws://"]),
    ("flashcat", ["--count=-1", "ws://127.0.0.1:1"], ["--count", "-1", "whole number"]),
    ("demo", ["--subscribers=0"], ["--subscribers", "'0'"]),
])
def test_bad_command_lines_end_with_one_line(program, arguments, named):
    status, output, errors = run(program, *arguments)
    assert status == 2
    assert output == ""
    assert len(errors.splitlines()) == 1
    for name in named:
        assert name in errors
    assert "s3cret" not in errors


def test_replay_of_what_is_no_recording(tmp_path):
    path = tmp_path / "broken.jsonl"
    path.write_text(record(tmp_path, 1).read_text() + '{"index": 1}\n')
    status, _, errors = run("flashbuilder", f"--replay={path}")
    assert status == 2
    assert "line 2" in errors and "payload_id" in errors


def test_replay_of_blank_lines(tmp_path):
    path = tmp_path / "blank.jsonl"
    path.write_text("\n\n")
    status, _, errors = run("flashbuilder", f"--replay={path}")
    assert status == 2
    assert "has no line that is not empty" in errors


@pytest.mark.parametrize("program", ["flashbuilder", "flashcat", "demo"])
def test_help(program):
    status, output, errors = run(program, "--help")
    assert (status, errors) == (0, "")
    assert output.startswith(f"Usage: {program} ")


def test_install_puts_every_program_where_it_runs(tmp_path):
    variant = BIN.name if BIN.name in ("asan", "tsan", "debug") else "release"
    subprocess.run(["make", "-C", ROOT, "install", f"VARIANT={variant}", f"DESTDIR={tmp_path}", "PREFIX=/usr"], check=True,
                   capture_output=True, timeout=3 * PATIENCE_S)
    installed = tmp_path / "usr/bin"
    assert {path.name for path in installed.iterdir()} == {"flashrelay", "flashbuilder", "flashcat", "flashbench", "bare_loop"}
    for path in installed.iterdir():
        assert subprocess.run([path, "--help"], capture_output=True, check=True, timeout=PATIENCE_S).stdout
    ended = subprocess.run([installed / "flashbench", "--proxy", "bare_loop", "--subscribers", "2", "--duration", "100ms", "--warm-up",
                            "20ms", "--interval", "20ms", "--no-pin", "--json", "-"], capture_output=True, check=True, timeout=PATIENCE_S)
    assert json.loads(ended.stdout)["runs"][0]["counts"]["deliveries"] == 10

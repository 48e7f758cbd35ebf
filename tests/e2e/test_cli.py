"""The command line: flags, environment variables, the .env file, their precedence, and one line about each error."""
import re

import pytest

from harness.relay import run

REFERENCE_FLAGS = {
    "--listen-addr": "0.0.0.0:8545", "--upstream-ws": None, "--message-buffer-size": "20", "--instance-connection-limit": "100",
    "--per-ip-connection-limit": "10", "--enable-compression": "false", "--ip-addr-http-header": "X-Forwarded-For",
    "--log-level": "info", "--log-format": "text", "--metrics": "true", "--metrics-addr": "0.0.0.0:9000",
    "--metrics-global-labels": None, "--metrics-host-label": "false", "--api-keys": None, "--public-access-enabled": "false",
    "--subscriber-max-interval-ms": "20000", "--subscriber-ping-interval-ms": "2000", "--subscriber-pong-timeout-ms": "4000",
    "--client-ping-enabled": "false", "--client-ping-interval-ms": "15000", "--client-pong-timeout-ms": "30000",
    "--client-send-timeout-ms": "1000", "--redis-url": None, "--redis-key-prefix": None, "--logs.stdout.format": None,
    "--logs.file.directory": None, "--logs.file.format": None, "--logs.file.rotation": None,
}
OWN_FLAGS = {"--shards": None, "--log-memory": "128M", "--max-message-bytes": "32M", "--notsent-lowat": "64K", "--busy-poll": "false",
             "--zerocopy": "auto", "--cpu-list": None, "--upstream-ca": None, "--health-grace-ms": "0"}
UPSTREAM = "--upstream-ws=ws://127.0.0.1:1"


def refused(*arguments, **variables):
    """Runs the relay with bad usage; returns the one line that it writes before it ends."""
    status, out, err = run(*arguments, **variables)
    assert (status, out) == (2, ""), (status, out, err)
    assert err.count("\n") == 1 and err.endswith("\n"), err
    return err


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_flag_with_its_default(flag, tmp_path):
    status, out, err = run(flag, cwd=tmp_path)
    assert (status, err) == (0, "")
    for name, default in {**REFERENCE_FLAGS, **OWN_FLAGS}.items():
        entry = re.search(rf"^ {{2,8}}(?:-\w, )?{re.escape(name)}\b.*(?:\n {{10,}}.*)*", out, re.MULTILINE)
        assert entry, f"no {name} in the help"
        assert default is None or default in entry[0], f"{name} without its default {default}: {entry[0]}"


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_version(flag, tmp_path):
    status, out, err = run(flag, cwd=tmp_path)
    assert (status, err) == (0, "")
    assert re.fullmatch(r"flashrelay \S+\n", out)


def test_an_upstream_is_required(tmp_path):
    assert "--upstream-ws" in refused(cwd=tmp_path)


@pytest.mark.parametrize("arguments, named", [
    (["--no-such-flag"], ["--no-such-flag"]),
    (["--listen-adr=1.2.3.4:5"], ["--listen-adr", "--listen-addr"]),
    (["-x"], ["-x"]),
    (["--listen-addr"], ["--listen-addr"]),
    (["--listen-addr=localhost"], ["--listen-addr", "localhost"]),
    (["--listen-addr=1.2.3.4:70000"], ["--listen-addr", "1.2.3.4:70000"]),
    (["--metrics-addr", "nowhere"], ["--metrics-addr", "nowhere"]),
    (["--message-buffer-size=0"], ["--message-buffer-size", "0", "from 1"]),
    (["--message-buffer-size=-1"], ["--message-buffer-size", "-1"]),
    (["--instance-connection-limit=many"], ["--instance-connection-limit", "many"]),
    (["--per-ip-connection-limit=1x"], ["--per-ip-connection-limit", "1x"]),
    (["--enable-compression=maybe"], ["--enable-compression", "maybe", "true"]),
    (["--log-level=loud"], ["--log-level", "loud", "info"]),
    (["--log-format=xml"], ["--log-format", "xml", "json"]),
    (["--shards=0"], ["--shards", "0"]),
    (["--zerocopy=sometimes"], ["--zerocopy", "sometimes", "auto"]),
    (["--cpu-list=3-1"], ["--cpu-list", "3-1"]),
    (["--log-memory=1M"], ["--log-memory", "--max-message-bytes"]),
    (["--max-message-bytes=12 bananas"], ["--max-message-bytes", "bananas"]),
    (["--ip-addr-http-header=a b"], ["--ip-addr-http-header", "a b"]),
    (["--shards=1", "--shards=2"], ["--shards"]),
])
def test_bad_arguments_are_named(arguments, named, tmp_path):
    line = refused(UPSTREAM, *arguments, cwd=tmp_path)
    for word in named:
        assert word in line


@pytest.mark.parametrize("arguments, named", [
    (["wss://user:hunter2@host", UPSTREAM], "argument 1:"), ([UPSTREAM, "hunter2"], "--upstream-ws: expected its values"),
    ([UPSTREAM, "--metrics", "hunter2"], "argument 3:"), ([UPSTREAM, "-q", "hunter2"], "argument 3:"),
    ([UPSTREAM, "--wss://user:hunter2@host"], "--wss:"), ([UPSTREAM, "--upstream-wss://user:hunter2@host"], "--upstream-ws?"),
    ([UPSTREAM, "-wss://user:hunter2@host"], "-w:"), ([UPSTREAM, "--app:hunter2=5"], "--app:"),
])
def test_arguments_that_are_no_flags_are_not_shown(arguments, named, tmp_path):
    line = refused(*arguments, cwd=tmp_path)
    assert named in line and "hunter2" not in line


@pytest.mark.parametrize("uri, expected", [
    ("http://h", "ws://"), ("ws://", "host"), ("ws://h:0", "port"), ("ws://h:65536", "port"), ("ws://h/#f", "#"), ("h:80", "ws://"),
])
def test_bad_upstreams(uri, expected, tmp_path):
    line = refused(f"--upstream-ws={uri}", cwd=tmp_path)
    assert "--upstream-ws" in line and expected in line


def test_secrets_are_never_repeated(tmp_path):
    assert "hunter2" not in refused("--upstream-ws=ws://user:hunter2@host:0/?token=hunter2", cwd=tmp_path)
    assert "hunter2" not in refused("--upstream-ws=ws://h,http://user:hunter2@host", cwd=tmp_path)
    line = refused(UPSTREAM, "--api-keys=app1:hunter2:5,app1:other", cwd=tmp_path)
    assert "hunter2" not in line and "app1" in line
    assert "hunter2" not in refused(UPSTREAM, "--redis-url=redis://:hunter2@h", cwd=tmp_path)


@pytest.mark.parametrize("keys", ["a", "a:", ":k", "a:k:x", "a:k:-1", "a:k:1:2", "a:k,a:l", "a:k,b:k", "a:k:"])
def test_bad_api_keys(keys, tmp_path):
    assert "--api-keys" in refused(UPSTREAM, f"--api-keys={keys}", cwd=tmp_path)


def test_redis_is_refused_wherever_it_is_set(tmp_path):
    assert "--redis-url" in refused(UPSTREAM, "--redis-url=redis://h", cwd=tmp_path)
    assert "REDIS_URL" in refused(UPSTREAM, REDIS_URL="redis://h", cwd=tmp_path)
    (tmp_path / ".env").write_text("REDIS_URL=redis://h\n")
    assert "REDIS_URL" in refused(UPSTREAM, cwd=tmp_path)


def test_variables_and_the_file_are_read_and_named(tmp_path):
    assert "SHARDS=none" in refused(UPSTREAM, SHARDS="none", cwd=tmp_path)
    (tmp_path / ".env").write_text("# a comment\nSHARDS='no one'\n")
    line = refused(UPSTREAM, cwd=tmp_path)
    assert ".env" in line and "SHARDS=no one" in line


def test_bad_lines_of_the_file_stop_nothing(builder, start_relay, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / ".env").write_text("A=b\nhunter2 is no assignment\nMETRICS=false\nSHARDS='hunter2\n")
    relay = start_relay(builder, cwd=folder)
    assert relay.metrics_port is None
    assert f"{folder}/.env, line 2 is left out: expected NAME=value" in relay.log()
    assert f"{folder}/.env, line 4 is left out: expected a closing '" in relay.log()
    assert "hunter2" not in relay.log()


def test_a_start_that_fails_tells_of_bad_lines_too(tmp_path):
    (tmp_path / ".env").write_text("UPSTREAM_WS 'ws://h'\n")
    status, _, err = run(cwd=tmp_path)
    assert status == 2
    assert re.fullmatch(r"flashrelay: .*/\.env, line 1 is left out: .*\nflashrelay: --upstream-ws: .*\n", err), err


@pytest.mark.parametrize("flag", ["--help", "--version", "-h", "-V"])
def test_help_comes_before_all_that_is_wrong(flag, tmp_path):
    (tmp_path / ".env").write_text("nonsense\nSHARDS=none\n")
    status, out, err = run(flag, METRICS="neither", cwd=tmp_path)
    assert (status, err) == (0, "") and out


@pytest.mark.parametrize("make", [
    lambda path: path.symlink_to(path), lambda path: path.write_bytes(b"SHARDS=none\n" + b"#" * (1 << 20)),
    lambda path: path.write_bytes(b"SHARDS=none\n\0"),
])
def test_a_file_that_cannot_be_read_stops_nothing(builder, start_relay, tmp_path, make):
    folder = tmp_path / "here"
    folder.mkdir()
    make(folder / ".env")
    assert f"{folder}/.env" in start_relay(builder, cwd=folder).log()


def test_the_nearest_file_above_counts(builder, start_relay, tmp_path):
    folder = tmp_path / "a" / "b" / "c"
    (folder / ".env").mkdir(parents=True) # a directory is no file
    (tmp_path / "a" / ".env").write_text("METRICS=false\n")
    (tmp_path / ".env").write_text("SHARDS=none\n")
    assert start_relay(builder, cwd=folder).metrics_port is None


def test_variables_of_other_programs_stop_nothing(builder, start_relay):
    relay = start_relay(builder, env={"LOG_LEVEL": "notice", "RUST_LOG": "warp=debug", "REDIS_URL": "", "REDIS_KEY_PREFIX": "p"})
    assert "WARN options: variable LOG_LEVEL=notice is left out: expected error, warn" in relay.log()
    assert relay.log().count(" WARN options: ") == 1


def test_flags_go_before_variables_before_the_file(builder, start_relay, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / ".env").write_text("METRICS_GLOBAL_LABELS=from=file\nSHARDS=wrong\nMETRICS_HOST_LABEL=wrong\n")
    relay = start_relay(builder, "--shards=2", cwd=folder, env={"METRICS_GLOBAL_LABELS": "from=variable", "METRICS_HOST_LABEL": "false"})
    assert relay.metrics().total("websocket_proxy_active_connections", **{"from": "variable"}) == 0
    assert relay.metrics().labelled("websocket_proxy_active_connections").keys() == {frozenset({("from", "variable")})}


def test_everything_can_come_from_the_file(builder, start_relay, tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / ".env").write_text(f'UPSTREAM_WS="{builder.uri}"\nexport LISTEN_ADDR=127.0.0.1:0\nMETRICS=false\n'
                                 "METRICS_ADDR=127.0.0.1:0\nLOG_MEMORY=16M\nMAX_MESSAGE_BYTES=8M\n")
    relay = start_relay(cwd=folder, env={"LISTEN_ADDR": "127.0.0.1:0"})
    assert relay.metrics_port is None
    builder.accept()


def test_everything_can_come_from_variables(builder, start_relay):
    relay = start_relay(env={"UPSTREAM_WS": builder.uri, "LISTEN_ADDR": "127.0.0.1:0", "METRICS_ADDR": "127.0.0.1:0",
                             "ENABLE_COMPRESSION": "true", "MAX_MESSAGE_BYTES": "1M", "LOG_MEMORY": "4M"})
    builder.accept()
    assert relay.metric("websocket_proxy_active_connections") == 0


def test_switches_with_and_without_a_value(builder, start_relay):
    assert start_relay(builder, "--metrics=false").metrics_port is None
    assert start_relay(builder, "--metrics").metrics_port
    assert start_relay(builder, "--metrics=true", "--enable-compression=false", "--client-ping-enabled").metrics_port


def test_several_upstreams_in_one_list(start_builder, start_relay):
    first, second = start_builder(), start_builder(path="/x")
    start_relay(first, second)
    first.accept()
    assert second.accept().target == "/x"

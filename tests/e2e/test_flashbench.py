"""flashbench: it sees what a proxy does wrong, as the one below does on purpose; its measurements, pages and options."""
import html.parser
import json
import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from harness import BIN, PATIENCE_S, eventually, free_port

# A proxy that relays whole messages as binary frames; its third argument names the mistake that it makes.
PROXY = textwrap.dedent('''
    import asyncio, sys, websockets

    upstream, listen, fault = sys.argv[1:4]
    host, port = listen.rsplit(":", 1)
    subscribers = []
    held = None

    async def serve(socket):
        subscribers.append(socket)
        await socket.wait_closed()
        subscribers.remove(socket)

    async def send(message):
        for socket in list(subscribers):
            try:
                await socket.send(message)
            except websockets.ConnectionClosed:
                pass

    async def main():
        global held
        number = 0
        async with websockets.serve(serve, host, int(port), compression=None, max_size=None):
            async with websockets.connect(upstream, compression=None, max_size=None) as source:
                async for text in source:
                    message, number = text.encode(), number + 1
                    chosen = number % 5 == 0
                    if fault == "lose" and chosen:
                        continue
                    if fault == "corrupt" and chosen:
                        message = message[:-3] + bytes([message[-3] ^ 1]) + message[-2:]
                    if fault == "cut" and number == 12 and subscribers:
                        await subscribers[0].close(1013)
                    if fault == "swap" and chosen:
                        held = message
                        continue
                    await send(message)
                    if fault == "repeat" and chosen:
                        await send(message)
                    if held is not None:
                        late, held = held, None
                        await send(late)

    asyncio.run(main())
''')

# Takes the place of the proxy's first import: work() uses 60 ms of CPU in a child that ends.
WORK = textwrap.dedent('''
    import asyncio, os, time

    def work():
        child = os.fork()
        if child == 0:
            while time.process_time() < 0.06:
                pass
            os._exit(0)
        os.waitpid(child, 0)

    import asyncio''')


@pytest.fixture
def measure(tmp_path):
    script = tmp_path / "proxy.py"
    script.write_text(PROXY)

    def run(fault, *flags):
        result = tmp_path / "result.json"
        ended = subprocess.run([BIN / "flashbench", "--proxy", f"faulty={sys.executable} {script} {{upstream}} {{listen}} {fault}",
                                "--subscribers", "4", "--bytes", "3000", "--interval", "20ms", "--warm-up", "100ms", "--duration",
                                "1s", "--patience", "3s", "--no-pin", "--json", result, *flags], check=False, timeout=60,
                               stdout=subprocess.PIPE, text=True)
        found = json.loads(result.read_text())["runs"][0]
        found["table"] = ended.stdout
        assert found["flawed"] == (wrong(found) != {})
        assert ended.returncode == (1 if found["flawed"] else 0)
        assert ("! faulty, round 1:" in ended.stdout) == found["flawed"]
        return found

    return run


def wrong(run):
    return {name: run["counts"][name] for name in ("lost", "late", "repeated", "reordered", "corrupt", "readers_cut_off")
            if run["counts"][name] != 0}


def test_nothing_wrong_is_reported_where_nothing_is(measure):
    run = measure("nothing")
    assert wrong(run) == {}
    assert run["counts"]["deliveries"] == run["counts"]["owed"] == 4 * 50
    assert run["latency"]["count"] == 200


def table_row(table, title):
    """The values of the row with that title."""
    return re.search(rf"^{re.escape(title)} +(.*)$", table, re.MULTILINE)[1].split()


def test_quantiles_beyond_the_sample_are_not_shown(measure):
    run = measure("nothing")
    assert run["latency"]["count"] == 200
    assert run["figures"]["latency_p99_ms"] > 0 and run["figures"]["latency_p99.9_ms"] is None
    assert table_row(run["table"], "any delivery, p99, ms") != ["-"]
    assert table_row(run["table"], "any delivery, p99.9, ms") == ["-"]
    assert table_row(run["table"], "last subscriber, p99, ms") == ["-"] # of 50 messages
    assert max(quantile for quantile, _ in run["latency"]["quantiles"] if quantile < 1) <= 1 - 1 / 200 + 1e-9


def test_the_builder_says_how_late_it_was(measure):
    run = measure("nothing")
    late = [float(table_row(run["table"], f"builder late, {which}, ms")[0]) for which in ("median", "worst")]
    assert late == pytest.approx([run["figures"]["builder_late_ms"], run["figures"]["builder_late_max_ms"]], abs=0.001)
    assert 0 < late[0] <= late[1]


def test_arrival_is_told_by_the_kernel_and_by_the_reader(measure):
    figures = measure("nothing")["figures"]
    pairs = [(figures[name], figures[name.replace("_", "_read_", 1)]) for name in
             ("first_ms", "median_ms", "last_ms", "latency_p50_ms", "latency_max_ms")]
    assert all(0 < stamped <= read for stamped, read in pairs)
    assert any(stamped < read for stamped, read in pairs)


@pytest.mark.parametrize("fault, counts", [
    ("lose", {"lost": 40}),
    ("repeat", {"repeated": 40}),
    ("swap", {"reordered": 40}),
])
def test_faults_of_whole_messages_are_counted(measure, fault, counts):
    assert wrong(measure(fault)) == counts


def test_the_clock_does_not_run_while_lost_messages_are_waited_for(measure):
    run = measure("lose", "--patience", "8s")
    assert run["counts"]["lost"] > 0
    assert 0.5 < run["seconds"] < 5


def test_a_single_changed_bit_is_seen(measure):
    counts = wrong(measure("corrupt"))
    assert counts["corrupt"] >= 40 and counts["lost"] == 40


def test_large_messages_are_compared_whole_when_told_to(measure):
    assert wrong(measure("corrupt", "--bytes", "30k", "--verify-every", "1"))["lost"] == 40


def test_a_subscriber_that_is_cut_off_is_counted_with_the_code(measure):
    run = measure("cut")
    assert run["counts"]["readers_cut_off"] == 1
    assert run["close_codes"] == {"1013": 1}


@pytest.mark.parametrize("size", ["3000", "30k"])
def test_a_subscriber_that_comes_back_is_not_owed_what_it_was_away_for(size):
    ended = subprocess.run([BIN / "flashbench", "--proxy", "bare_loop", "--subscribers", "20", "--churn", "100", "--bytes", size,
                            "--interval", "20ms", "--duration", "3s", "--json", "-"], check=True, timeout=60, capture_output=True)
    run = json.loads(ended.stdout)["runs"][0]
    assert wrong(run) == {}
    assert run["counts"]["connects"] > 20 and run["counts"]["deliveries"] == run["counts"]["owed"] > 500


def test_two_proxies_are_compared_by_turns(tmp_path):
    result, page = tmp_path / "result.json", tmp_path / "page.html"
    subprocess.run([BIN / "flashbench", "--proxy", "a=bare_loop --send", "--proxy", "b=bare_loop", "--rounds", "3", "--subscribers",
                    "10", "--duration", "200ms", "--warm-up", "50ms", "--interval", "20ms", "--bytes", "10k", "--json", result,
                    "--html", page], check=True, timeout=60, stdout=subprocess.DEVNULL)
    document = json.loads(result.read_text())
    runs = sorted(document["runs"], key=lambda run: run["order"])
    assert [run["order"] for run in runs] == [1, 2, 3, 4, 5, 6]
    # The proxies take turns in beginning a round, so that none always runs on the warmer machine.
    assert [(run["label"], run["round"]) for run in runs] == [("a", 1), ("b", 1), ("b", 2), ("a", 2), ("a", 3), ("b", 3)]
    ratio = next(row for row in document["ratios"] if row["figure"] == "cpu_us_per_delivery")
    assert (ratio["of"], ratio["against"], ratio["pairs"]) == ("b", "a", 3)
    assert ratio["minimum"] <= ratio["median"] <= ratio["maximum"]
    text = page.read_text()
    assert "uPlot" in text and "Permission is hereby granted" in text and json.loads(
        text.split('<script type="application/json" id="results">')[1].split("</script>")[0])[0]["flashbench"] == 2


class Scripts(html.parser.HTMLParser):
    """The script elements of a page, as a browser would find them: (attributes, text)."""

    def __init__(self, page):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "script"
        if self.inside:
            self.found.append([dict(attrs), ""])

    def handle_endtag(self, _tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.found[-1][1] += data


def test_a_foreign_result_cannot_put_markup_into_the_page(tmp_path):
    hostile = "</script><script>alert(1)</script><!-- <script> --></SCRIPT ><img src=x onerror=alert(1)>&lt;\u2028\u2029]]>"
    documents = [{"flashbench": 2, hostile: hostile, "runs": [{"label": hostile, "command": hostile}], "ratios": [], "when": hostile},
                 {"flashbench": 2, "when": "</script", "kernel": "\u2028"}]
    files = []
    for number, document in enumerate(documents):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    page = tmp_path / "page.html"
    subprocess.run([BIN / "flashbench", "--html", page, *files], check=True, timeout=20)
    text = page.read_text(encoding="utf-8")
    scripts = Scripts(text).found
    assert [attributes for attributes, _ in scripts] == [{"type": "application/json", "id": "results"}, {}, {}]
    results = scripts[0][1]
    assert json.loads(results) == documents
    assert not set("<>&\u2028\u2029") & set(results)
    assert "alert" in results and "alert" not in text.replace(results, "") and "onerror" not in text.replace(results, "")


def test_what_is_no_result_does_not_become_a_page(tmp_path):
    page, other = tmp_path / "page.html", tmp_path / "other.json"
    for content in ("", "<script>alert(1)</script>", '{"flashbench":1,"runs":[]}'):
        other.write_text(content)
        ended = subprocess.run([BIN / "flashbench", "--html", page, other], capture_output=True, text=True, timeout=20, check=False)
        assert ended.returncode == 2 and str(other) in ended.stderr and ended.stderr.count("\n") == 1
        assert not page.exists()


def test_a_ratio_to_a_run_that_lost_something_is_marked(tmp_path):
    script, result, page = tmp_path / "proxy.py", tmp_path / "result.json", tmp_path / "page.html"
    script.write_text(PROXY)
    flags = ["--rounds", "1", "--subscribers", "2", "--bytes", "3000", "--interval", "20ms", "--warm-up", "20ms", "--duration", "400ms",
             "--patience", "500ms", "--no-pin", "--json", result, "--html", page]
    proxies = {fault: f"{fault}={sys.executable} {script} {{upstream}} {{listen}} {fault}" for fault in ("lose", "good")}

    def ratios(*labels):
        ended = subprocess.run([BIN / "flashbench", *(f"--proxy={proxies[label]}" for label in labels), *flags], check=False,
                               timeout=60, stdout=subprocess.PIPE, text=True)
        rows = json.loads(result.read_text())["ratios"]
        assert len({row["flawed"] for row in rows}) == 1
        return ended.returncode, rows[0]["flawed"], re.search(r"\d[! ]\(\d", ended.stdout)[0][1]

    proxies["also"] = proxies["good"].replace("good=", "also=", 1)
    assert ratios("good", "also") == (0, False, " ")
    assert ratios("lose", "good") == ratios("good", "lose") == (1, True, "!")


def test_what_was_on_its_way_when_a_measurement_was_interrupted_is_not_lost(tmp_path):
    script, result = tmp_path / "proxy.py", tmp_path / "result.json"
    script.write_text(PROXY)
    bench = subprocess.Popen([BIN / "flashbench", "--proxy", f"losing={sys.executable} {script} {{upstream}} {{listen}} lose",
                              "--subscribers", "4", "--bytes", "3000", "--interval", "20ms", "--warm-up", "20ms", "--duration", "60s",
                              "--patience", "30s", "--no-pin", "--json", result], stdout=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        bench.wait(timeout=4)
    bench.send_signal(signal.SIGINT)
    assert bench.wait(timeout=PATIENCE_S) == 0
    run = json.loads(result.read_text())["runs"][0]
    assert not run["complete"] and wrong(run) == {} and run["counts"]["deliveries"] == run["counts"]["owed"] > 100


def test_an_interrupted_measurement_says_what_it_has(tmp_path):
    result = tmp_path / "result.json"
    bench = subprocess.Popen([BIN / "flashbench", "--proxy", "bare_loop", "--subscribers", "10", "--duration", "60s", "--interval",
                              "20ms", "--json", result], stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        bench.wait(timeout=8)
    bench.send_signal(2)
    table, _ = bench.communicate(timeout=20)
    run = json.loads(result.read_text())["runs"][0]
    assert not run["complete"] and run["counts"]["deliveries"] > 0
    assert "interrupted" in table


# --- the core that does the receiving half of loopback TCP ---

STEERING = "/sys/class/net/lo/queues/rx-0/rps_cpus"

# Gives a new network namespace its own /sys and an address on loopback, prints "ready", and keeps the namespace until its input ends.
NAMESPACE_HOLDER = textwrap.dedent('''
    import fcntl, socket, struct, subprocess, sys, time

    subprocess.run(["mount", "-t", "sysfs", "sysfs", "/sys"], check=True)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", 1)) # SIOCSIFFLAGS, IFF_UP
    print("ready", flush=True)
    sys.stdin.read()
''')


class NetworkNamespace:
    """A network namespace in which a test may change a setting that otherwise is the machine's."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "--mount", sys.executable, "-c", NAMESPACE_HOLDER], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline() != "ready\n":
            pytest.skip(f"needs a network namespace: {self.holder.communicate()[1].strip()}")
        if self.run("test", "-e", STEERING).returncode != 0:
            self.close()
            pytest.skip("needs a kernel with receive packet steering")

    def command(self, *command):
        return ["nsenter", "--target", str(self.holder.pid), "--net", "--mount", f"--wd={os.getcwd()}", *map(str, command)]

    def run(self, *command):
        return subprocess.run(self.command(*command), capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def bench(self, *flags, proxy="bare_loop", duration="60s"):
        """Starts flashbench in the namespace; returns the process."""
        return subprocess.Popen(self.command(BIN / "flashbench", "--proxy", proxy, "--receivers-softirq", "--subscribers", "4",
                                             "--bytes", "3000", "--interval", "20ms", "--warm-up", "20ms", "--duration", duration,
                                             "--json", "-", *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @property
    def steering(self):
        return self.run("cat", STEERING).stdout

    def wait_steering(self, mask):
        eventually(lambda: self.steering == mask, f"{STEERING} to become {mask!r}")

    def close(self):
        self.holder.communicate()


@pytest.fixture
def namespace():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    made = NetworkNamespace()
    # A setting that is not the default, so that a test sees whether flashbench puts it back.
    assert made.run("sh", "-c", f"echo {1 << proxy_core():x} >{STEERING}").returncode == 0
    yield made
    made.close()


def proxy_core():
    return min(os.sched_getaffinity(0))


def own_core():
    """The core on which flashbench runs by default."""
    return sorted(os.sched_getaffinity(0))[1]


def steered_packets(core):
    """How often another core woke this one to receive packets for it: the tenth column of this core's line, in hex."""
    with open("/proc/net/softnet_stat", encoding="ascii") as file:
        lines = [[int(word, 16) for word in line.split()] for line in file]
    return next(line[9] for line in lines if len(line) > 12 and line[12] == core)


def test_receivers_softirq_is_given_to_their_core_and_taken_back(namespace):
    before, packets = namespace.steering, steered_packets(own_core())
    bench = namespace.bench(duration="2s")
    eventually(lambda: namespace.steering not in ("", before), "the setting to change")
    assert int(namespace.steering.replace(",", ""), 16) == 1 << own_core()
    output, errors = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == 0, errors
    assert namespace.steering == before
    assert steered_packets(own_core()) > packets
    document = json.loads(output)
    assert document["options"]["receivers_softirq"] is True
    assert document["runs"][0]["counts"]["deliveries"] == 4 * 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_receivers_softirq_is_taken_back_whatever_ends_flashbench(namespace, number):
    before = namespace.steering
    bench = namespace.bench()
    eventually(lambda: namespace.steering not in ("", before), "the setting to change")
    bench.send_signal(number)
    bench.communicate(timeout=PATIENCE_S)
    namespace.wait_steering(before)


def test_receivers_softirq_is_taken_back_when_a_run_fails(namespace):
    before = namespace.steering
    bench = namespace.bench(proxy="false {upstream} {listen}")
    assert bench.communicate(timeout=PATIENCE_S)[0] and bench.returncode == 1
    assert namespace.steering == before


def test_one_flashbench_at_a_time_changes_the_receivers_softirq(namespace):
    before = namespace.steering
    first = namespace.bench()
    eventually(lambda: namespace.steering not in ("", before), "the setting to change")
    second = namespace.bench()
    _, errors = second.communicate(timeout=PATIENCE_S)
    assert second.returncode == 2 and "another flashbench" in errors and errors.count("\n") == 1
    assert namespace.steering not in ("", before)
    first.terminate()
    first.communicate(timeout=PATIENCE_S)
    namespace.wait_steering(before)


def test_receivers_softirq_that_cannot_be_changed_is_said(namespace):
    assert namespace.run("mount", "-o", "remount,bind,ro", "/sys").returncode == 0
    bench = namespace.bench()
    _, errors = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == 2 and "--receivers-softirq: needs root" in errors and errors.count("\n") == 1


# --- a proxy that runs already ---

class RunningRelay:
    """A relay and the shell that started it and waits for it, in a process group of their own."""

    def __init__(self, folder, *flags):
        self.builder_port = free_port()
        log = folder / "relay.log"
        log.touch()
        command = (f"{BIN}/flashrelay --upstream-ws ws://127.0.0.1:{self.builder_port}/ --listen-addr 127.0.0.1:0 --metrics-addr"
                   f" 127.0.0.1:0 --subscriber-max-interval-ms 50 --log-memory 16M --max-message-bytes 8M {' '.join(flags)} >{log} 2>&1 & echo $!; wait")
        self.shell = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True)
        self.relay = int(self.shell.stdout.readline())
        self.port = eventually(lambda: re.search(r"listens on \S+:(\d+);", log.read_text()), "the relay to listen")[1]
        self.target = f"127.0.0.1:{self.port}"

    def threads(self):
        return [int(name) for name in os.listdir(f"/proc/{self.relay}/task")]

    def measure(self, *flags):
        ended = subprocess.run([BIN / "flashbench", "--connect", self.target, "--builder-listen",
                                f"127.0.0.1:{self.builder_port}", "--subscribers", "4", "--bytes", "3000", "--interval", "20ms",
                                "--warm-up", "100ms", "--duration", "500ms", "--json", "-", *map(str, flags)], check=True,
                               timeout=60, capture_output=True)
        return json.loads(ended.stdout)["runs"][0]

    def close(self):
        os.killpg(self.shell.pid, signal.SIGTERM)
        self.shell.wait(timeout=PATIENCE_S)
        self.shell.stdout.close()


@pytest.fixture
def running(tmp_path):
    relay = RunningRelay(tmp_path)
    yield relay
    relay.close()


@pytest.mark.parametrize("which", ["leader", "child", "thread of a child"])
def test_any_process_or_thread_of_a_running_proxy_names_its_group(running, which):
    pid = {"leader": running.shell.pid, "child": running.relay, "thread of a child": max(running.threads())}[which]
    run = running.measure("--pid", pid)
    assert run["proxy"]["process_group"] == running.shell.pid
    assert run["proxy"]["processes"] == 2
    assert "sh" in run["proxy"]["programs"] and "flashrelay" in run["proxy"]["programs"]
    assert run["proxy"]["cores"] == sorted(os.sched_getaffinity(0))
    figures = run["figures"]
    assert figures["cpu_us_per_delivery"] > 0 and figures["rss_mb"] > 8 # the relay's: a shell has less


def test_softirq_time_is_added_to_that_of_a_running_proxy(running):
    if not can_see_softirq():
        pytest.skip("the kernel's threads are not visible here")
    figures = running.measure("--pid", running.relay)["figures"]
    assert figures["cpu_with_softirq_us_per_delivery"] >= figures["cpu_us_per_delivery"]


def can_see_softirq():
    """False where the processes of the kernel are not visible, as in most containers."""
    return any(name_of(pid).startswith("ksoftirqd/") for pid in os.listdir("/proc") if pid.isdigit())


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError: # the process has ended
        return ""


@pytest.mark.parametrize("flags, cores, shared", [
    ((), slice(0, 1), False),
    (("--no-pin",), slice(None), True),
])
def test_softirq_time_is_that_of_the_cores_on_which_the_proxy_may_run(flags, cores, shared):
    own = sorted(os.sched_getaffinity(0))
    if len(own) < 2:
        pytest.skip("needs two cores")
    ended = subprocess.run([BIN / "flashbench", "--proxy", "bare_loop", "--subscribers", "4", "--bytes", "3000", "--interval", "20ms",
                            "--duration", "200ms", "--json", "-", *flags], check=True, timeout=60, capture_output=True)
    run = json.loads(ended.stdout)["runs"][0]
    assert run["proxy"]["cores"] == own[cores]
    assert run["proxy"]["shares_cores"] == shared
    assert (run["figures"]["cpu_with_softirq_us_per_delivery"] is not None) == can_see_softirq()


@pytest.fixture
def running_with_key(tmp_path):
    relay = RunningRelay(tmp_path, "--api-keys", "app:s3cret:4")
    yield relay
    relay.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_running_proxy_is_named_by_a_uri(running_with_key, host):
    running_with_key.target = f"ws://{host}:{running_with_key.port}/ws/s3cret"
    run = running_with_key.measure()
    assert run["counts"]["deliveries"] == 4 * 25
    assert "s3cret" not in json.dumps(run)


def test_of_a_running_proxy_without_pid_only_deliveries_are_known(running):
    run = running.measure()
    assert run["proxy"] == {}
    assert run["counts"]["deliveries"] == 4 * 25
    assert {name for name, value in run["figures"].items() if value is None} >= {
        "cpu_us_per_delivery", "cpu_with_softirq_us_per_delivery", "cpu_ms_per_second", "waited_percent", "switches_per_message"}


def test_cpu_of_threads_and_children_that_ended_is_counted(tmp_path):
    """A proxy whose work is all done by processes that end."""
    script = tmp_path / "proxy.py"
    script.write_text(PROXY.replace("await send(message)", "work(); await send(message)", 1).replace("import asyncio", WORK, 1))
    ended = subprocess.run([BIN / "flashbench", "--proxy", f"working={sys.executable} {script} {{upstream}} {{listen}} nothing",
                            "--subscribers", "1", "--bytes", "3000", "--interval", "200ms", "--warm-up", "100ms", "--duration",
                            "2s", "--json", "-"], check=True, timeout=60, capture_output=True)
    figures = json.loads(ended.stdout)["runs"][0]["figures"]
    assert figures["cpu_us_per_delivery"] > 50_000


@pytest.mark.parametrize("flags, named", [
    (["--proxy", "cat"], "--proxy"),
    (["--proxy", "bare_loop", "--bytes", "many"], "--bytes"),
    (["--preset", "nonsense"], "--preset"),
    ([], "--proxy"),
    (["--connect", "127.0.0.1:1"], "--connect"),
    (["--connect", "127.0.0.1:1", "--builder-listen", "127.0.0.1:2", "--pid", "4194304"], "'4194304'"),
    (["--connect", "127.0.0.1:1", "--builder-listen", "127.0.0.1:2"], "--connect: cannot connect to 127.0.0.1 port 1"),
    (["--connect", "wss://key:s3cret@127.0.0.1:1/s3cret", "--builder-listen", "127.0.0.1:2"], "--connect: wss://"),
    (["--connect", "ws://127.0.0.1:1/ws/s3cret", "--path", "/s3cret", "--builder-listen", "127.0.0.1:2"], "--path"),
    (["--connect", "http://127.0.0.1/s3cret", "--builder-listen", "127.0.0.1:2"], "ws://"),
    (["--connect", "nowhere/s3cret", "--builder-listen", "127.0.0.1:2"], "ws:// URI, or IP:PORT"),
    (["--proxy", "bare_loop", "--path", "s3cret"], "--path"),
    (["--proxy", "bare_loop", "--receivers-softirq", "--no-pin"], "--receivers-softirq"),
    (["--proxy", "bare_loop", "--receivers-softirq", "--proxy-cores", "0", "--own-core", "0"], "--receivers-softirq"),
    (["--connect", "127.0.0.1:1", "--builder-listen", "127.0.0.1:2", "--pid", str(os.getpid())], "setsid"),
])
def test_bad_options_are_named(flags, named):
    ended = subprocess.run([BIN / "flashbench", *flags], capture_output=True, text=True, timeout=20, check=False)
    assert ended.returncode == 2 and named in ended.stderr and ended.stderr.count("\n") == 1
    assert "s3cret" not in ended.stderr


def test_a_proxy_that_does_not_start_is_an_error():
    ended = subprocess.run([BIN / "flashbench", "--proxy", "false {upstream} {listen}"], capture_output=True, text=True, timeout=30,
                           check=False)
    assert ended.returncode == 1 and "ended with status" in ended.stderr

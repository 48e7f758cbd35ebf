"""The relay as a process."""
import os
import re
import resource
import signal
import subprocess

from . import BIN, ENGINE, PATIENCE_S, eventually
from .metrics import scrape
from .network import default_network

_STARTED = re.compile(r"listens on (\S+):(\d+); metrics: (?:(\S+):(\d+)|off);")
_SANITIZER = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error:")

# As small as the tests allow; each log, of JSON and of brotli, must have room for two of the largest messages.
MEMORY = ("--log-memory=16M", "--max-message-bytes=8M")
MEMORY_OF_BOTH = ("--log-memory=32M", "--max-message-bytes=8M")


def environment(**variables):
    """The environment for a program: these variables, and of this process's PATH and the sanitizers' options."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.endswith("SAN_OPTIONS")}
    return {**kept, **variables}


def run(*arguments, cwd=None, **variables):
    """Runs the relay to its end: (status, standard output, standard error)."""
    ended = subprocess.run([BIN / "flashrelay", *map(str, arguments)], env=environment(**variables), cwd=cwd, capture_output=True,
                           text=True, timeout=3 * PATIENCE_S, stdin=subprocess.DEVNULL, check=False)
    return ended.returncode, ended.stdout, ended.stderr


def limit_descriptors(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def command_in_group(group):
    """The beginning of a command that is to run in a control group."""
    return ["sh", "-c", 'echo 0 >"$0" && exec "$@"', group.processes]


class Relay:
    """
    A running relay, in the control group `group`, on the network `network` and started by the command `wrapper`, if these are given. It
    chooses its ports unless a flag names them; its output is kept in `folder`, except standard output if `stdout` takes that.
    """

    def __init__(self, folder, upstreams, *flags, env=None, cwd=None, stdout=None, descriptors=None, memory=None, group=None,
                 wrapper=(), network=None):
        arguments = [f"--upstream-ws={','.join(upstreams)}"] if upstreams else []
        self.network = network or default_network()
        given = " ".join([*map(str, flags), *(name.lower().replace("_", "-") for name in env or {})])
        if "listen-addr" not in given:
            arguments.append(f"--listen-addr={self.network.listen_addr}")
        if "metrics-addr" not in given:
            arguments.append("--metrics-addr=127.0.0.1:0")
        if "memory" not in given and "max-message" not in given:
            arguments += memory if memory is not None else MEMORY_OF_BOTH if "enable-compression" in given else MEMORY
        if "subscriber-max-interval" not in given:
            arguments.append("--subscriber-max-interval-ms=50") # tests about the wait between attempts set it themselves
        if "--engine" not in given and not wrapper:
            arguments += self.network.flags() or ([f"--engine={ENGINE}"] if ENGINE else [])
        self.output, self.errors = folder / "relay.out", folder / "relay.err"
        with self.output.open("wb") as out, self.errors.open("wb") as err:
            self.process = subprocess.Popen([*(command_in_group(group) if group else []), *wrapper, BIN / "flashrelay", *arguments,
                                             *map(str, flags)], stdout=stdout or out, stderr=err, stdin=subprocess.DEVNULL,
                                            env=environment(**(env or {})), cwd=cwd or folder,
                                            preexec_fn=descriptors and (lambda: limit_descriptors(descriptors)))
        self.expected_status, self.was_signalled = 0, False
        self.listen_host, self.port, self.metrics_port = None, None, None

    def wait_started(self):
        def started():
            assert self.process.poll() is None, f"the relay ended with {self.process.returncode}: {self.log()}"
            return _STARTED.search(self.log())

        match = eventually(started, "the relay's line that it listens")
        self.listen_host, self.port = match[1], int(match[2])
        self.metrics_port = int(match[4]) if match[4] else None
        self.network.connect()
        return self

    @property
    def host(self):
        """The address at which subscribers connect."""
        return self.network.host

    def log(self):
        return self.output.read_text(errors="replace") + self.errors.read_text(errors="replace")

    def uri(self, path="/ws"):
        return f"ws://{self.host}:{self.port}{path}"

    def metrics(self):
        return scrape(self.metrics_port)

    def metric(self, name, **labels):
        return self.metrics().value(name, **labels)

    def wait_metric(self, name, expected, **labels):
        eventually(lambda: self.metrics().total(name, **labels) == expected,
                   f"{name} {labels or ''} to become {expected}")

    def wait_subscribers(self, count):
        self.wait_metric("websocket_proxy_active_connections", count)

    def signal(self, number):
        self.was_signalled = True
        self.process.send_signal(number)

    def wait_ended(self):
        return self.process.wait(timeout=3 * PATIENCE_S)

    def end(self):
        """
        Ends the relay with SIGTERM, unless it was sent a signal before. Whatever the test did to it, it must end in time, with the expected
        status and without a report of a sanitizer.
        """
        if self.process.poll() is None and not self.was_signalled:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait_ended()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the relay does not end; its log: {self.log()[-4000:]}") from None
        assert not _SANITIZER.search(self.log()), self.log()[-8000:]
        assert status == self.expected_status, f"status {status}: {self.log()[-4000:]}"

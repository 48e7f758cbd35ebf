import resource
import signal

import pytest

from harness import ENGINE, PATIENCE_S
from harness.builder import Builder
from harness.relay import Relay
from harness.network import enter_namespace, why_no_port
from harness.subscriber import Loop, RawSubscriber, Subscriber


def pytest_collection_modifyitems(items):
    """All tests run on ports of DPDK if they are to run on the engine dpdk. The namespace is entered before the first thread begins."""
    if ENGINE != "dpdk":
        return
    reason = why_no_port()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))
    else:
        enter_namespace()


@pytest.fixture(scope="session", autouse=True)
def descriptors():
    """Raises the limit of file descriptors: tests with many connections need those of both sides."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@pytest.fixture(autouse=True)
def time_limit():
    """Makes a test that hangs fail."""
    def expire(*_):
        raise TimeoutError("the test takes too long")

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(6 * PATIENCE_S)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session")
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def start_builder():
    builders = []

    def start(**options):
        builders.append(Builder(**options))
        return builders[-1]

    yield start
    for builder in builders:
        builder.close()


@pytest.fixture
def builder(start_builder):
    return start_builder()


@pytest.fixture
def start_relay(tmp_path, start_builder): # start_builder is torn down later, so that builders answer the relay's close
    """Starts a relay behind these upstreams (builders or URIs); every relay must shut down in order when the test is over."""
    relays = []

    def start(*upstreams_and_flags, wait=True, **options):
        flags = [item for item in upstreams_and_flags if isinstance(item, str) and item.startswith("-")]
        upstreams = [item if isinstance(item, str) else item.uri for item in upstreams_and_flags if item not in flags]
        folder = tmp_path / f"relay{len(relays)}"
        folder.mkdir()
        relays.append(Relay(folder, upstreams, *flags, **options))
        return relays[-1].wait_started() if wait else relays[-1]

    yield start
    problems = []
    for relay in relays:
        try:
            relay.end()
        except AssertionError as problem:
            problems.append(str(problem))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def subscribe(loop, start_relay): # start_relay is torn down later, so that the relay need not wait for these connections to end
    """Connects a subscriber of the websockets library to a relay."""
    subscribers = []

    def connect(relay, path="/ws", headers=None):
        subscribers.append(Subscriber(loop, relay.uri(path), headers))
        return subscribers[-1]

    yield connect
    for subscriber in subscribers:
        transport = getattr(subscriber.connection, "transport", None)
        if transport:
            loop.loop.call_soon_threadsafe(transport.abort)


@pytest.fixture
def raw(start_relay):
    """Opens raw connections to a relay's port."""
    connections = []

    def connect(relay, host=None, receive_buffer=None, source=None):
        connections.append(RawSubscriber(relay.port, host or relay.host, receive_buffer, source))
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


@pytest.fixture
def relayed(builder, start_relay):
    """A relay with one upstream, connected: (relay, the builder's side of the connection)."""
    def start(*flags, **options):
        relay = start_relay(builder, *flags, **options)
        return relay, builder.accept()

    return start

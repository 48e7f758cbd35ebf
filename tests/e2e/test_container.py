"""A container with little memory: the relay chooses the size of its log accordingly, and is not killed."""
import random

import pytest

from harness import BIN, brotli, eventually
from harness.cgroup import MemoryGroup, NoGroup

MIB = 1 << 20
LOG_BYTES = 32 * MIB
FLASHBLOCK_BYTES = 25_000

pytestmark = pytest.mark.skipif(BIN.name in ("asan", "tsan"), reason="the sanitizers need more memory than such a container has")


@pytest.fixture
def container():
    try:
        group = MemoryGroup(128 * MIB)
    except NoGroup as reason:
        pytest.skip(str(reason))
    yield group
    group.remove()


def flashblock(number):
    """A message that brotli compresses to about half its size."""
    return b'{"index":%d,"filler":"%s"}' % (number, random.Random(number).randbytes(FLASHBLOCK_BYTES // 2).hex().encode())


@pytest.mark.parametrize("flags, largest, decode", [
    ([], 16, bytes), (["--enable-compression"], 8, brotli.decompress),
])
def test_100_subscribers_in_128_mib(container, builder, start_relay, subscribe, raw, flags, largest, decode):
    relay = start_relay(builder, "--per-ip-connection-limit=0", "--message-buffer-size=100000", "--client-send-timeout-ms=0", *flags,
                        memory=(), group=container)
    assert f"log memory 32 MiB, largest message {largest} MiB; memory of the container 128 MiB" in relay.log()
    assert relay.metrics().total("flashrelay_log_capacity_bytes") == LOG_BYTES
    upstream = builder.accept()

    # A subscriber that never reads holds its frames until the log has no room left.
    raw(relay, receive_buffer=4096).upgrade()
    filling = 2 * LOG_BYTES // FLASHBLOCK_BYTES
    for number in range(filling):
        upstream.send_text(flashblock(number))
    eventually(lambda: set(relay.metrics().labelled("flashrelay_log_head").values()) == {filling}, "all to be in the log")
    relay.wait_metric("flashrelay_disconnects_total", 1, cause="log_floor")

    subscribers = [subscribe(relay) for _ in range(100)]
    messages = [flashblock(filling + number) for number in range(50)]
    for message in messages:
        upstream.send_text(message)
    received = [subscriber.receive_all(len(messages)) for subscriber in subscribers]
    assert [decode(each) for each in received[0]] == messages
    assert all(each == received[0] for each in received)
    assert container.kills() == 0
    assert relay.metric("websocket_proxy_active_connections") == 100

"""Polling instead of sleeping: threads of their own, and one for ingest and shard where there is but one core."""
import os

import pytest

CORES = sorted(os.sched_getaffinity(0))


@pytest.mark.parametrize("cores", [CORES[:1], CORES[:2]])
def test_flashblocks_pass_a_polling_relay(builder, start_relay, subscribe, cores):
    relay = start_relay(builder, "--busy-poll", "--shards=1", "--cpu-list=" + ",".join(map(str, cores)))
    upstream = builder.accept()
    subscriber = subscribe(relay)
    messages = [b'{"index":%d}' % number + b" " * 5000 for number in range(20)]
    for each in messages:
        upstream.send_text(each)
    assert subscriber.receive_all(len(messages)) == messages

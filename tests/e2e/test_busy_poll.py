"""Busy polling: ingest and shard have a thread each where there are two cores, and share one where there is only one."""
import os

import pytest

from harness import eventually

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
    polling = ["ingest+shard-0"] if len(cores) == 1 else ["ingest", "shard-0"]
    before = cpu_ticks(relay)
    eventually(lambda: all(cpu_ticks(relay)[name] >= before[name] + 20 for name in polling), "200 ms of CPU with nothing to do")


def cpu_ticks(relay):
    """The CPU time that each of the relay's threads has used, in ticks, by the thread's name."""
    ticks = {}
    for thread in os.listdir(f"/proc/{relay.process.pid}/task"):
        with open(f"/proc/{relay.process.pid}/task/{thread}/stat", encoding="utf-8") as file:
            name, fields = file.read().split("(", 1)[1].rsplit(")", 1)
        ticks[name] = int(fields.split()[11]) + int(fields.split()[12])
    return ticks

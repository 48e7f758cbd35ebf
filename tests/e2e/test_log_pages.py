"""The start says on which pages the log lies."""
import re
from pathlib import Path

import pytest


def test_the_start_says_on_which_pages_the_log_lies_and_warns_of_none(builder, start_relay):
    relay = start_relay(builder)
    assert re.search(r"INFO start: .*; log memory: 16 MiB on (huge|transparent huge|plain) pages; engine ", relay.log())
    assert "WARN start" not in relay.log()


def test_the_start_names_the_pages_of_each_channel_if_they_differ(builder, start_relay):
    pool = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
    try:
        before = pool.read_text()
        pool.write_text("8") # 16 MiB
    except OSError as error:
        pytest.skip(f"the pool of huge pages cannot be changed here: {error}")
    try:
        relay = start_relay(builder, "--enable-compression", "--log-memory=32M", "--max-message-bytes=8M")
        pages = re.search(r"log memory: 32 MiB on (.*), half of it for brotli", relay.log())[1]
        if pages in ("transparent huge pages", "plain pages"):
            pytest.skip("the pool of huge pages cannot grow here, or others use its pages")
        assert re.fullmatch(r"huge pages \(json\) and (transparent huge|plain) pages \(brotli\)", pages)
    finally:
        pool.write_text(before)

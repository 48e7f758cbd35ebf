"""WebSocket with subscribers: pings, closes, and frames that break the protocol."""
import os

import pytest

from harness import eventually
from harness.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, apply_mask, decode_close, encode_close, encode_frame

MASK = b"\x01\x02\x03\x04"


def masked(opcode, payload=b"", **options):
    return encode_frame(opcode, payload, mask=MASK, **options)


@pytest.fixture
def relay(builder, start_relay):
    return start_relay(builder)


def causes(relay):
    samples = relay.metrics().labelled("flashrelay_disconnects_total")
    return {dict(labels)["cause"]: value for labels, value in samples.items() if value}


@pytest.mark.parametrize("payload", [b"", b"x", os.urandom(16), b"y" * 125])
def test_pings_are_answered_with_their_payload(raw, relay, payload):
    subscriber = raw(relay).upgrade()
    subscriber.send_frame(PING, payload)
    assert subscriber.receive_frame() == (PONG, payload, True, 0, False)


def test_pings_byte_by_byte(raw, relay):
    subscriber = raw(relay).upgrade()
    for byte in encode_frame(PING, b"slowly", mask=b"\xde\xad\xbe\xef"):
        subscriber.send(bytes([byte]))
    assert subscriber.receive_frame().payload == b"slowly"


def test_many_pings_at_once(raw, relay):
    subscriber = raw(relay).upgrade()
    for number in range(200):
        subscriber.send_frame(PING, b"%d" % number)
        if number % 20 == 19: # only the newest has to be answered (RFC 6455, 5.5.3)
            while subscriber.receive_frame().payload != b"%d" % number:
                pass


def test_the_library_s_pings(subscribe, relay):
    subscriber = subscribe(relay)
    for payload in (b"a", b"b", b"c" * 125):
        subscriber.ping(payload)


def test_pongs_nobody_asked_for_are_taken(raw, relay):
    subscriber = raw(relay).upgrade()
    subscriber.send_frame(PONG, b"heartbeat")
    subscriber.send_frame(PING, b"still there")
    assert subscriber.receive_frame().payload == b"still there"


@pytest.mark.parametrize("code, reason", [(1000, ""), (1000, "done"), (1001, "leaving"), (3000, ""), (4999, "é")])
def test_closes_are_answered_with_their_code(raw, relay, code, reason):
    subscriber = raw(relay).upgrade()
    subscriber.send_close(code, reason)
    frame = subscriber.receive_frame()
    assert (frame.opcode, decode_close(frame.payload)[0]) == (CLOSE, code)
    assert subscriber.receive_end() is False
    relay.wait_subscribers(0)
    assert causes(relay) == {"peer_closed": 1}


def test_a_close_without_a_code_is_answered_without_one(raw, relay):
    subscriber = raw(relay).upgrade()
    subscriber.send_close()
    assert subscriber.receive_frame().payload == b""
    assert subscriber.receive_end() is False


def test_the_library_s_close(subscribe, relay):
    subscriber = subscribe(relay)
    subscriber.close(1000, "bye")
    assert subscriber.receive_close()[0] == 1000


@pytest.mark.parametrize("frames, code", [
    (encode_frame(TEXT, b"not masked"), 1002),
    (masked(TEXT, b"x", rsv=4), 1002),
    (masked(TEXT, b"x", rsv=1), 1002),
    (masked(3, b"x"), 1002),
    (masked(11), 1002),
    (masked(CONTINUATION, b"x"), 1002),
    (masked(TEXT, b"x", fin=False) + masked(BINARY, b"y"), 1002),
    (masked(PING, b"x", fin=False), 1002),
    (masked(PING, b"x" * 126), 1002),
    (masked(TEXT, b"x", form=16), 1002),
    (masked(TEXT, b"x" * 200, form=64), 1002),
    (masked(BINARY, b"", length=1 << 63), 1002),
    (masked(CLOSE, b"\x03"), 1002),
    (masked(CLOSE, encode_close(1005)), 1002),
    (masked(CLOSE, encode_close(1006)), 1002),
    (masked(CLOSE, encode_close(999)), 1002),
    (masked(CLOSE, b"\x03\xe8\xff"), 1007),
    (masked(TEXT, b"\xff"), 1007),
    (masked(TEXT, b"\xed\xa0\x80"), 1007),
    (masked(TEXT, b"\xe2", fin=False) + masked(CONTINUATION, b"x"), 1007),
    (masked(BINARY, b"", length=65537), 1009),
    (masked(BINARY, b"x" * 65536, fin=False) + masked(CONTINUATION, b"x"), 1009),
])
def test_what_breaks_the_protocol(raw, relay, frames, code):
    subscriber = raw(relay).upgrade()
    subscriber.send(frames)
    frame = subscriber.receive_frame()
    assert frame.opcode == CLOSE
    assert decode_close(frame.payload)[0] == code
    subscriber.receive_end()
    relay.wait_subscribers(0)
    assert causes(relay) == {"protocol_error": 1}


def test_text_that_cannot_become_utf8_is_refused_before_it_ends(raw, relay):
    subscriber = raw(relay).upgrade()
    subscriber.send(masked(TEXT, b"", length=100)[:6] + apply_mask(b"\xff", MASK))
    assert decode_close(subscriber.receive_frame().payload)[0] == 1007


def test_what_subscribers_say_is_read_and_dropped(relayed, raw):
    relay, upstream = relayed()
    speaker, listener = raw(relay).upgrade(), raw(relay).upgrade()
    speaker.send_frame(TEXT, "hello")
    speaker.send_frame(BINARY, os.urandom(65536))
    speaker.send_frame(TEXT, "he", fin=False)
    speaker.send_frame(PING, b"in between")
    speaker.send_frame(CONTINUATION, "llo")
    assert speaker.receive_frame().payload == b"in between"
    upstream.send_text(b"{}")
    assert speaker.receive_frame().payload == listener.receive_frame().payload == b"{}"


def test_a_subscriber_that_only_listens_after_its_fin_is_disconnected(raw, relay):
    subscriber = raw(relay).upgrade()
    subscriber.end_writes()
    subscriber.receive_end()
    relay.wait_subscribers(0)
    assert causes(relay) == {"peer_vanished": 1}


def test_a_reset_is_counted(raw, relay):
    raw(relay).upgrade().reset()
    relay.wait_subscribers(0)
    eventually(lambda: causes(relay) == {"peer_vanished": 1}, "the reset to be counted")


# --- pings to subscribers ---

def test_subscribers_are_not_pinged_by_default(relayed, raw):
    relay, upstream = relayed("--client-ping-interval-ms=10", "--client-pong-timeout-ms=50", "--subscriber-ping-interval-ms=100")
    subscriber = raw(relay).upgrade()
    sent = relay.metrics().total("websocket_proxy_ping_sent")
    eventually(lambda: relay.metrics().total("websocket_proxy_ping_sent") >= sent + 3, "200 ms of pings upstream")
    upstream.send_text(b"{}")
    assert subscriber.receive_frame().opcode == BINARY


def test_a_subscriber_that_answers_pings_stays(builder, start_relay, raw):
    relay = start_relay(builder, "--client-ping-enabled", "--client-ping-interval-ms=50", "--client-pong-timeout-ms=3000")
    subscriber = raw(relay).upgrade()
    for _ in range(70): # longer than the time-out
        frame = subscriber.receive_frame()
        assert frame.opcode == PING
        subscriber.send_frame(PONG, frame.payload)
    relay.wait_subscribers(1)


def test_a_subscriber_that_answers_no_ping_is_cut_off(builder, start_relay, raw):
    relay = start_relay(builder, "--client-ping-enabled", "--client-ping-interval-ms=50", "--client-pong-timeout-ms=400")
    subscriber = raw(relay).upgrade()
    frames = []
    while not frames or frames[-1].opcode != CLOSE:
        frames.append(subscriber.receive_frame())
        subscriber.send_frame(TEXT, "data is no sign of life")
    assert {frame.opcode for frame in frames[:-1]} == {PING}
    relay.wait_metric("websocket_proxy_client_pong_disconnects", 1)
    relay.wait_subscribers(0)
    assert causes(relay) == {"pong_timeout": 1}


def test_the_library_answers_pings_by_itself(relayed, subscribe):
    relay, upstream = relayed("--client-ping-enabled", "--client-ping-interval-ms=50", "--client-pong-timeout-ms=3000")
    subscriber = subscribe(relay)
    eventually(lambda: relay.metrics().total("flashrelay_client_pings_total") >= 70, "pings for longer than the time-out")
    upstream.send_text(b"{}")
    assert subscriber.receive() == b"{}"

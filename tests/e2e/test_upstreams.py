"""Upstreams: connecting and reconnecting, pings both ways, what builders may send, TLS, credentials, and several upstreams at once."""
import socket
import ssl
import subprocess

import pytest

from harness import brotli, eventually
from harness.builder import tls_context
from harness.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, encode_frame


def message(number):
    return b'{"payload_id":"0x1","index":%d}' % number


# --- the request ---

def test_the_request(start_builder, start_relay):
    builder = start_builder(path="/path/a%20b?token=abc&x")
    start_relay(builder)
    request = builder.accept_request()
    assert (request.method, request.target, request.version) == ("GET", "/path/a%20b?token=abc&x", "HTTP/1.1")
    assert request.headers["host"] == f"127.0.0.1:{builder.port}"
    assert request.headers["upgrade"].lower() == "websocket"
    assert request.headers["connection"].lower() == "upgrade"
    assert request.headers["sec-websocket-version"] == "13"
    assert "authorization" not in request.headers and "sec-websocket-extensions" not in request.headers


def test_every_request_has_a_key_of_its_own(builder, start_relay):
    start_relay(builder)
    keys = set()
    for _ in range(3):
        request = builder.accept_request()
        keys.add(request.headers["sec-websocket-key"])
        request.refuse()
    assert len(keys) == 3


def test_credentials_are_sent_and_never_shown(builder, start_relay):
    uri = f"ws://us%20er:p%40ss-word@127.0.0.1:{builder.port}/path?token=t0ken"
    relay = start_relay(uri, "--log-level=trace")
    request = builder.accept_request()
    assert request.headers["authorization"] == "Basic dXMgZXI6cEBzcy13b3Jk"
    assert request.target == "/path?token=t0ken"
    request.refuse("401 Unauthorized")
    upstream = builder.accept()
    upstream.send(b"garbage that ends the connection")
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    shown = relay.metrics().text
    relay.end()
    shown += relay.log()
    for secret in ("us%20er", "us er", "p%40ss", "p@ss", "t0ken", "dXMgZXI6cEBzcy13b3Jk"):
        assert secret not in shown
    assert f"127.0.0.1:{builder.port}" in shown


def test_the_key_of_a_chained_relay_is_never_shown(builder, start_relay):
    relay = start_relay(f"ws://127.0.0.1:{builder.port}/ws/s3cret", "--log-level=trace")
    assert builder.accept().target == "/ws/s3cret"
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    shown = relay.metrics().text
    relay.end()
    assert "s3cret" not in shown + relay.log()


# --- connecting ---

def test_ipv6(start_builder, start_relay, subscribe):
    builder = start_builder(host="::1")
    relay = start_relay(builder)
    upstream = builder.accept()
    assert upstream.headers["host"] == f"[::1]:{builder.port}"
    subscriber = subscribe(relay)
    upstream.send_text(message(1))
    assert subscriber.receive() == message(1)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_every_address_of_a_name_is_tried(start_builder, start_relay, host):
    families = {info[0] for info in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    if (socket.AF_INET6 if ":" in host else socket.AF_INET) not in families:
        pytest.skip(f"localhost is not {host} here")
    builder = start_builder(host=host)
    start_relay(f"ws://localhost:{builder.port}/")
    assert builder.accept().headers["host"] == f"localhost:{builder.port}"


def test_a_name_that_does_not_exist(start_relay):
    relay = start_relay("ws://does-not-exist.invalid/")
    eventually(lambda: relay.metrics().total("websocket_proxy_upstream_connection_failures") >= 2, "two attempts")
    assert "does-not-exist.invalid" in relay.log()


def test_a_failed_attempt_is_an_error_too(builder, start_relay):
    relay = start_relay(builder, "--subscriber-max-interval-ms=10")
    for _ in range(3):
        builder.accept_request().refuse()
    upstream = builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    upstream.reset()
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connection_successes", 2)
    metrics = relay.metrics()
    assert metrics.total("websocket_proxy_upstream_connection_failures") == 3
    assert metrics.total("websocket_proxy_upstream_errors") == 4


def test_a_builder_that_comes_later(start_builder, start_relay, subscribe):
    builder = start_builder()
    port = builder.port
    builder.stop()
    relay = start_relay(f"ws://127.0.0.1:{port}/")
    eventually(lambda: relay.metrics().total("websocket_proxy_upstream_connection_failures") >= 1, "a failure")
    upstream = start_builder(port=port).accept()
    subscriber = subscribe(relay)
    upstream.send_text(message(1))
    assert subscriber.receive() == message(1)


@pytest.mark.parametrize("end", ["close", "reset", "end_writes", "going away", "no status", "garbage"])
def test_it_comes_back_however_the_builder_ends(builder, start_relay, subscribe, end):
    relay = start_relay(builder, "--subscriber-max-interval-ms=20000")
    upstream = builder.accept()
    subscriber = subscribe(relay)
    upstream.send_text(message(1))
    assert subscriber.receive() == message(1)
    if end == "going away":
        upstream.send_close(1001, "bye")
        assert upstream.receive_close()[0] == 1001
    elif end == "no status":
        upstream.send_close()
        assert upstream.receive_close()[0] == 1005
    elif end == "garbage":
        upstream.send(b"\xff\xff\xff\xff")
        assert upstream.receive_close()[0] == 1002
    else:
        getattr(upstream, end)()
    builder.accept().send_text(message(2))
    assert subscriber.receive() == message(2)
    metrics = relay.metrics()
    assert metrics.total("websocket_proxy_upstream_connection_attempts") == 2
    assert metrics.total("websocket_proxy_upstream_connection_successes") == 2
    assert metrics.total("websocket_proxy_upstream_errors") == 1


def test_the_wait_between_attempts_is_bounded(builder, start_relay):
    relay = start_relay(builder, "--subscriber-max-interval-ms=10")
    for _ in range(20): # with the default maximum the waits would take minutes
        builder.accept_request().refuse()
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)


@pytest.mark.parametrize("headers", [
    {"Sec_WebSocket_Accept": "AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"Sec_WebSocket_Accept": None},
    {"Upgrade": None},
    {"Connection": "close"},
    {"Sec_WebSocket_Extensions": "permessage-deflate"},
    {"Sec_WebSocket_Protocol": "mqtt"},
])
def test_answers_that_are_no_upgrade(builder, start_relay, headers):
    relay = start_relay(builder)
    builder.accept_request().accept(**headers).wait_end()
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    relay.wait_metric("websocket_proxy_upstream_connection_failures", 1)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 302 Found\r\nLocation: ws://h/\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0", b"",
                                    b"HTTP/1.1 101 Switching Protocols\r\nA: " + b"x" * 9000])
def test_answers_that_are_something_else(builder, start_relay, answer):
    relay = start_relay(builder)
    request = builder.accept_request()
    request.send(answer)
    request.end_writes()
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connection_failures", 1)


def test_an_answer_byte_by_byte_with_a_message_behind(builder, start_relay, subscribe):
    relay = start_relay(builder)
    request = builder.accept_request()
    sent = []
    request.send, send = sent.append, request.send
    request.accept()
    subscriber = subscribe(relay)
    for byte in b"".join(sent):
        send(bytes([byte]))
    send(encode_frame(TEXT, message(1)))
    assert subscriber.receive() == message(1)


def test_a_message_in_the_packet_of_the_answer(builder, start_relay, subscribe):
    relay = start_relay(builder)
    request = builder.accept_request()
    sent = []
    request.send, send = sent.append, request.send
    request.accept()
    subscriber = subscribe(relay)
    send(b"".join(sent) + encode_frame(TEXT, message(1)) + encode_frame(TEXT, message(2)))
    assert subscriber.receive_all(2) == [message(1), message(2)]


def test_interim_answers(builder, start_relay):
    relay = start_relay(builder)
    request = builder.accept_request()
    request.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    request.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)


# --- pings ---

def test_pings_are_answered_with_their_payload(relayed):
    _, upstream = relayed()
    for payload in (b"", b"0123456789abcdef", b"\xff" * 125):
        upstream.send_frame(PING, payload)
        while upstream.next(PONG).payload != payload:
            pass


def test_pings_within_a_message_are_answered_at_once(relayed, subscribe):
    relay, upstream = relayed()
    subscriber = subscribe(relay)
    upstream.send_frame(TEXT, b'{"a"', fin=False)
    upstream.send_frame(PING, b"now")
    assert upstream.next(PONG).payload == b"now"
    upstream.send_frame(CONTINUATION, b":1}")
    assert subscriber.receive() == b'{"a":1}'


def test_it_pings_at_once_and_goes_on(builder, start_relay):
    relay = start_relay(builder, "--subscriber-ping-interval-ms=50")
    upstream = builder.accept()
    for _ in range(5):
        upstream.next(PING)
    assert relay.metrics().total("websocket_proxy_ping_attempts") >= 5


def test_an_upstream_that_answers_no_ping_is_dropped(builder, start_relay):
    relay = start_relay(builder, "--subscriber-ping-interval-ms=100", "--subscriber-pong-timeout-ms=1000")
    request = builder.accept_request()
    request.answers_pings = False
    request.accept().wait_end() # after the 5 s that the first pong may take
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    assert relay.metrics().total("websocket_proxy_upstream_errors") >= 1
    assert relay.metrics().total("websocket_proxy_ping_failures") >= 1


def test_data_is_no_sign_of_life(builder, start_relay):
    start_relay(builder, "--subscriber-ping-interval-ms=100", "--subscriber-pong-timeout-ms=300")
    upstream = builder.accept()
    upstream.next(PING)
    upstream.answers_pings = False
    while upstream.frames.empty() or not isinstance(upstream.frames.queue[-1], Exception):
        try:
            upstream.send_text(message(1))
        except OSError:
            break
    builder.accept()


# --- what builders send ---

@pytest.mark.parametrize("frames, code", [
    (encode_frame(TEXT, b"\xff"), 1007),
    (encode_frame(TEXT, b"\xe2", fin=False) + encode_frame(CONTINUATION, b"a"), 1007),
    (encode_frame(TEXT, b"\xe2"), 1007),
    (encode_frame(BINARY, b"a", mask=b"abcd"), 1002),
    (encode_frame(BINARY, b"a", rsv=4), 1002),
    (encode_frame(3, b"a"), 1002),
    (encode_frame(CONTINUATION, b"a"), 1002),
    (encode_frame(TEXT, b"a", fin=False) + encode_frame(TEXT, b"b"), 1002),
    (encode_frame(PING, b"", fin=False), 1002),
    (encode_frame(PING, b"x" * 126), 1002),
    (encode_frame(BINARY, b"a", form=16), 1002),
    (encode_frame(BINARY, b"a" * 200, form=64), 1002),
    (encode_frame(BINARY, b"", length=1 << 63), 1002),
    (encode_frame(CLOSE, b"\x03"), 1002),
    (encode_frame(CLOSE, b"\x03\xed"), 1002),
    (encode_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    (encode_frame(BINARY, b"", length=8 << 20 | 1), 1009),
    (encode_frame(BINARY, b"", length=(1 << 63) - 1), 1009),
])
def test_what_breaks_the_protocol_is_told_and_left(builder, start_relay, subscribe, frames, code):
    relay = start_relay(builder)
    upstream = builder.accept()
    subscriber = subscribe(relay)
    upstream.send(frames)
    assert upstream.receive_close()[0] == code
    upstream.wait_end()
    builder.accept().send_text(message(1))
    assert subscriber.receive() == message(1)


def test_fragments_add_up_to_too_much(builder, start_relay):
    relay = start_relay(builder, "--max-message-bytes=64K")
    upstream = builder.accept()
    upstream.send_frame(BINARY, b"{" * 60_000, fin=False)
    upstream.send_frame(CONTINUATION, b"x" * 6_000)
    assert upstream.receive_close()[0] == 1009
    builder.accept()
    assert relay.metrics().total("flashrelay_upstream_oversized_messages_total") == 1


def test_a_message_of_just_the_limit(builder, start_relay, subscribe):
    relay = start_relay(builder, "--max-message-bytes=64K")
    upstream = builder.accept()
    subscriber = subscribe(relay)
    upstream.send_binary(b"{" * 65536)
    assert subscriber.receive() == b"{" * 65536


def test_a_builder_that_closes_is_answered_with_its_code(builder, start_relay):
    start_relay(builder)
    for code in (1000, 1009, 1012, 4321):
        upstream = builder.accept()
        upstream.send_close(code, "for a reason")
        assert upstream.receive_close()[0] == code
        upstream.wait_end()


# --- several upstreams ---

@pytest.fixture
def pair(start_builder, start_relay):
    first, second = start_builder(path="/first"), start_builder(path="/second")
    relay = start_relay(first, second)
    return relay, first.accept(), second.accept()


def test_what_several_carry_is_passed_on_once(pair, subscribe):
    relay, first, second = pair
    subscriber = subscribe(relay)
    for number in range(20):
        leader, follower = (first, second) if number % 2 else (second, first)
        leader.send_text(message(number))
        assert subscriber.receive() == message(number)
        follower.send_text(message(number))
    first.send_text(b'{"end":1}')
    assert subscriber.receive() == b'{"end":1}'
    eventually(lambda: relay.metrics().total("flashrelay_upstream_duplicate_messages_total") == 20, "the copies to be counted")
    assert sorted(relay.metrics().labelled("flashrelay_upstream_duplicate_messages_total").values()) == [10, 10]


def test_text_and_binary_are_copies_of_each_other(pair, subscribe):
    relay, first, second = pair
    subscriber = subscribe(relay)
    first.send_text(message(1))
    assert subscriber.receive() == message(1)
    second.send_binary(message(1))
    second.send_text(message(2))
    assert subscriber.receive() == message(2)


def test_brotli_is_a_copy_of_its_json(pair, subscribe):
    relay, first, second = pair
    subscriber = subscribe(relay)
    first.send_binary(brotli.compress(message(1)))
    assert subscriber.receive() == message(1)
    second.send_text(message(1))
    second.send_binary(brotli.compress(message(2), quality=9))
    assert subscriber.receive() == message(2)
    first.send_binary(brotli.compress(message(2)))
    first.send_text(message(3))
    assert subscriber.receive() == message(3)


def test_what_one_of_several_repeats_is_passed_on(pair, subscribe):
    relay, first, second = pair
    subscriber = subscribe(relay)
    for _ in range(3):
        first.send_text(message(1))
    assert subscriber.receive_all(3) == [message(1)] * 3
    second.send_text(message(1))
    second.send_text(message(2))
    assert subscriber.receive() == message(2)


def test_one_of_several_is_enough(pair, subscribe):
    relay, first, second = pair
    subscriber = subscribe(relay)
    first.reset()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    second.send_text(message(1))
    assert subscriber.receive() == message(1)


def test_messages_are_counted_by_upstream(pair, subscribe):
    relay, first, second = pair
    subscriber = subscribe(relay)
    first.send_text(message(1))
    first.send_text(message(2))
    second.send_text(message(3))
    subscriber.receive_all(3)
    counts = {dict(labels)["upstream"]: value for labels, value in relay.metrics().labelled("websocket_proxy_upstream_messages").items()}
    assert {uri.rsplit("/", 1)[1]: count for uri, count in counts.items()} == {"first": 2, "second": 1}


# --- TLS ---

@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A private certificate authority; issue(name, subject alternative names) makes a server's context."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "2", "-subj", "/CN=Test Authority")

    def issue(name, alternative_names):
        extensions = folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative_names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key", "-out",
                f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out",
                f"{name}.pem", "-extfile", extensions)
        return tls_context(folder / f"{name}.pem", folder / f"{name}.key")

    issue.ca_file = folder / "ca.pem"
    return issue


def test_tls(start_builder, start_relay, subscribe, authority):
    context = authority("localhost", "DNS:localhost")
    names = []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    builder = start_builder(tls=context)
    relay = start_relay(f"wss://localhost:{builder.port}/x", f"--upstream-ca={authority.ca_file}")
    upstream = builder.accept()
    assert upstream.target == "/x" and names == ["localhost"]
    subscriber = subscribe(relay)
    messages = [b"{" + b"x" * length for length in (10, 16_384, 100_000, 3_000_000)]
    for each in messages:
        upstream.send_text(each)
    assert subscriber.receive_all(len(messages)) == messages
    upstream.send_frame(PING, b"over TLS")
    while upstream.next(PONG).payload != b"over TLS":
        pass


def test_tls_to_an_address(start_builder, start_relay, authority):
    builder = start_builder(tls=authority("address", "IP:127.0.0.1"))
    relay = start_relay(builder, f"--upstream-ca={authority.ca_file}")
    builder.accept()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)


def expect_distrust(builder, relay):
    with pytest.raises((ssl.SSLError, OSError)):
        builder.accept_request()
    eventually(lambda: relay.metrics().total("websocket_proxy_upstream_connection_failures") >= 1, "a failure")
    assert relay.metrics().total("websocket_proxy_upstream_connection_successes") == 0
    eventually(lambda: "certificate" in relay.log(), "a word about the certificate")


def test_tls_of_an_unknown_authority(start_builder, start_relay, authority):
    builder = start_builder(tls=authority("localhost", "DNS:localhost"))
    expect_distrust(builder, start_relay(f"wss://localhost:{builder.port}/"))


def test_tls_of_another_name(start_builder, start_relay, authority):
    builder = start_builder(tls=authority("elsewhere", "DNS:elsewhere.example"))
    expect_distrust(builder, start_relay(f"wss://localhost:{builder.port}/", f"--upstream-ca={authority.ca_file}"))


def test_plain_text_where_tls_is_expected(builder, start_relay):
    relay = start_relay(f"wss://127.0.0.1:{builder.port}/")
    sock = builder.accept_socket()
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    eventually(lambda: relay.metrics().total("websocket_proxy_upstream_connection_failures") >= 1, "a failure")
    sock.close()


def test_an_authority_that_is_no_file(start_relay):
    relay = start_relay("wss://localhost:1/", "--upstream-ca=/does/not/exist", wait=False)
    relay.expected_status = 1
    assert relay.wait_ended() == 1
    assert "/does/not/exist" in relay.log() or "upstream-ca" in relay.log()

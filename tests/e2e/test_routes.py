"""Every answer of the subscribers' port, and the order in which a request is checked."""
import json
import time

import pytest

from harness.wire import BINARY, PING, PONG, encode_frame

KEYS = "--api-keys=shop:s3cret:5"


@pytest.fixture
def relay(builder, start_relay):
    return start_relay(builder)


@pytest.fixture
def keyed(builder, start_relay):
    return start_relay(builder, KEYS)


def check_refusal(connection, answer, status):
    """Asserts that a refusal has a JSON body with a message and its length, and that the connection ends."""
    assert answer.status == status, answer
    assert json.loads(answer.body)["message"]
    assert answer.headers["connection"].lower() == "close"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert connection.receive_end() is False
    assert connection.buffer == b""


def refuse(raw, relay, status, path="/ws", **options):
    connection = raw(relay)
    answer = connection.request(path, **options)
    check_refusal(connection, answer, status)
    return answer


def refuse_bytes(raw, relay, status, data):
    connection = raw(relay)
    connection.send(data)
    check_refusal(connection, connection.receive_answer(), status)


def test_health(raw, relay):
    answer = raw(relay).request("/healthz", without=("Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"))
    assert answer.status == 200
    assert isinstance(json.loads(answer.body), dict)


def test_health_of_head_has_no_body(raw, relay):
    connection = raw(relay)
    answer = connection.request("/healthz", method="HEAD")
    assert answer.status == 200
    assert int(answer.headers["content-length"]) > 0
    connection.receive_end()
    assert connection.buffer == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_health_takes_get_and_head_only(raw, relay, method):
    assert refuse(raw, relay, 405, "/healthz", method=method).headers["allow"].replace(" ", "") == "GET,HEAD"


def test_health_in_http_1_0(raw, relay):
    connection = raw(relay)
    connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert connection.receive_answer().status == 200


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/key", "/wsx", "/WS", "//ws", "/ws/key/filter", "/health", "/healthz/", "/metrics",
                                  "/ws%2f", "/%77s"])
def test_unknown_paths(raw, relay, path):
    refuse(raw, relay, 404, path)


def test_the_upgrade(raw, relay):
    raw(relay).upgrade()


@pytest.mark.parametrize("path", ["/ws?", "/ws?x=1&y", "http://elsewhere/ws", "http://elsewhere/ws?x"])
def test_the_query_and_the_authority_do_not_matter(raw, relay, path):
    raw(relay).upgrade(path)


def test_header_names_and_tokens_in_any_case(raw, relay):
    raw(relay).upgrade(Connection="keep-alive, upgrade", Upgrade="WebSocket")


@pytest.mark.parametrize("key", ["", "short", "sixteen bytes of text, and no base64!", "k" * 7000])
def test_any_key_is_hashed(raw, relay, key):
    subscriber = raw(relay)
    subscriber.key = key
    subscriber.upgrade()


@pytest.mark.parametrize("status, options", [
    (405, {"method": "POST"}),
    (405, {"method": "HEAD", "Content_Length": "0"}),
    (400, {"without": ("Connection",)}),
    (400, {"Connection": "close"}),
    (400, {"without": ("Upgrade",)}),
    (400, {"Upgrade": "h2c"}),
    (400, {"version": "HTTP/1.0"}),
    (426, {"without": ("Sec-WebSocket-Version",)}),
    (426, {"Sec_WebSocket_Version": "8"}),
    (400, {"without": ("Sec-WebSocket-Key",)}),
    (400, {"without": ("Host",)}),
    (400, {"Content_Length": "5"}),
    (400, {"Transfer_Encoding": "chunked"}),
])
def test_what_is_no_upgrade(raw, relay, status, options):
    if options.get("method") == "HEAD":
        assert raw(relay).request("/ws", **options).status == status
    else:
        refuse(raw, relay, status, **options)


def test_426_names_the_version(raw, relay):
    assert refuse(raw, relay, 426, Sec_WebSocket_Version="12").headers["sec-websocket-version"] == "13"


def test_405_names_the_method(raw, relay):
    assert refuse(raw, relay, 405, method="POST").headers["allow"] == "GET"


def test_the_order_of_checks(raw, keyed):
    everything_wrong = {"method": "POST", "without": ("Connection", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key")}
    refuse(raw, keyed, 404, "/nothing", **everything_wrong)
    refuse(raw, keyed, 405, "/ws/wrong", **everything_wrong)
    everything_wrong["method"] = "GET"
    assert b"onnection" in refuse(raw, keyed, 400, "/ws/wrong", **everything_wrong).body
    assert b"pgrade" in refuse(raw, keyed, 400, "/ws/wrong", without=("Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key")).body
    refuse(raw, keyed, 426, "/ws/wrong", without=("Sec-WebSocket-Version", "Sec-WebSocket-Key"))
    assert b"ec-WebSocket-Key" in refuse(raw, keyed, 400, "/ws/wrong", without=("Sec-WebSocket-Key",)).body
    assert json.loads(refuse(raw, keyed, 401, "/ws/wrong").body) == {"message": "Invalid API key"}


@pytest.mark.parametrize("data", [
    b"GET /ws HTTP/1.1\nHost: h\n\n",
    b"GET /ws HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: h\r\nA: \0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
    b"GET  /ws HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET /ws HTTP/2.0\r\nHost: h\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
])
def test_malformed_requests(raw, relay, data):
    refuse_bytes(raw, relay, 400, data)


def test_headers_that_are_too_large(raw, relay):
    refuse(raw, relay, 431, Padding="x" * 8192)
    refuse_bytes(raw, relay, 431, b"GET /" + b"x" * 8192)
    refuse_bytes(raw, relay, 431, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 65)


def test_headers_of_just_the_limit(raw, relay):
    connection = raw(relay)
    padding = 8192 - len(connection.request_text(Padding=""))
    connection.upgrade(Padding="x" * padding)
    refuse(raw, relay, 431, Padding="x" * (padding + 1))


def test_half_a_handshake_times_out(raw, relay):
    silent, half, slow = raw(relay), raw(relay), raw(relay)
    half.send(b"GET /ws HTTP/1.1\r\nHost:")
    for byte in b"GET /ws HTTP/1.1\r\nHo":
        slow.send(bytes([byte]))
        time.sleep(0.1)
    for connection in (silent, half, slow):
        check_refusal(connection, connection.receive_answer(), 408)
    raw(relay).upgrade()


def test_a_handshake_byte_by_byte(raw, relay):
    connection = raw(relay)
    for byte in connection.request_text():
        connection.send(bytes([byte]))
    assert connection.receive_answer().status == 101


def test_frames_may_follow_the_request_at_once(raw, relay):
    connection = raw(relay)
    connection.send(connection.request_text() + encode_frame(PING, b"early", mask=b"abcd"))
    assert connection.receive_answer().status == 101
    frame = connection.receive_frame()
    assert (frame.opcode, frame.payload) == (PONG, b"early")


def test_a_request_in_two_pieces_with_a_frame_behind(raw, relay):
    connection = raw(relay)
    text = connection.request_text() + encode_frame(PING, b"early", mask=b"abcd")
    connection.send(text[:40])
    time.sleep(0.05)
    connection.send(text[40:])
    assert connection.receive_answer().status == 101
    assert connection.receive_frame().payload == b"early"


def test_filters_are_not_served_yet(raw, keyed):
    assert b"ilter" in refuse(raw, keyed, 501, "/ws/s3cret/filter?addresses=0x1&match=any").body


def test_paths_with_keys(raw, keyed):
    for path in ("/ws", "/ws/", "/ws/s3cret/", "/ws/s3cret/other", "/ws/s3cret/filter/", "/ws//filter"):
        refuse(raw, keyed, 404, path)
    raw(keyed).upgrade("/ws/s3cret")
    raw(keyed).upgrade("/ws/s3cret?x=1")


def test_a_browser_may_ask_for_extensions_and_gets_none(raw, relay):
    answer = raw(relay).request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits", Origin="https://example.org")
    assert answer.status == 101
    assert "sec-websocket-extensions" not in answer.headers


def test_refusals_are_counted(raw, relay):
    before = relay.metrics()
    refuse(raw, relay, 404, "/nothing")
    refuse(raw, relay, 400, without=("Upgrade",))
    after = relay.metrics()
    assert after.total("websocket_proxy_new_connections") == before.total("websocket_proxy_new_connections")
    assert after.total("websocket_proxy_active_connections") == 0


def test_a_refused_one_and_a_subscriber_side_by_side(builder, raw, relay):
    connection = builder.accept()
    subscriber = raw(relay).upgrade()
    refuse(raw, relay, 404, "/nothing")
    connection.send_text(b'{"a":1}')
    frame = subscriber.receive_frame()
    assert (frame.opcode, frame.payload) == (BINARY, b'{"a":1}')

"""/healthz: by default always 200; with a grace period 503 once all upstreams have been down for longer than that."""
import json

from harness import eventually


def health(raw, relay):
    connection = raw(relay)
    answer = connection.request("/healthz")
    connection.close()
    assert answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(answer.body)


def test_well_by_default_whatever_the_upstreams_do(start_relay, raw):
    relay = start_relay("ws://127.0.0.1:1/")
    eventually(lambda: relay.metrics().total("websocket_proxy_upstream_connection_failures") >= 2, "the upstream to fail")
    assert health(raw, relay)[0] == 200


def test_it_says_how_many_upstreams_and_subscribers_there_are(relayed, raw):
    relay, _ = relayed()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    raw(relay).upgrade()
    relay.wait_subscribers(1)
    status, body = health(raw, relay)
    assert status == 200
    assert (body["status"], body["upstreams"], body["upstreams_connected"], body["subscribers"]) == ("ok", 1, 1, 1)


def test_ill_when_all_upstreams_are_down_for_longer(start_builder, start_relay, raw):
    first, second = start_builder(), start_builder()
    relay = start_relay(first, second, "--health-grace-ms=200")
    connections = [first.accept(), second.accept()]
    relay.wait_metric("websocket_proxy_upstream_connections", 2)
    assert health(raw, relay)[0] == 200
    first.stop()
    connections[0].close()
    relay.wait_metric("websocket_proxy_upstream_connections", 1)
    assert health(raw, relay)[0] == 200
    second.stop()
    connections[1].close()
    status, body = eventually(lambda: (lambda answer: answer if answer[0] == 503 else None)(health(raw, relay)), "503")
    assert body["upstreams_connected"] == 0
    port = second.port
    start_builder(port=port).accept()
    eventually(lambda: health(raw, relay)[0] == 200, "200 again")


def test_ill_if_no_upstream_ever_came(start_relay, raw):
    relay = start_relay("ws://127.0.0.1:1/", "--health-grace-ms=1")
    eventually(lambda: health(raw, relay)[0] == 503, "503")
    raw(relay).upgrade() # subscribers are accepted all the same


def test_health_takes_no_place(builder, start_relay, raw):
    relay = start_relay(builder, "--instance-connection-limit=1", "--per-ip-connection-limit=1")
    raw(relay).upgrade()
    for _ in range(20):
        assert health(raw, relay)[0] == 200

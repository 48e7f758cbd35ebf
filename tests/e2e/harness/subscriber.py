"""Subscribers with blocking calls: on python3-websockets, and on raw sockets."""
import asyncio
import base64
import inspect
import os
import socket
import threading

import websockets

from . import PATIENCE_S
from .wire import Wire, accept_key

_OPTIONS = inspect.signature(websockets.connect.__init__).parameters
_HEADERS = "additional_headers" if "additional_headers" in _OPTIONS else "extra_headers"


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, awaitable, timeout_s=PATIENCE_S):
        async def bounded():
            return await asyncio.wait_for(awaitable, timeout_s)

        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result(timeout_s + 5)

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


class Subscriber:
    """One connection of the library, which reads all the time and answers pings and closes by itself."""

    def __init__(self, loop, uri, headers=None):
        self.loop = loop
        options = {_HEADERS: headers} if headers else {}
        if "proxy" in _OPTIONS:
            options["proxy"] = None

        async def connect():
            return await websockets.connect(uri, max_size=None, max_queue=None, ping_interval=None, open_timeout=PATIENCE_S,
                                            compression=None, close_timeout=PATIENCE_S, **options)

        self.connection = loop.run(connect(), PATIENCE_S + 5)

    def receive(self):
        return self.loop.run(self.connection.recv())

    def receive_all(self, count):
        async def receive():
            return [await self.connection.recv() for _ in range(count)]

        return self.loop.run(receive(), 3 * PATIENCE_S)

    def send(self, message):
        self.loop.run(self.connection.send(message))

    def ping(self, payload):
        """Returns when the pong with that payload has come."""
        async def ping():
            await (await self.connection.ping(payload))

        self.loop.run(ping())

    def close(self, code=1000, reason=""):
        self.loop.run(self.connection.close(code=code, reason=reason))

    def receive_close(self):
        """(code, reason) with which the relay closed; 1006 if it did without a close frame."""
        self.loop.run(self.connection.wait_closed())
        return self.connection.close_code, self.connection.close_reason


class RawSubscriber(Wire):
    """A connection to the relay on which a test writes every byte."""

    def __init__(self, port, host, receive_buffer=None, source=None):
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            sock.bind((source, 0))
        sock.settimeout(PATIENCE_S)
        sock.connect((host, port))
        super().__init__(sock, is_client=True)
        self.key = base64.b64encode(os.urandom(16)).decode()

    def request_text(self, path="/ws", *, method="GET", version="HTTP/1.1", without=(), **headers):
        """An upgrade, with headers changed, added (with _ for -), or left out."""
        lines = {"Host": "relay", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": self.key}
        lines.update({name.replace("_", "-"): value for name, value in headers.items()})
        kept = [f"{name}: {value}\r\n" for name, value in lines.items() if name not in without]
        return (f"{method} {path} {version}\r\n{''.join(kept)}\r\n").encode("latin1")

    def request(self, path="/ws", **options):
        self.send(self.request_text(path, **options))
        return self.receive_answer(to_head=options.get("method") == "HEAD")

    def upgrade(self, path="/ws", **headers):
        answer = self.request(path, **headers)
        assert answer.status == 101, answer
        assert answer.headers["sec-websocket-accept"] == accept_key(self.key)
        assert answer.headers["upgrade"].lower() == "websocket"
        assert answer.headers["connection"].lower() == "upgrade"
        return self

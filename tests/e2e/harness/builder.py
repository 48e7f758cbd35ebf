"""A builder that a test controls: it accepts the relay's connections one by one and sends what the test tells it to."""
import queue
import select
import socket
import ssl
import threading

from . import PATIENCE_S
from .wire import BINARY, CLOSE, PING, PONG, TEXT, Closed, Wire, accept_key, decode_close


class BuilderConnection(Wire):
    """
    A connection of the relay, whose request was read. After accept() a thread reads its frames; it answers pings while `answers_pings` is
    true, and a close unless the builder closed first.
    """

    def __init__(self, sock):
        super().__init__(sock, is_client=False)
        self.answers_pings, self.has_closed = True, False
        self.frames = queue.Queue()
        self.thread = None
        first, self.headers = self.receive_head()
        self.method, self.target, self.version = first.split(" ")

    def accept(self, **headers):
        """Answers the upgrade; headers are changed, added (with _ for -) or, with None, left out."""
        lines = {"Upgrade": "websocket", "Connection": "Upgrade",
                 "Sec-WebSocket-Accept": accept_key(self.headers["sec-websocket-key"])}
        lines.update({name.replace("_", "-"): value for name, value in headers.items()})
        kept = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        self.send(f"HTTP/1.1 101 Switching Protocols\r\n{kept}\r\n".encode())
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        return self

    def refuse(self, status="503 Service Unavailable"):
        self.send(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        self.close()

    def receive_bytes(self):
        """
        Once the thread reads, it does not wait inside recv: there it would keep the connection open although another thread has closed it,
        and over TLS a read and a write must not run at the same time.
        """
        readable = select.poll()
        readable.register(self.sock, select.POLLIN)
        is_tls = isinstance(self.sock, ssl.SSLSocket)
        while True:
            if self.thread is None or readable.poll(10) or (is_tls and self.sock.pending()):
                if not is_tls:
                    return self.sock.recv(1 << 20)
                with self.lock:
                    return self.sock.recv(1 << 20)
            if self.sock.fileno() < 0:
                raise Closed()

    def read(self):
        try:
            while True:
                frame = self.receive_frame()
                assert frame.masked, "a client's frame without a mask"
                if frame.opcode == PING and self.answers_pings:
                    self.send_frame(PONG, frame.payload)
                elif frame.opcode == CLOSE:
                    if not self.has_closed:
                        self.send_frame(CLOSE, frame.payload)
                    self.end_writes()
                self.frames.put(frame)
        except (Closed, OSError, ValueError) as end: # ValueError: closed while reading
            self.frames.put(end)

    def next(self, opcode):
        """Returns the next frame with that opcode, and drops other frames before it."""
        while True:
            frame = self.frames.get(timeout=PATIENCE_S)
            assert not isinstance(frame, Exception), f"expected a frame, got {frame!r}"
            if frame.opcode == opcode:
                return frame

    def receive_close(self):
        """(code, reason) of the relay's close."""
        return decode_close(self.next(CLOSE).payload)

    def wait_end(self):
        """Waits until the relay has ended the connection."""
        while not isinstance(self.frames.get(timeout=PATIENCE_S), Exception):
            pass

    def send_close(self, code=None, reason=""):
        self.has_closed = True
        super().send_close(code, reason)

    def send_text(self, payload):
        self.send_frame(TEXT, payload)

    def send_binary(self, payload):
        self.send_frame(BINARY, payload)


class Builder:
    """A builder that listens for the relay's connections."""

    def __init__(self, host="127.0.0.1", tls=None, port=0, path="/"):
        self.host, self.tls, self.path = host, tls, path
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(64)
        self.listener.settimeout(PATIENCE_S)
        self.port = self.listener.getsockname()[1]
        self.connections = []

    @property
    def uri(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.tls else 'ws'}://{host}:{self.port}{self.path}"

    def accept_socket(self):
        """Accepts the next connection and returns its socket, from which nothing was read."""
        return self.listener.accept()[0]

    def accept_request(self):
        """Accepts the next connection and reads its request, without an answer. Raises ssl.SSLError if TLS fails."""
        sock = self.accept_socket()
        if self.tls:
            sock.settimeout(PATIENCE_S)
            sock = self.tls.wrap_socket(sock, server_side=True)
        connection = BuilderConnection(sock)
        self.connections.append(connection)
        return connection

    def accept(self):
        """Accepts the next connection and its request to upgrade."""
        return self.accept_request().accept()

    def stop(self):
        self.listener.close()

    def close(self):
        self.stop()
        for connection in self.connections:
            connection.close()


def tls_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context

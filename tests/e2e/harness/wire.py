"""A socket that speaks HTTP and WebSocket frames byte by byte, in either role, correctly or not, as a test needs it."""
import base64
import errno
import hashlib
import os
import socket
import struct
import threading
from collections import namedtuple

from . import PATIENCE_S

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

Frame = namedtuple("Frame", "opcode payload fin rsv masked")
Answer = namedtuple("Answer", "status headers body")


class Closed(Exception):
    """The peer ended the connection; `reset` if it did so with an RST."""

    def __init__(self, reset=False):
        super().__init__("reset" if reset else "end of stream")
        self.reset = reset


def apply_mask(payload, mask):
    repeated = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")


def encode_length(length, masked=False, form=None):
    """The length field; `form` 16 or 64 forces a longer one than needed."""
    bit = 0x80 if masked else 0
    if form is None:
        form = 7 if length < 126 else 16 if length < 65536 else 64
    if form == 7:
        return bytes([bit | length])
    if form == 16:
        return bytes([bit | 126]) + struct.pack("!H", length)
    return bytes([bit | 127]) + struct.pack("!Q", length)


def encode_frame(opcode, payload=b"", fin=True, rsv=0, mask=None, length=None, form=None):
    """A frame; `length`, if given, is announced instead of the payload's length."""
    if isinstance(payload, str):
        payload = payload.encode()
    announced = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + encode_length(announced, mask is not None, form)
    return head + payload if mask is None else head + mask + apply_mask(payload, mask)


def encode_close(code=None, reason=""):
    return b"" if code is None else struct.pack("!H", code) + reason.encode()


def decode_close(payload):
    """(code, reason) of a close frame; (1005, "") of an empty one."""
    return (struct.unpack("!H", payload[:2])[0], payload[2:].decode()) if payload else (1005, "")


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


class Wire:
    """One connection. Reads are for one thread; writes may come from several."""

    def __init__(self, sock, is_client):
        self.sock, self.is_client, self.buffer = sock, is_client, b""
        self.lock = threading.Lock()
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        with self.lock:
            self.sock.sendall(data)

    def send_frame(self, opcode, payload=b"", mask=None, **options):
        if mask is None and self.is_client:
            mask = os.urandom(4)
        self.send(encode_frame(opcode, payload, mask=mask, **options))

    def send_close(self, code=None, reason=""):
        self.send_frame(CLOSE, encode_close(code, reason))

    def receive_bytes(self):
        """Returns the bytes that have come, at least one; b"" at the end of the stream."""
        return self.sock.recv(1 << 20)

    def receive_some(self):
        try:
            data = self.receive_bytes()
        except ConnectionResetError:
            raise Closed(reset=True) from None
        if not data:
            raise Closed()
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.receive_some()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def take_until(self, end):
        while end not in self.buffer:
            self.receive_some()
        taken, self.buffer = self.buffer.split(end, 1)
        return taken

    def receive_head(self):
        """The first line of an HTTP message, and its headers with names in lower case."""
        first, *lines = self.take_until(b"\r\n\r\n").decode("latin1").split("\r\n")
        return first, {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}

    def receive_answer(self, to_head=False):
        first, headers = self.receive_head()
        body = b"" if to_head or first.split()[1] == "101" else self.take(int(headers.get("content-length", 0)))
        return Answer(int(first.split()[1]), headers, body)

    def receive_frame(self):
        flags, length = self.take(2)
        masked, length = length & 0x80, length & 0x7F
        if length == 126:
            length, = struct.unpack("!H", self.take(2))
        elif length == 127:
            length, = struct.unpack("!Q", self.take(8))
        mask = self.take(4) if masked else None
        payload = self.take(length)
        return Frame(flags & 15, apply_mask(payload, mask) if masked else payload, bool(flags & 0x80), flags >> 4 & 7, bool(masked))

    def receive_end(self):
        """Reads until the peer ends the connection; True if it did so with a reset."""
        try:
            while True:
                self.receive_some()
        except Closed as end:
            return end.reset

    def reset(self):
        """Ends the connection with an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def end_writes(self):
        """Says that nothing more will be sent. (An SSLSocket's own shutdown would go on in plain text.)"""
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN: # the peer has ended the connection before
                raise

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

"""A very small web socket server: it says what it is told to, and keeps what it hears."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import queue
import socket
import struct
import threading

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class WebSocketServer:
    """Serves one client after the other (RFC 6455, short unfragmented frames only)."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.heard, self.clients = queue.Queue(), queue.Queue()
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.listening.getsockname()[1]}/link/?ticket=1"

    def say(self, content):
        """Send JSON to the client that is connected, or will be."""
        client = self.clients.get(timeout=60)
        client.sendall(frame(_TEXT, json.dumps(content).encode()))
        self.clients.put(client)

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        while not self.clients.empty():
            client = self.clients.get()
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)

    def _serve(self):
        while True:
            try:
                client, _ = self.listening.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError, EOFError):
                self._shake_hands(client)
                self.clients.put(client)
                self._listen(client)

    def _shake_hands(self, client):
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += client.recv(1024)
        (key,) = [
            line.split(": ")[1]
            for line in asked.decode().split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        ]
        accept = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()
        client.sendall(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )

    def _listen(self, client):
        while True:
            kind, content = read_frame(client)
            if kind == _PING:
                client.sendall(frame(_PONG, content))
            elif kind == _TEXT:
                self.heard.put(json.loads(content))
            elif kind == _CLOSE:
                return


def frame(kind, content):
    size = len(content)
    length = bytes([size]) if size < 126 else struct.pack("!BH", 126, size)
    return bytes([0x80 | kind]) + length + content


def read_frame(client):
    first, second = read(client, 2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", read(client, 2))
    mask = read(client, 4)
    content = bytes(c ^ mask[n % 4] for n, c in enumerate(read(client, size)))
    return first & 0x0F, content


def read(client, size):
    found = b""
    while len(found) < size:
        more = client.recv(size - len(found))
        if not more:
            raise EOFError
        found += more
    return found

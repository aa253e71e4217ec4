"""A small Slack on this machine: it stores what it is told, and fails as the script says."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class SlackServer(ThreadingHTTPServer):
    """One channel, 'C1'. `faults` are used up one by one, by the method that shows something.

    A fault is a Slack error, an HTTP status, 'hang', 'reset', or one of these after 'stored-':
    then the message is there although the answer says otherwise.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts, self.files, self.calls, self.faults = [], {}, [], []
        self.read_faults = []
        self.channels = {"C1"}
        self.socket_url = ""
        self.released = threading.Event()
        self.lock = threading.RLock()
        self.count = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/api/"

    def handle_error(self, request, client_address):
        """Clients that leave are no news."""

    def texts(self, channel="C1"):
        return [post["text"] for post in self.posts if post["channel"] == channel]

    def reply(self, thread, text, user="U1EVA", channel="C1", at=None, **more):
        """Let a person write below a post; return its time stamp."""
        self.count += 1
        ts = f"{at if at is not None else 1700000000 + self.count}.{self.count:06d}"
        said = {"ts": ts, "channel": channel, "text": text, "thread_ts": thread, "user": user}
        self.posts.append({**said, **more})
        return ts

    def add(self, channel, text, thread="", metadata=None, files=(), blocks=()):
        self.count += 1
        ts = f"17000000{self.count:02d}.000100"
        self.posts.append(
            {
                "ts": ts,
                "channel": channel,
                "text": text,
                "thread_ts": thread,
                "metadata": metadata or {},
                "blocks": list(blocks),
                "bot_id": "B1",
                "files": [{"id": each, "name": self.files[each]["name"]} for each in files],
            }
        )
        return ts


class Handler(BaseHTTPRequestHandler):
    server: SlackServer

    def log_message(self, *_):
        """Keep quiet."""

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        path = urlsplit(self.path)
        method = path.path.removeprefix("/api/")
        if method.startswith("upload/"):
            self.server.files[method.removeprefix("upload/")]["content"] = body
            self.answer({"ok": True})
            return
        query = parse_qs(path.query) | parse_qs(body.decode())
        given = {key: value[0] for key, value in query.items()}
        if "json" in self.headers.get("Content-Type", ""):
            given = json.loads(body or b"{}")
        self.server.calls.append(method)
        self.act(method, given)

    def act(self, method, given):
        shows = method in ("chat.postMessage", "files.completeUploadExternal")
        faults = self.server.faults if shows else self.server.read_faults
        reads = shows or method.startswith("conversations")
        fault = faults.pop(0) if faults and reads else ""
        stored = str(fault).startswith("stored-")
        if fault and not stored:
            self.fail(str(fault))
            return
        with self.server.lock:
            answer = getattr(self, method.replace(".", "_"))(given)
        if stored:
            self.fail(str(fault).removeprefix("stored-"))
        else:
            self.answer(answer)

    def fail(self, fault):
        if fault == "hang":
            self.server.released.wait(60)
            self.close_connection = True
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
        elif fault.startswith("429"):
            self.answer({"ok": False, "error": "ratelimited"}, 429, {"Retry-After": fault[4:]})
        elif fault.isdigit():
            self.answer("upstream request timeout", int(fault))
        else:
            self.answer({"ok": False, "error": fault})

    def answer(self, content, status=200, headers=None):
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def chat_postMessage(self, given):
        if given["channel"] not in self.server.channels:
            return {"ok": False, "error": "channel_not_found"}
        metadata = given.get("metadata") or {}
        metadata = json.loads(metadata) if isinstance(metadata, str) else metadata
        thread = given.get("thread_ts", "")
        if thread and thread not in {post["ts"] for post in self.server.posts}:
            return {"ok": False, "error": "thread_not_found"}
        blocks = given.get("blocks") or []
        blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
        ts = self.server.add(given["channel"], given["text"], thread, metadata, blocks=blocks)
        return {"ok": True, "ts": ts, "channel": given["channel"]}

    def files_getUploadURLExternal(self, given):
        number = f"F{len(self.server.files) + 1}"
        self.server.files[number] = {"name": given["filename"], "content": b""}
        url = f"{self.server.url}upload/{number}"
        return {"ok": True, "upload_url": url, "file_id": number}

    def files_completeUploadExternal(self, given):
        ids = [each["id"] for each in json.loads(given["files"])]
        if any(each not in self.server.files for each in ids):
            return {"ok": False, "error": "file_not_found"}
        text = given.get("initial_comment", "")
        self.server.add(given["channel_id"], text, given.get("thread_ts", ""), files=ids)
        return {"ok": True, "files": [{"id": each} for each in ids]}

    def apps_connections_open(self, given):
        if not self.server.socket_url:
            return {"ok": False, "error": "invalid_auth"}
        return {"ok": True, "url": self.server.socket_url}

    def conversations_history(self, given):
        found = [p for p in self.server.posts if not p["thread_ts"]]
        return {"ok": True, "messages": [p for p in found if p["channel"] == given["channel"]]}

    def conversations_replies(self, given):
        found = [p for p in self.server.posts if given["ts"] in (p["ts"], p["thread_ts"])]
        return {"ok": True, "messages": found}


@contextlib.contextmanager
def serving():
    server = SlackServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()

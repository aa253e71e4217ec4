"""A small server that takes reports as TNS and SkyPortal do, and answers as a test wants."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator


class ReportServer(ThreadingHTTPServer):
    """Keeps what it took; `answers` are the status codes of the next reports.

    A report that is answered 504 was taken all the same; one answered 500 was not.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[int] = []
        self.taken: list[str] = []
        self.paths: list[str] = []
        self.agents: list[str] = []
        self.search_status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: ReportServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.paths.append(self.path)
        self.server.agents.append(self.headers["User-Agent"])
        if self.path.endswith("/get/search"):
            name = json.loads(parse_qs(body)["data"][0])["internal_name"]
            found = [{"objname": "2026abc"}] if name in self.server.taken else []
            self._answer(self.server.search_status, {"id_code": 200, "data": found})
            return
        if self.path.endswith("/set/bulk-report"):
            name = json.loads(parse_qs(body)["data"][0])["at_report"]["0"]["internal_name"]
        elif self.path.endswith("/photometry"):
            name = json.loads(body)["obj_id"]
        else:
            self._answer(200, {"status": "success"})
            return
        status = self.server.answers.pop(0) if self.server.answers else 200
        if status in (200, 504):
            self.server.taken.append(name)
        self._answer(status, {"id_code": status, "data": {"report_id": 42}})

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        name = unquote(self.path.split("/")[-2])
        found = [{"mag": 19.1}] if name in self.server.taken else []
        self._answer(200 if found else 400, {"data": found})

    def _answer(self, status: int, said: object) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def report_server() -> Iterator[ReportServer]:
    with ReportServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()

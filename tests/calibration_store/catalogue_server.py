"""A catalogue service on this machine that answers well, or badly in every known way."""

from __future__ import annotations

import io
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import numpy as np
from astropy.io.votable import from_table
from astropy.io.votable.tree import Info
from astropy.table import Table

from calibration_store.catalogues.services import KnownCatalogues, known_catalogues, read_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from calibration_store.catalogues.services import Service

MAINTENANCE = b"<!DOCTYPE html>\n<html><body><h1>Down for maintenance</h1></body></html>"
_CHUNK, _PAUSE_S = 20, 0.05


def sky_table(service: Service, stars: dict[str, np.ndarray]) -> Table:
    """Return stars as a service would give them: its names, its units."""
    count = len(stars["ra_deg"])
    values = {**stars, "_class": np.full(count, 6), "_psf": np.full(count, 18.0)}
    values |= {"_kron": np.full(count, 17.99), "_probability": np.full(count, 0.9)}
    values["_ruwe"] = np.full(count, 1.0)
    columns = dict(service.columns)
    columns |= {f"_{k}": str(v) for k, v in service.extended.items() if f"_{k}" in values}
    columns |= {"_ruwe": service.ruwe} if service.ruwe else {}
    table = Table()
    for ours, theirs in columns.items():
        own = np.asarray(values.get(ours, np.full(count, np.nan)), float)
        table[theirs] = own / service.factors.get(ours, 1.0)
    return table


def as_votable(table: Table, *, overflow: bool = False) -> bytes:
    """Return a table as VOTable, with the status that services add."""
    file = from_table(table)
    status = Info(name="QUERY_STATUS", value="OVERFLOW" if overflow else "OK")
    file.resources[0].infos.append(status)
    stream = io.BytesIO()
    file.to_xml(stream)
    return stream.getvalue()


class CatalogueServer:
    """Speaks as much of VizieR and TAP as is asked of it.

    Attributes
    ----------
    manner
        'well', 'empty', 'overflow', 'error', '503', 'maintenance', 'truncated', 'drip', 'redirect'.
    tables
        Name of a table -> what is sent for it.
    asked
        How often each path was asked for.
    """

    def __init__(self) -> None:
        self.manner = "well"
        self.tables: dict[str, Table] = {}
        self.asked: Counter[str] = Counter()
        self.questions: list[str] = []
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                server.answer(self, self.rfile.read(length).decode())

            def do_GET(self) -> None:
                server.answer(self, "")

            def log_message(self, *words: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._http.server_port}"
        self.host = f"127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, handler: BaseHTTPRequestHandler, question: str) -> None:
        path = handler.path.split("?")[0]
        self.asked[path] += 1
        if question:
            self.questions.append(question)
        if self.manner == "503":
            handler.send_error(503, "Service Unavailable")
        elif path.endswith("/tap/async"):
            self._reply(handler, b"", status=303, location=f"{self.address}/tap/async/7")
        elif path.endswith("/phase"):
            self._reply(handler, b"ERROR" if self.manner == "error" else b"COMPLETED")
        elif self.manner == "redirect" and not path.startswith("/moved"):
            self._reply(handler, b"", status=307, location=f"{self.address}/moved{path}")
        elif self.manner == "maintenance":
            self._reply(handler, MAINTENANCE)
        elif self.manner == "drip":
            self._drip(handler, self._content())
        else:
            content = self._content()
            self._reply(
                handler, content[: len(content) // 2] if self.manner == "truncated" else content
            )

    def _content(self) -> bytes:
        asked = self.questions[-1]
        fields = parse_qs(asked)
        text = (fields.get("QUERY") or [asked])[0]
        table = next(table for name, table in self.tables.items() if name in text)
        if self.manner == "empty":
            table = table[:0]
        if self.manner == "error":
            return (
                b"<?xml version='1.0'?><VOTABLE version='1.4'><RESOURCE type='results'>"
                b"<INFO name='QUERY_STATUS' value='ERROR'>no such table</INFO></RESOURCE></VOTABLE>"
            )
        return as_votable(table, overflow=self.manner == "overflow")

    def _reply(
        self,
        handler: BaseHTTPRequestHandler,
        content: bytes,
        *,
        status: int = 200,
        location: str = "",
    ) -> None:
        handler.send_response(status)
        if location:
            handler.send_header("Location", location)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _drip(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for start in range(0, len(content), _CHUNK):
                handler.wfile.write(content[start : start + _CHUNK])
                if self.closing.wait(_PAUSE_S):
                    return
        except OSError:
            return  # the other side was ended


def served_by(folder: Path, *servers: CatalogueServer) -> KnownCatalogues:
    """Return the known catalogues with their services moved to these machines."""
    known = known_catalogues()
    text = known.source.read_text(encoding="utf-8")
    vizier = ["vizier.cds.unistra.fr", "vizier.cfa.harvard.edu"]
    taps = [
        "https://gea.esac.esa.int/tap-server/tap",
        "https://gaia.ari.uni-heidelberg.de/tap",
        "https://vao.stsci.edu/PS1DR2/tapservice.aspx",
    ]
    for number, name in enumerate(vizier):
        text = text.replace(f'"{name}"', f'"{servers[number % len(servers)].address}"')
    for name in taps:
        text = text.replace(f'"{name}"', f'"{servers[-1].address}/tap"')
    path = folder / "services.toml"
    path.write_text(text, encoding="utf-8")
    return read_facts(path)


def serving(count: int) -> Iterator[list[CatalogueServer]]:
    """Run servers until the test is over."""
    servers = [CatalogueServer() for _ in range(count)]
    yield servers
    for server in servers:
        server.close()

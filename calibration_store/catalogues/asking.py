"""Ask the services, in a process of its own that can be ended at any moment.

`online.py` starts it, hands it a request on standard input and reads one line of JSON for
everything that happens. astroquery is imported nowhere else.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from calibration_store.catalogues.answers import (
    Answered,
    BrokenAnswer,
    columns_wanted,
    read_answer,
)
from calibration_store.catalogues.entries import pack
from calibration_store.catalogues.hosts import host_of
from calibration_store.catalogues.services import read_facts
from calibration_store.catalogues.sky import Cone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from calibration_store.catalogues.services import Facts, Service

#: Services asked at the same time, so as not to burden them.
_AT_ONCE = 2
#: What is left of the time that one host may use up while there are others.
_SHARE = 0.5


def ask(service: Service, host: str, cone: Cone, *, row_limit: int, limit_s: float) -> Answered:
    """Ask one host for a cone, brightest first.

    Raises
    ------
    BrokenAnswer, OSError
        If it cannot be reached or sends no table.
    """
    content = _ADAPTERS[service.kind](service, host, cone, row_limit, limit_s)
    return read_answer(content, service, row_limit=row_limit)


def _ask_vizier(service: Service, host: str, cone: Cone, row_limit: int, limit_s: float) -> bytes:
    from astropy import units
    from astropy.coordinates import SkyCoord
    from astroquery.vizier import VizierClass

    class Mirror(VizierClass):  # type: ignore[misc]
        """A VizieR that may also be given as a whole address."""

        def _server_to_url(self, return_type: str = "votable") -> str:
            base = host if "://" in host else f"https://{host}"
            return f"{base}/viz-bin/{return_type}"

    columns = [
        f"+{name}" if name == service.brightest else name for name in columns_wanted(service)
    ]
    mirror = Mirror(
        columns=columns,
        column_filters=dict(service.filters),
        row_limit=row_limit,
        timeout=limit_s,
        vizier_server=host,
    )
    answer = mirror.query_region_async(
        SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg"),
        radius=cone.radius_deg * units.deg,
        catalog=service.table,
        cache=False,
        frame="icrs",
    )
    if answer.status_code != 200:
        raise BrokenAnswer(f"it answered HTTP {answer.status_code} {answer.reason}")
    return bytes(answer.content)


def _ask_tap(service: Service, host: str, cone: Cone, row_limit: int, limit_s: float) -> bytes:
    from astroquery.utils.tap.core import TapPlus

    # Asynchronous: synchronous answers are cut at 2000 rows by Gaia's archive.
    with tempfile.TemporaryDirectory() as folder:
        TapPlus(url=host).launch_job_async(
            adql(service, cone, row_limit), output_file=f"{folder}/answer.gz", dump_to_file=True
        )
        found = sorted(Path(folder).iterdir())
        if not found:
            raise BrokenAnswer("the answer is empty")
        return found[0].read_bytes()


_ADAPTERS = {"vizier": _ask_vizier, "tap": _ask_tap}


def adql(service: Service, cone: Cone, row_limit: int) -> str:
    """Return the question for a cone, as services with TAP understand it."""
    ra, dec = service.columns["ra_deg"], service.columns["dec_deg"]
    where = (
        f"1 = CONTAINS(POINT('ICRS', {ra}, {dec}), "
        f"CIRCLE('ICRS', {cone.ra_deg:.8f}, {cone.dec_deg:.8f}, {cone.radius_deg:.8f}))"
    )
    if service.where:
        where += f" AND {service.where}"
    return (
        f"SELECT TOP {row_limit} {', '.join(columns_wanted(service))} FROM {service.table} "
        f"WHERE {where} ORDER BY {service.brightest}"
    )


class Errand:
    """One request: several needs, each with a choice of catalogues, each with several hosts."""

    def __init__(self, request: dict[str, Any], voice: IO[str]) -> None:
        self._known = read_facts(Path(request["facts"])).by_name
        self._cone = Cone(request["ra_deg"], request["dec_deg"], request["radius_deg"])
        self._row_limit = int(request["row_limit"])
        self._folder = Path(request["folder"])
        self._vizier = tuple(request["vizier_hosts"])
        self._until = float(request["until"])
        self._resting = set(request["resting"])
        self._needs = [[self._known[name] for name in choice] for choice in request["needs"]]
        self._voice, self._lock = voice, threading.Lock()

    def run(self) -> None:
        """Meet all needs as far as they can be met in time."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for future in [pool.submit(self._meet, choice) for choice in self._needs]:
                future.result()

    def _meet(self, choice: list[Facts]) -> None:
        """Ask for one catalogue after the other until one has entries."""
        for facts in choice:
            for service, address in self._ways(facts):
                answered = self._try(facts, service, address)
                if answered is None:
                    continue
                if len(answered):
                    return
                break

    def _ways(self, facts: Facts) -> Iterator[tuple[Service, str]]:
        """Yield the hosts that can be asked; those that failed in the meantime are left out."""
        for service in facts.services:
            own = self._vizier if service.kind == "vizier" and self._vizier else service.hosts
            for address in own:
                host = host_of(address)
                if not self._resting & {host, f"{host} {facts.name}"}:
                    yield service, address

    def _try(self, facts: Facts, service: Service, address: str) -> Answered | None:
        left_s = self._until - time.monotonic()
        others = [way for way in self._ways(facts) if way[1] != address]
        limit_s = left_s * (_SHARE if others else 1.0)
        if limit_s <= 0:
            return None
        label = {"catalogue": facts.name, "host": host_of(address)}
        self._say("trying", **label)
        future = _in_background(
            lambda: ask(service, address, self._cone, row_limit=self._row_limit, limit_s=limit_s)
        )
        try:
            error = future.exception(timeout=limit_s)
        except TimeoutError:
            error = TimeoutError()
        if error is None and not len(future.result()) and not facts.patchy:
            error = BrokenAnswer("its answer has no entries, which is not believed", of_table=True)
        if error is not None:
            of_table = isinstance(error, BrokenAnswer) and error.of_table
            rests = f"{label['host']} {facts.name}" if of_table else label["host"]
            self._resting.add(rests)
            self._say("failed", why=_in_words(error, limit_s), rests=rests, **label)
            return None
        answered = future.result()
        self._hand_over(facts, service, answered, label)
        return answered

    def _hand_over(
        self, facts: Facts, service: Service, answered: Answered, label: dict[str, str]
    ) -> None:
        rows = pack(answered.columns, facts.bands, epoch_year=facts.epoch_year)
        path = self._folder / f"{facts.name}.npy"
        np.save(path, rows, allow_pickle=False)
        self._say(
            "answered",
            file=str(path),
            truncated=answered.truncated,
            release=service.release,
            **label,
        )

    def _say(self, event: str, **facts: object) -> None:
        with self._lock:
            self._voice.write(json.dumps({"event": event, **facts}) + "\n")
            self._voice.flush()


def _in_background(action: Any) -> Future[Answered]:
    """Run something in a thread that nobody has to wait for."""
    future: Future[Answered] = Future()

    def run() -> None:
        with ThreadPoolExecutor(1) as pool:
            inner = pool.submit(action)
            error = inner.exception()
        if error is None:
            future.set_result(inner.result())
        else:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _in_words(error: BaseException, limit_s: float) -> str:
    """Return why a host failed, as a person would say it."""
    text = " ".join(str(error).split())[:160]
    if isinstance(error, BrokenAnswer):
        return text
    if isinstance(error, TimeoutError) or "timed out" in text.casefold():
        return f"it did not answer within {limit_s:.0f} s"
    unreachable = ("name resolution", "connection refused", "unreachable", "newconnection")
    plain = f"{type(error).__name__} {text}".casefold()
    if isinstance(error, ConnectionError) or any(word in plain for word in unreachable):
        return "it cannot be reached"
    return f"it failed: {text or type(error).__name__}"


def main() -> None:
    """Serve one request, then end at once, whatever threads still wait for a host."""
    request = json.load(sys.stdin)
    voice = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    # Libraries print; the line to the caller is kept clean.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        # A caller that died cannot end us.
        left_s = float(request["until"]) - time.monotonic()
        watch = threading.Timer(left_s + 5, os._exit, (1,))
        watch.daemon = True
        watch.start()
        # This takes seconds, which no host is to be blamed for.
        importlib.import_module("astroquery.vizier")
        importlib.import_module("astroquery.utils.tap.core")
        Errand(request, voice).run()
    voice.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

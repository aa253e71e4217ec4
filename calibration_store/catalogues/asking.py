"""Ask the services, in a process of its own that can be ended at any moment.

`online.py` starts it, hands it a request on standard input and reads one line of JSON for
everything that happens.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from calibration_store.catalogues.adapters import LIBRARIES, ask, in_words, knock
from calibration_store.catalogues.answers import Answered, BrokenAnswer
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
        self._import_lock = threading.Lock()

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
        with self._import_lock:
            unreachable = knock(address, limit_s)
            if unreachable is None:
                # This takes seconds, which no host is to be blamed for.
                importlib.import_module(LIBRARIES[service.kind])
        if unreachable is not None:
            self._fail(unreachable, limit_s, label)
            return None
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
            self._fail(error, limit_s, label)
            return None
        answered = future.result()
        self._hand_over(facts, service, answered, label)
        return answered

    def _fail(self, error: BaseException, limit_s: float, label: dict[str, str]) -> None:
        """Report a failure, and ask the host, or its table, no more."""
        of_table = isinstance(error, BrokenAnswer) and error.of_table
        rests = f"{label['host']} {label['catalogue']}" if of_table else label["host"]
        self._resting.add(rests)
        self._say("failed", why=in_words(error, limit_s), rests=rests, **label)

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
        Errand(request, voice).run()
    voice.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

"""Ask the services for what local disc lacks, within a time that is never exceeded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_store.catalogues.entries import Rows, row_type
from calibration_store.catalogues.hosts import host_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibration_store.catalogues.hosts import Hosts
    from calibration_store.catalogues.services import KnownCatalogues
    from calibration_store.catalogues.sky import Cone

#: Rows asked for: the densest fields of Gaia have a million stars to the square degree.
ROW_LIMIT = 60_000

#: Stands for a host when not even the process that asks came so far as to ask one.
HERE = "this machine"
#: The process that asks stops by itself so long before it would be ended.
_GOODBYE_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a service gave of one catalogue: rows sorted by pixel."""

    catalogue: str
    host: str
    release: str
    rows: Rows
    truncated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What came of one round of questions.

    Attributes
    ----------
    failed
        Host -> why, of those that were asked in vain.
    resting
        Hosts that were not asked, because they failed lately -> until when (UTC, HH:MM).
    """

    found: tuple[Answer, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    resting: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_words(self) -> str:
        """Why something did not come; hosts with the same fate together."""
        fates: dict[str, list[str]] = {}
        for host, why in self.failed.items():
            fates.setdefault(f": {why}", []).append(host)
        for host, until in self.resting.items():
            if host not in self.failed:
                fates.setdefault(f" failed before, not asked until {until} UT", []).append(host)
        return "; ".join(f"{', '.join(hosts)}{fate}" for fate, hosts in fates.items())


class Services:
    """The services of the known catalogues.

    Parameters
    ----------
    hosts
        Where failures are remembered.
    vizier_hosts
        Instead of those of the facts; whole addresses are allowed.
    """

    def __init__(
        self,
        known: KnownCatalogues,
        hosts: Hosts,
        *,
        vizier_hosts: Sequence[str] = (),
        row_limit: int = ROW_LIMIT,
    ) -> None:
        self._known, self._hosts = known, hosts
        self._vizier_hosts, self._row_limit = tuple(vizier_hosts), row_limit

    def ask(
        self,
        needs: Sequence[Sequence[str]],
        cone: Cone,
        *,
        limit_s: float,
        even_resting: bool = False,
    ) -> Answers:
        """Ask for a cone of several catalogues; return what came within the time.

        Parameters
        ----------
        needs
            Each a choice of catalogues, of which the first with entries is enough.
        limit_s
            Whatever has not come by then is given up; the process that asks is ended.
        even_resting
            Ask also hosts that failed lately.
        """
        resting = {} if even_resting else self._hosts.resting()
        until = {host: rest.until[11:16] for host, rest in resting.items()}
        if HERE in resting or not self._anyone_left(needs, set(resting)) or limit_s <= 0:
            return Answers(resting=until)
        with tempfile.TemporaryDirectory(prefix="alfoscd-catalogues-") as folder:
            request = {
                "facts": str(self._known.source),
                "needs": [list(choice) for choice in needs],
                "ra_deg": cone.ra_deg,
                "dec_deg": cone.dec_deg,
                "radius_deg": cone.radius_deg,
                "row_limit": self._row_limit,
                # The monotonic clock is the machine's, the same in every process.
                "until": time.monotonic() + limit_s - _GOODBYE_S,
                "vizier_hosts": self._vizier_hosts,
                "resting": list(resting),
                "folder": folder,
            }
            events = _converse(json.dumps(request), limit_s)
            if not events:
                events = [_never_began(limit_s)]
            found = tuple(self._answer(event) for event in events if event["event"] == "answered")
        failed, rests = _failures(events, limit_s)
        with contextlib.suppress(OSError):
            well = {answer.host for answer in found}
            self._hosts.note(rests, well | {f"{a.host} {a.catalogue}" for a in found})
        return Answers(found=found, failed=failed, resting=until)

    def _anyone_left(self, needs: Sequence[Sequence[str]], resting: set[str]) -> bool:
        services = [
            service
            for choice in needs
            for name in choice
            for service in self._known.by_name[name].services
        ]
        addresses = [
            address
            for service in services
            for address in (
                self._vizier_hosts
                if service.kind == "vizier" and self._vizier_hosts
                else service.hosts
            )
        ]
        return any(host_of(address) not in resting for address in addresses)

    def _answer(self, event: Mapping[str, Any]) -> Answer:
        rows: Rows = np.load(event["file"], allow_pickle=False)
        bands = self._known.by_name[event["catalogue"]].bands
        return Answer(
            catalogue=event["catalogue"],
            host=event["host"],
            release=event["release"],
            rows=rows.astype(row_type(bands), copy=False),
            truncated=bool(event["truncated"]),
        )


def _converse(request: str, limit_s: float) -> list[dict[str, Any]]:
    """Run the process that asks; return what it reported until it ended or was ended."""
    # It has to find the packages where this process found them.
    path = os.pathsep.join(part or str(Path.cwd()) for part in sys.path)
    process = subprocess.Popen(
        [sys.executable, "-m", "calibration_store.catalogues.asking"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(request.encode(), timeout=limit_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
    # The last line may have been cut off by the end.
    lines = said.decode(errors="replace").split("\n")[:-1]
    return [json.loads(line) for line in lines]


def _never_began(limit_s: float) -> dict[str, Any]:
    why = f"it was too busy to ask anyone within {limit_s:.0f} s"
    return {"event": "failed", "host": HERE, "catalogue": "", "why": why, "rests": HERE}


def _failures(
    events: Sequence[Mapping[str, Any]], limit_s: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Return why hosts failed, by host, and by what is to rest: a host or one table of it.

    A host that was still being asked at the end has failed too.
    """
    failed: dict[str, str] = {}
    rests: dict[str, str] = {}
    waiting: dict[tuple[str, str], str] = {}
    for event in events:
        host, asked = event["host"], (event["host"], event["catalogue"])
        if event["event"] == "trying":
            waiting[asked] = f"it did not answer within {limit_s:.0f} s"
        else:
            waiting.pop(asked, None)
        if event["event"] == "failed":
            failed[host] = rests[event["rests"]] = event["why"]
    for (host, _), why in waiting.items():
        failed[host] = rests[host] = why
    return failed, rests

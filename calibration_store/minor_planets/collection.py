"""The orbits on local disc, and where they stand in each night."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from calibration_store.brought_lists import BroughtLists, BroughtSet, NothingBrought, name_of
from calibration_store.catalogues.tiles import write_whole
from calibration_store.minor_planets.mpcorb import read_orbits
from reducers.transients.night_sweep import SWEPT, Swept, exact_places, passing, sweep
from reducers.transients.orbits import ORBIT, Orbits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from calibration_store.brought_lists import BadLines
    from reducers.transients.ephemeris import Places
    from reducers.transients.solar_system import Observer

#: Nights kept on disc; each is some ten megabytes.
_NIGHTS_KEPT = 3
_NIGHT_FILE = "night-"


class NoOrbits(NothingBrought):
    """The file holds no orbit in a format of the Minor Planet Center."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrbitSet(BroughtSet):
    """What one file brought.

    Attributes
    ----------
    epoch_mjd : float
        That most elements are given for.
    """

    epoch_mjd: float


class MinorPlanets(BroughtLists[OrbitSet]):
    """The orbits below a folder; an orbit in a newer file stands for the same body in older ones.

    Parameters
    ----------
    folder
        Made when something is written.
    now
        The time (UTC), which dates what is written.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(folder, OrbitSet, (".orbits",), now)
        self._swept: tuple[str, float, Swept] | None = None
        self._orbits: tuple[str, Orbits] | None = None

    def take(self, path: Path, bad: BadLines, name: str = "") -> OrbitSet:
        """Put the orbits of a file on disc, in place of an earlier file of the same name.

        Raises
        ------
        NoOrbits
            If there is none in it; what was on disc stays.
        OSError, EOFError
            If the file cannot be read to its end, or the disc not be written.
        """
        name = name or name_of(path)
        with self._unfinished(name) as unfinished:
            count, epoch = _written(path, unfinished, bad)
            if not count:
                raise NoOrbits(f"{path} holds no orbit in a format of the Minor Planet Center")
            unfinished.replace(self.folder / f"{name}.orbits")
        return self._note(path, name, bad, count, epoch_mjd=epoch)

    def sets(self) -> tuple[OrbitSet, ...]:
        """Return what is on disc, the newest file first."""
        newest = sorted(super().sets(), key=lambda one: (one.file_date, one.taken), reverse=True)
        return tuple(newest)

    def in_field(
        self,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        mjd_utc: float,
        observer: Observer,
        faintest: float = 99.0,
    ) -> Places | None:
        """Return every known body that may be in a circle; None where no orbits are on disc.

        The circle is widened for each body by what its place is uncertain.
        """
        sets = self.sets()
        if not sets:
            return None
        stamp = _stamp(sets)
        orbits = self._held(sets, stamp)
        middle = _middle_of_night(mjd_utc, observer.longitude_deg)
        swept = self._night(orbits, stamp, middle, observer)
        rows = passing(swept, middle, ra_deg, dec_deg, radius_deg, mjd_utc, faintest)
        return exact_places(np.array(orbits[swept["orbit"][rows]]), mjd_utc, observer)

    def _held(self, sets: tuple[OrbitSet, ...], stamp: str) -> Orbits:
        if self._orbits is None or self._orbits[0] != stamp:
            held = [_mapped(self.folder / f"{one.name}.orbits", ORBIT) for one in sets]
            orbits = held[0] if len(held) == 1 else _newest(held)
            self._orbits = (stamp, orbits)
        return self._orbits[1]

    def _night(self, orbits: Orbits, stamp: str, middle: float, observer: Observer) -> Swept:
        """Return the table of one night, from memory, from disc, or newly made."""
        place = f"{observer.longitude_deg:.2f}{observer.latitude_deg:+.2f}"
        key = f"{_NIGHT_FILE}{middle:.3f}-{place}-{stamp}"
        if self._swept is not None and self._swept[0] == key:
            return self._swept[2]
        path = self.folder / "nights" / key
        try:
            swept = _mapped(path, SWEPT)
        except (OSError, ValueError):
            swept = sweep(orbits, middle, observer)
            _keep(path, swept)
        self._swept = (key, middle, swept)
        return swept


def _written(path: Path, target: Path, bad: BadLines) -> tuple[int, float]:
    """Write orbits as they are read; return how many, and the epoch that most have."""
    count, epochs = 0, dict[float, int]()
    with target.open("wb") as file:
        for batch in read_orbits(path, bad):
            file.write(batch.tobytes())
            count += len(batch)
            for epoch, times in zip(*np.unique(batch["epoch"], return_counts=True), strict=True):
                epochs[float(epoch)] = epochs.get(float(epoch), 0) + int(times)
        file.flush()
        os.fsync(file.fileno())
    return count, max(epochs, key=lambda epoch: epochs[epoch]) if epochs else float("nan")


def _mapped(path: Path, kind: np.dtype[np.void]) -> Orbits:
    size = path.stat().st_size
    if size % kind.itemsize:
        raise ValueError(f"{path} is not whole")
    return np.memmap(path, kind, mode="r") if size else np.empty(0, kind)


def _newest(held: list[Orbits]) -> Orbits:
    """Return every body once, from the first set that has it."""
    every = np.concatenate(held)
    _, first = np.unique(every["name"], return_index=True)
    return every[np.sort(first)]


def _stamp(sets: tuple[OrbitSet, ...]) -> str:
    newest = max(one.taken for one in sets)
    return re.sub(r"\D", "", newest)[:14] + f"-{len(sets)}-{sum(one.count for one in sets)}"


def _middle_of_night(mjd_utc: float, longitude_deg: float) -> float:
    """Return local mean midnight of the night that a time belongs to."""
    return float(np.round(mjd_utc + longitude_deg / 360) - longitude_deg / 360)


def _keep(path: Path, swept: Swept) -> None:
    """Write the table of a night for other processes; without room it is made again."""
    try:
        write_whole(path, swept.tobytes())
        kept = sorted(path.parent.glob(f"{_NIGHT_FILE}*"), key=lambda one: one.stat().st_mtime)
        for old in kept[:-_NIGHTS_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return

"""The variable stars on local disc."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_store.catalogues.sky import CELL_SHIFT, Cone, cells_touched
from calibration_store.catalogues.tiles import write_whole
from calibration_store.minor_planets.collection import name_of
from calibration_store.variables.files import VARIABLE, read_variables
from reducers.transients.known_matches import Variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration_store.minor_planets.mpcorb import BadLines

_FORMAT = 1
_SLICE = 200_000


class NoVariables(Exception):
    """The file holds no variable star in a format that is known."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableSet:
    """What one file brought.

    Attributes
    ----------
    name : str
        'vsx', ...: the beginning of the file's name.
    source, file_date, taken : str
        Name of the file; ISO dates of the file and of when it was read.
    count, bad : int
        Variables, and lines that are none.
    """

    name: str
    source: str
    file_date: str
    taken: str
    count: int
    bad: int


class VariableStars:
    """The lists of variables below a folder, each sorted by the pixels of the catalogue tiles.

    `<name>.rows` holds the records, `<name>.pixels` their pixels alone, which are searched.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder = folder
        self.now = now

    def take(self, path: Path, bad: BadLines, name: str = "") -> VariableSet:
        """Put the variables of a file on disc, in place of an earlier file of the same name.

        Raises
        ------
        NoVariables
            If there is none in it; what was on disc stays.
        UnusableCatalogue
            If a table cannot be read as one.
        OSError, EOFError
            If the file cannot be read to its end, or the disc not be written.
        """
        name = name or name_of(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        unsorted = self.folder / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            count = 0
            with unsorted.open("wb") as file:
                for batch in read_variables(path, bad):
                    file.write(batch.tobytes())
                    count += len(batch)
            if not count:
                raise NoVariables(f"{path} holds no variable star in a format that is known")
            self._sort(unsorted, name)
        finally:
            unsorted.unlink(missing_ok=True)
        brought = VariableSet(
            name=name,
            source=path.name,
            file_date=datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat(),
            taken=self.now().isoformat(timespec="seconds"),
            count=count,
            bad=bad.count,
        )
        about = {"format": _FORMAT, **asdict(brought)}
        write_whole(self.folder / f"{name}.json", json.dumps(about, indent=1).encode())
        return brought

    def sets(self) -> tuple[VariableSet, ...]:
        """Return what is on disc."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                about = json.loads(path.read_text(encoding="utf-8"))
                if about.pop("format") == _FORMAT:
                    found.append(VariableSet(**about))
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return tuple(found)

    def remove(self, name: str) -> bool:
        """Remove what one file brought; False where there is none."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return False
        path.unlink()
        for ending in (".rows", ".pixels"):
            path.with_suffix(ending).unlink(missing_ok=True)
        return True

    def in_field(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Variables | None:
        """Return the variables of every list in a circle; None where no list is on disc."""
        sets = self.sets()
        if not sets:
            return None
        cone = Cone(ra_deg, dec_deg, radius_deg)
        rows = np.concatenate([_near(self.folder, one, cone) for one in sets])
        rows = rows[cone.margin_deg(rows["ra"], rows["dec"]) >= 0]
        return Variables(
            name=rows["name"],
            type=rows["type"],
            ra_deg=rows["ra"],
            dec_deg=rows["dec"],
            brightest=rows["brightest"].astype(float),
            faintest=rows["faintest"].astype(float),
        )

    def _sort(self, unsorted: Path, name: str) -> None:
        """Write the records and their pixels in order, a slice at a time."""
        rows = np.memmap(unsorted, VARIABLE, mode="r")
        order = np.argsort(rows["pixel"], kind="stable")
        target = self.folder / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            with target.open("wb") as file:
                for start in range(0, len(order), _SLICE):
                    file.write(rows[order[start : start + _SLICE]].tobytes())
                file.flush()
                os.fsync(file.fileno())
            write_whole(self.folder / f"{name}.pixels", rows["pixel"][order].tobytes())
            target.replace(self.folder / f"{name}.rows")
        finally:
            target.unlink(missing_ok=True)


def _near(folder: Path, held: VariableSet, cone: Cone) -> NDArray[Any]:
    """Return the records of the cells that a cone touches; none where files do not agree."""
    try:
        pixels = np.memmap(folder / f"{held.name}.pixels", np.int32, mode="r")
        rows = np.memmap(folder / f"{held.name}.rows", VARIABLE, mode="r")
    except (OSError, ValueError):
        return np.empty(0, VARIABLE)
    if len(pixels) != len(rows):
        return np.empty(0, VARIABLE)
    edges = (np.stack([(cells := cells_touched(cone)), cells + 1]) << CELL_SHIFT).astype(np.int32)
    starts, stops = np.searchsorted(pixels, edges)
    wanted = [np.array(rows[one:other]) for one, other in zip(starts, stops, strict=True)]
    return np.concatenate([np.empty(0, VARIABLE), *wanted])

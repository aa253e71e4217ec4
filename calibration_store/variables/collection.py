"""The variable stars on local disc."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_store.brought_lists import BroughtLists, BroughtSet, NothingBrought, name_of
from calibration_store.catalogues.sky import CELL_SHIFT, Cone, cells_touched
from calibration_store.catalogues.tiles import write_whole
from calibration_store.variables.files import VARIABLE, read_variables
from reducers.transients.known_matches import Variables

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from calibration_store.brought_lists import BadLines

_SLICE = 200_000


class NoVariables(NothingBrought):
    """The file holds no variable star in a format that is known."""


class VariableStars(BroughtLists[BroughtSet]):
    """The lists of variables below a folder, each sorted by the pixels of the catalogue tiles.

    `<name>.rows` holds the records, `<name>.pixels` their pixels alone, which are searched.
    """

    def __init__(
        self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__(folder, BroughtSet, (".rows", ".pixels"), now)

    def take(self, path: Path, bad: BadLines, name: str = "") -> BroughtSet:
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
        with self._unfinished(name) as unsorted:
            count = 0
            with unsorted.open("wb") as file:
                for batch in read_variables(path, bad):
                    file.write(batch.tobytes())
                    count += len(batch)
            if not count:
                raise NoVariables(f"{path} holds no variable star in a format that is known")
            self._sort(unsorted, name)
        return self._note(path, name, bad, count)

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
        with self._unfinished(name) as target:
            with target.open("wb") as file:
                for start in range(0, len(order), _SLICE):
                    file.write(rows[order[start : start + _SLICE]].tobytes())
                file.flush()
                os.fsync(file.fileno())
            write_whole(self.folder / f"{name}.pixels", rows["pixel"][order].tobytes())
            target.replace(self.folder / f"{name}.rows")


def _near(folder: Path, held: BroughtSet, cone: Cone) -> NDArray[Any]:
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

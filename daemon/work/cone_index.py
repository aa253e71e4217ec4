"""Make an index file for astrometry.net of the catalogue's stars around a pointing."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reducers.imaging.references import ReferenceCatalogue, References

    #: Runs a program for so many seconds; returns what went wrong, '' for nothing.
    Run = Callable[[Sequence[str], float], str]

_PROGRAM = "build-astrometry-index"
#: Scales of the quadrilaterals: 1.4 to 2.0, 2.0 to 2.8 and 2.8 to 4.0 arcmin.
_PRESETS = ("-1", "0", "1")
#: Fewer stars make no quadrilaterals worth a search.
_FEWEST = 8
#: Part of the time left that the making may take.
_SHARE = 0.25


def build_index(references: References, folder: Path, run: Run, until: float) -> Path | None:
    """Return a folder with an index of the catalogue's stars; None where none can be made.

    Parameters
    ----------
    until : float
        Of the monotonic clock; a quarter of what is left is used at most.

    Raises
    ------
    OSError, subprocess.SubprocessError
        If the tool cannot be started or the folder not be written.
    """
    program, stars = shutil.which(_PROGRAM), references.astrometric
    if program is None or stars is None or len(stars) < _FEWEST:
        return None
    index, table = folder / "index", folder / "catalogue.fits"
    index.mkdir()
    _write_stars(stars, table)
    limit_s = (until - time.monotonic()) * _SHARE / len(_PRESETS)
    for number, preset in enumerate(_PRESETS):
        path = index / f"index-{number}.fits"
        command = [program, "-i", str(table), "-o", str(path), "-P", preset, "-S", "MAG", "-E"]
        if run([*command, "-I", str(number + 1), "-t", str(folder)], limit_s):
            path.unlink(missing_ok=True)
    return index if any(index.iterdir()) else None


def _write_stars(stars: ReferenceCatalogue, path: Path) -> None:
    magnitude = next(iter(stars.magnitudes.values()), np.zeros(len(stars)))
    known = np.isfinite(magnitude)
    table = {"RA": stars.ra_deg[known], "DEC": stars.dec_deg[known], "MAG": magnitude[known]}
    Table(table).write(path, format="fits")

"""Read a catalogue from a file that somebody brings: FITS, CSV, ECSV or VOTable."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from calibration_store.catalogues.answers import columns_of
from calibration_store.catalogues.entries import COLUMNS
from calibration_store.catalogues.tiles import UnusableCatalogue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from calibration_store.catalogues.services import Facts
    from reducers.frame import Vector

_FORMATS = {
    ".fits": "fits",
    ".fit": "fits",
    ".fz": "fits",
    ".csv": "ascii.csv",
    ".ecsv": "ascii.ecsv",
    ".vot": "votable",
    ".votable": "votable",
    ".xml": "votable",
}


def read_file(
    path: Path, *, facts: Facts | None = None, named: Mapping[str, str] | None = None
) -> dict[str, Vector]:
    """Return the columns of a file by our names.

    Parameters
    ----------
    facts
        The known catalogue that the file is a part of: a file as its service hands it out needs
        no names.
    named
        Our name of a column, or that of a band -> the file's.

    Raises
    ------
    UnusableCatalogue
        If the file cannot be read, or positions or magnitudes are not found in it.
    """
    table = _table(path)
    if named:
        return _by_name(table, named, path)
    for service in facts.services if facts else ():
        found = columns_of(table, service)
        if _is_enough(found, facts.bands if facts else ()):
            return found
    own = {name: name for name in table.colnames if name in COLUMNS or _is_band(name, table)}
    if {"ra_deg", "dec_deg"} <= own.keys():
        return _by_name(table, own, path)
    raise UnusableCatalogue(
        f"{path}: which columns hold what? Its columns are {', '.join(table.colnames[:40])}; "
        "name them with --columns ra_deg=...,dec_deg=...,g=...,g_error=..."
    )


def _table(path: Path) -> Any:
    suffix = path.name.removesuffix(".gz").lower()
    kind = next((kind for end, kind in _FORMATS.items() if suffix.endswith(end)), None)
    if kind is None:
        known = ", ".join(_FORMATS)
        raise UnusableCatalogue(f"{path}: the name must end in one of {known}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(path, format=kind)
    except (OSError, ValueError, LookupError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise UnusableCatalogue(f"{path}: cannot be read as a table: {said}") from error
    if not len(table):
        raise UnusableCatalogue(f"{path}: has no rows")
    return table


def _by_name(table: Any, named: Mapping[str, str], path: Path) -> dict[str, Vector]:
    for needed in ("ra_deg", "dec_deg"):
        if needed not in named:
            raise UnusableCatalogue(f"{path}: no column is named for {needed}")
    gone = [theirs for theirs in named.values() if theirs not in table.colnames]
    if gone:
        raise UnusableCatalogue(
            f"{path}: has no column {', '.join(gone)}; it has {', '.join(table.colnames[:40])}"
        )
    try:
        return {
            ours: np.ma.filled(np.ma.asarray(table[theirs]).astype(float), np.nan)
            for ours, theirs in named.items()
        }
    except (ValueError, TypeError) as error:
        raise UnusableCatalogue(f"{path}: a named column holds no numbers: {error}") from error


def _is_enough(found: Mapping[str, Any], bands: tuple[str, ...]) -> bool:
    return {"ra_deg", "dec_deg"} <= found.keys() and any(band in found for band in bands)


def _is_band(name: str, table: Any) -> bool:
    band = name.removesuffix("_error")
    return band in table.colnames and f"{band}_error" in table.colnames

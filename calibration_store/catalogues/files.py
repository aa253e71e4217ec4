"""Read a catalogue from a file that somebody brings: FITS, CSV, ECSV or VOTable."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units
from astropy.table import Table

from calibration_store.catalogues.answers import columns_of
from calibration_store.catalogues.entries import COLUMNS
from calibration_store.catalogues.sky import Cone
from calibration_store.catalogues.tiles import UnusableCatalogue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calibration_store.catalogues.services import Facts, Service
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
#: In what our columns are counted; a file that says its own units is converted.
_UNITS = {
    "ra_deg": units.deg,
    "dec_deg": units.deg,
    "epoch_year": units.yr,
    "motion_ra_mas": units.mas / units.yr,
    "motion_dec_mas": units.mas / units.yr,
    "motion_error_mas": units.mas / units.yr,
    "parallax_mas": units.mas,
    "position_error_mas": units.mas,
}
#: Names under which columns go about, beside ours; compared without regard to case.
_ALSO = {
    "ra_deg": ("ra", "ra_icrs", "raj2000", "_raj2000", "ramean"),
    "dec_deg": ("dec", "de_icrs", "dec_icrs", "dej2000", "decj2000", "_dej2000", "decmean"),
    "motion_ra_mas": ("pmra", "pm_ra", "pm_ra_cosdec"),
    "motion_dec_mas": ("pmdec", "pmde", "pm_dec"),
    "motion_error_mas": ("pm_error", "e_pm"),
    "parallax_mas": ("parallax", "plx"),
    "position_error_mas": ("position_error", "pos_error", "e_pos"),
    "epoch_year": ("ref_epoch", "epoch"),
    "star": ("is_star", "class_star", "classstar"),
}
_MAGNITUDE = ("{0}", "{0}mag", "{0}_mag", "mag_{0}")
_MAGNITUDE_ERROR = ("{0}_error", "e_{0}mag", "{0}_err", "{0}err", "{0}mag_error", "{0}_mag_error",
                    "e_{0}", "err_{0}", "magerr_{0}", "{0}magerr")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Brought:
    """A table that was read from a file."""

    path: Path
    table: Any

    @property
    def name(self) -> str:
        """Catalogue that the header names (CATALOG); '' where it does not."""
        return self._text("CATALOG")

    @property
    def release(self) -> str:
        """Release that the header names (RELEASE); '' where it does not."""
        return self._text("RELEASE")

    @property
    def cone(self) -> Cone | None:
        """Circle that it covers by its header (RA_CEN, DEC_CEN, RADIUS, degrees)."""
        place = [self._about(key) for key in ("RA_CEN", "DEC_CEN", "RADIUS")]
        known = all(isinstance(value, int | float) and np.isfinite(value) for value in place)
        return Cone(*map(float, place)) if known else None

    def columns(
        self, facts: Facts | None = None, named: Mapping[str, str] | None = None
    ) -> Mapping[str, Vector]:
        """Return the columns by our names and in our units.

        Parameters
        ----------
        facts
            The known catalogue that it is a part of: a file as its service hands it out needs
            no names.
        named
            Our name of a column, or that of a band -> the file's.

        Raises
        ------
        UnusableCatalogue
            If positions or magnitudes are not found.
        """
        if named:
            return _by_name(self.table, named, self.path)
        names = self.table.colnames
        for service in facts.services if facts else ():
            if _is_of(names, service, facts.bands if facts else ()):
                return columns_of(self.table, service)
        guessed = _guessed(names, facts.bands if facts else _bands(names))
        if {"ra_deg", "dec_deg"} <= guessed.keys() and guessed.keys() - COLUMNS.keys():
            return _by_name(self.table, guessed, self.path)
        raise UnusableCatalogue(
            f"{self.path}: which columns hold what? Its columns are {', '.join(names[:40])}; "
            "name them with --columns ra_deg=...,dec_deg=...,g=...,g_error=..."
        )

    def _about(self, key: str) -> Any:
        return next((v for k, v in self.table.meta.items() if str(k).upper() == key), None)

    def _text(self, key: str) -> str:
        value = self._about(key)
        return value.strip() if isinstance(value, str) else ""


def read_file(path: Path) -> Brought:
    """Read a table.

    Raises
    ------
    UnusableCatalogue
        If it cannot be read as one, or is empty.
    """
    return Brought(path, _table(path))


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
        return {ours: _counted(table[theirs], _UNITS.get(ours)) for ours, theirs in named.items()}
    except (ValueError, TypeError, units.UnitsError) as error:
        raise UnusableCatalogue(f"{path}: a column cannot be used as numbers: {error}") from error


def _counted(column: Any, unit: Any) -> Vector:
    """Return a column as numbers in our unit; one that says no unit is taken to be in it."""
    values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    own = getattr(column, "unit", None)
    if unit is not None and own is not None and own != units.dimensionless_unscaled:
        values = values * units.Unit(own).to(unit)
    return np.asarray(values)


def _guessed(names: Sequence[str], bands: Sequence[str]) -> dict[str, str]:
    """Return which columns are meant: by our names, then by usual ones, magnitudes by band."""
    plain = {name.casefold(): name for name in reversed(names)}
    found: dict[str, str] = {}
    for ours in COLUMNS:
        for name in (ours, *_ALSO.get(ours, ())):
            if name in plain:
                found.setdefault(ours, plain[name])
    for band in bands:
        for ours, forms in ((band, _MAGNITUDE), (f"{band}_error", _MAGNITUDE_ERROR)):
            for form in forms:
                # Letters of bands differ by case alone: G of Gaia is not g of Sloan.
                if form.format(band) in names:
                    found.setdefault(ours, form.format(band))
    return found


def _bands(names: Sequence[str]) -> list[str]:
    return [name for name in names if f"{name}_error" in names]


def _is_of(names: Sequence[str], service: Service, bands: Sequence[str]) -> bool:
    """Tell whether these are columns of a service: its positions, and a magnitude."""
    there = {name.casefold() for name in names}
    has = {ours for ours, theirs in service.columns.items() if theirs.casefold() in there}
    return {"ra_deg", "dec_deg"} <= has and any(band in has for band in bands)

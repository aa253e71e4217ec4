"""Make sense of what a service sent: a table, half a table, or a web page."""

from __future__ import annotations

import gzip
import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import votable

from reducers.frame import Vector

if TYPE_CHECKING:
    from calibration_store.catalogues.services import Service

_J2000_MJD, _J2000_JD, _YEAR_DAYS = 51544.5, 2451545.0, 365.25
#: Magnitudes outside are codes for "missing" (99, -999).
_FAINTEST, _BRIGHTEST = 40.0, -5.0
_ERROR_OF_RATIO = 2.5 / np.log(10)


class BrokenAnswer(Exception):
    """The service answered with something other than the table.

    Attributes
    ----------
    of_table
        The fault lies with this table; the host may serve others.
    """

    def __init__(self, message: str, *, of_table: bool = False) -> None:
        super().__init__(message)
        self.of_table = of_table


@dataclass(frozen=True, slots=True)
class Answered:
    """The columns that a service sent, by our names, and whether there would have been more."""

    columns: Mapping[str, Vector]
    truncated: bool

    def __len__(self) -> int:
        return len(self.columns["ra_deg"])


def read_answer(content: bytes, service: Service, *, row_limit: int) -> Answered:
    """Return the columns of a VOTable.

    Parameters
    ----------
    row_limit
        Rows that were asked for; when as many came there are more.

    Raises
    ------
    BrokenAnswer
        If it is a web page, breaks off, reports an error or lacks a column.
    """
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as error:
            raise BrokenAnswer("the answer broke off") from error
    _check_whole(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = votable.parse(io.BytesIO(content), verify="ignore")
    except (ValueError, LookupError, TypeError, OSError) as error:
        raise BrokenAnswer(f"the table cannot be read: {error}", of_table=True) from error
    overflow = _status(parsed)
    table = next(iter(parsed.iter_tables()), None)
    if table is None:
        return Answered({name: np.empty(0) for name in ("ra_deg", "dec_deg")}, overflow)
    found = table.to_table(use_names_over_ids=True)
    names = {name.casefold() for name in found.colnames}
    missing = [name for name in _indispensable(service) if name.casefold() not in names]
    if missing and len(found):
        raise BrokenAnswer(f"its table has no column {', '.join(missing)}", of_table=True)
    return Answered(columns_of(found, service), overflow or len(found) >= row_limit)


def columns_of(table: Any, service: Service) -> dict[str, Vector]:
    """Return the columns of a service's table by our names and in our units; some may lack.

    Names are compared without regard to case.
    """
    names = {name.casefold(): name for name in table.colnames}
    raw = {
        ours: _numbers(table[names[theirs.casefold()]], service.missing_value)
        for ours, theirs in _named_columns(service).items()
        if theirs.casefold() in names
    }
    return _canonical(raw, service)


def _check_whole(content: bytes) -> None:
    head = content[:4000].lower()
    if not content.strip():
        raise BrokenAnswer("the answer is empty")
    if b"<html" in head or b"<!doctype html" in head:
        raise BrokenAnswer("it sent a web page instead of a table (maintenance?)")
    if b"<votable" not in head:
        raise BrokenAnswer("what it sent is not a table")
    if b"</votable>" not in content[-2000:].lower():
        raise BrokenAnswer("the answer broke off")


def _status(parsed: Any) -> bool:
    """Return whether the service says that it left rows out; raise what it reports as an error."""
    infos = list(parsed.infos)
    for resource in parsed.resources:
        infos += resource.infos
        for table in resource.tables:
            infos += table.infos
    overflow = False
    for info in infos:
        name, value = str(info.name or info.ID or ""), str(info.value or "")
        if "error" in name.casefold() or (name, value) == ("QUERY_STATUS", "ERROR"):
            said = " ".join(str(info.content or value).split())[:200]
            raise BrokenAnswer(f"it reports an error: {said}", of_table=True)
        overflow |= name == "QUERY_STATUS" and value == "OVERFLOW"
    return overflow


def _named_columns(service: Service) -> dict[str, str]:
    """Return every column to ask for: our name, or a role, -> the service's."""
    wanted = dict(service.columns)
    for role in ("psf", "kron", "class", "probability"):
        if role in service.extended:
            wanted[f"_{role}"] = str(service.extended[role])
    if service.ruwe:
        wanted["_ruwe"] = service.ruwe
    return wanted


def _indispensable(service: Service) -> tuple[str, ...]:
    """Return the columns without which an answer is refused: positions and magnitudes.

    What else is missing leaves the entries with larger errors, as entries without that value.
    """
    ours = ("ra_deg", "dec_deg", *(name for name in service.columns if name in service.bands))
    return tuple(service.columns[name] for name in ours)


def columns_wanted(service: Service) -> tuple[str, ...]:
    """Return the names of the service's columns that are needed, each once."""
    return tuple(dict.fromkeys(_named_columns(service).values()))


def _numbers(column: Any, missing_value: float | None) -> Vector:
    values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
    if missing_value is not None:
        values = np.where(values == missing_value, np.nan, values)
    return np.asarray(values)


def _canonical(raw: dict[str, Vector], service: Service) -> dict[str, Vector]:
    """Turn a service's columns into ours: one error per axis, Julian years, star or not."""
    raw = {name: values * service.factors.get(name, 1.0) for name, values in raw.items()}
    found = {name: v for name, v in raw.items() if not name.startswith("_")}
    for name in ("position_error", "motion_error"):
        axes = [found.pop(f"{name}_{axis}_mas", None) for axis in ("ra", "dec")]
        if axes[0] is not None and axes[1] is not None:
            found[f"{name}_mas"] = np.sqrt((axes[0] ** 2 + axes[1] ** 2) / 2)
    if "_ruwe" in raw and "position_error_mas" in found:
        found["position_error_mas"] *= np.fmax(raw["_ruwe"], 1.0)
    for name, zero in (("epoch_mjd", _J2000_MJD), ("epoch_jd", _J2000_JD)):
        if name in found:
            found["epoch_year"] = 2000 + (found.pop(name) - zero) / _YEAR_DAYS
    if "epoch_year" in found:
        year = found["epoch_year"]
        found["epoch_year"] = np.where((year > 1900) & (year < 2100), year, np.nan)
    for name in [name for name in found if name.endswith("_flux_over_error")]:
        with np.errstate(divide="ignore"):
            error = _ERROR_OF_RATIO / found.pop(name)
        found[name.replace("_flux_over_error", "_error")] = error
    for name in set(found) - {"ra_deg", "dec_deg"}:
        if f"{name}_error" in found:
            usual = (found[name] > _BRIGHTEST) & (found[name] < _FAINTEST)
            found[name] = np.where(usual, found[name], np.nan)
    star = star_of(raw, service)
    return found if star is None else {**found, "star": star}


def star_of(raw: Mapping[str, Vector], service: Service) -> Vector | None:
    """Return 1 for stars, 0 for extended sources, NaN where that is not known.

    By the rule in `services.toml`: a class number, a probability, or by how much a Kron magnitude
    is brighter than that of the PSF.
    """
    rule = service.extended
    star: Vector | None = None
    if "_class" in raw:
        star = np.where(np.isnan(raw["_class"]), np.nan, raw["_class"] == float(rule["star"]))
    elif "_probability" in raw:
        star = raw["_probability"]
    elif "_psf" in raw and "_kron" in raw:
        excess = raw["_psf"] - raw["_kron"]
        star = np.where(np.isnan(excess), np.nan, excess < float(rule["above_mag"]))
    elif service.ruwe and "ra_deg" in raw:
        star = np.ones(len(raw["ra_deg"]))
    return star

"""Entries of a catalogue as packed rows, and as the recipes take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from calibration_store.catalogues.motion import moved, position_error_mas
from calibration_store.catalogues.sky import Cone, pixels_of
from reducers.imaging.references import ReferenceCatalogue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector

Rows = NDArray[Any]

#: Columns that entries may have beside their magnitudes; only the first two must be there.
COLUMNS = {
    "ra_deg": "right ascension, ICRS",
    "dec_deg": "declination, ICRS",
    "epoch_year": "Julian year of the position",
    "motion_ra_mas": "proper motion a year, times cos(dec)",
    "motion_dec_mas": "proper motion a year",
    "parallax_mas": "parallax",
    "position_error_mas": "error of the position per axis",
    "motion_error_mas": "error of the proper motion per axis",
    "star": "1 a star, 0 extended",
}
#: Where a file or a service does not say: survey positions are good to about this.
DEFAULT_POSITION_ERROR_MAS = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What one catalogue on local disc is.

    Attributes
    ----------
    name
        'gaia', 'ps1', ...
    bands
        Names of its magnitudes.
    releases
        Releases of which entries are held; ranges of coverage number them.
    limits
        Magnitude down to which a band is nearly complete.
    """

    name: str
    bands: tuple[str, ...]
    releases: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)


def row_type(bands: Sequence[str]) -> np.dtype[Any]:
    """Return the record of one entry, 8-byte aligned so that the sort key is read in place."""
    plain = [("ra", "f8"), ("dec", "f8"), ("pixel", "i4"), ("epoch", "f4")]
    plain += [("motion_ra", "f4"), ("motion_dec", "f4"), ("parallax", "f4"), ("error", "f4")]
    plain += [(band, "f4") for band in bands]
    plain += [("motion_error", "f2"), ("star", "f2")]
    plain += [(f"{band}_error", "f2") for band in bands]
    return np.dtype(plain, align=True)


def pack(columns: Mapping[str, Any], bands: Sequence[str], *, epoch_year: float = 2000.0) -> Rows:
    """Return entries as rows, sorted by pixel.

    Parameters
    ----------
    columns
        By the names in `COLUMNS`; magnitudes by band, their errors as '<band>_error'. Masked
        values count as missing. Entries without a position are left out.
    epoch_year
        Epoch where the columns do not give one.
    """
    ra, dec = _numbers(columns["ra_deg"]), _numbers(columns["dec_deg"])
    kept = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    rows = np.zeros(int(kept.sum()), row_type(bands))
    rows["ra"], rows["dec"] = ra[kept] % 360, dec[kept]
    rows["pixel"] = pixels_of(rows["ra"], rows["dec"])
    wanted = {
        "epoch": ("epoch_year", epoch_year),
        "motion_ra": ("motion_ra_mas", np.nan),
        "motion_dec": ("motion_dec_mas", np.nan),
        "parallax": ("parallax_mas", np.nan),
        "error": ("position_error_mas", DEFAULT_POSITION_ERROR_MAS),
        "motion_error": ("motion_error_mas", np.nan),
        "star": ("star", np.nan),
    }
    wanted |= {name: (name, np.nan) for band in bands for name in (band, f"{band}_error")}
    for target, (source, default) in wanted.items():
        values = (
            _numbers(columns[source])[kept] if source in columns else np.full(len(rows), default)
        )
        if np.isfinite(default):
            values = np.where(np.isfinite(values), values, default)
        with np.errstate(over="ignore"):
            rows[target] = values
    return rows[np.argsort(rows["pixel"], kind="stable")]


def _numbers(values: Any) -> Vector:
    return np.ma.filled(np.ma.asarray(values).astype(float), np.nan)


def at_epoch(
    rows: Rows,
    cone: Cone,
    epoch_year: float,
    holding: Holding,
    *,
    covered: float,
    retrieved: str = "",
    truncated: bool = False,
    releases: Sequence[str] = (),
) -> ReferenceCatalogue:
    """Return the entries that are inside a cone at an epoch, brightest in the first band first."""
    years = epoch_year - rows["epoch"].astype(float)
    speeds = [rows[name].astype(float) for name in ("motion_ra", "motion_dec")]
    known = np.isfinite(speeds[0]) & np.isfinite(speeds[1])
    east, north = (np.where(known, speed, 0.0) for speed in speeds)
    ra, dec = moved(rows["ra"], rows["dec"], east, north, years)
    inside = np.flatnonzero(cone.margin_deg(ra, dec) >= 0)
    if holding.bands:
        inside = inside[np.argsort(rows[holding.bands[0]][inside], kind="stable")]
    error = position_error_mas(
        rows["error"].astype(float), rows["motion_error"].astype(float), years, known
    )
    return ReferenceCatalogue(
        name=holding.name,
        release=", ".join(releases),
        retrieved=retrieved,
        epoch_year=epoch_year,
        ra_deg=ra[inside],
        dec_deg=dec[inside],
        position_error_mas=error[inside],
        motion_known=known[inside],
        motion_mas=np.hypot(*speeds)[inside],
        star=rows["star"][inside].astype(float),
        magnitudes={band: rows[band][inside].astype(float) for band in holding.bands},
        magnitude_errors={
            band: rows[f"{band}_error"][inside].astype(float) for band in holding.bands
        },
        covered=covered,
        truncated=truncated,
        limits=dict(holding.limits),
    )

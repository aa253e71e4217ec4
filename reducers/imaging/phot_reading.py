"""Read from the photometry of a calibrated image what it says of one place on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from reducers.errors import UnreadableFile
from reducers.imaging.source_flags import NOT_FOR_CALIBRATION

if TYPE_CHECKING:
    from pathlib import Path

#: Where so many sources stand so near to a place by chance, none of them is taken for the target.
_MOST_BY_CHANCE = 0.05
_AROUND_ARCSEC = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMagnitude:
    """A point source on an image with a zero point.

    Attributes
    ----------
    magnitude, error : float
        For a source of `reference_colour` (g - r), with the error of the zero point.
    band, system : str
        'V', 'Vega'; 'r', 'AB'.
    off_arcsec : float
        From the place that was asked for.
    """

    magnitude: float
    error: float
    band: str
    system: str
    colour_term: float
    reference_colour: float
    off_arcsec: float


def source_at(
    path: Path, ra_deg: float, dec_deg: float, within_arcsec: float
) -> SourceMagnitude | None:
    """Return the point source nearest to a place; None where none is near and well measured.

    None, too, where stars are so dense that another one may well be as near.

    Raises
    ------
    UnreadableFile
        If the file is no photometry of an image.
    """
    try:
        with fits.open(path) as hdus:
            table, header = hdus["PSFPHOT"].data, hdus["PSFPHOT"].header
            zero = hdus["ZEROPOINT"].header if "ZEROPOINT" in hdus else fits.Header()
            if "ZPTMAG" not in header or "RA" not in table.names or not len(table):
                return None
            columns = {
                name: np.array(table[name]) for name in ("RA", "DEC", "MAG", "MAGERR", "FLAGS")
            }
    except (OSError, KeyError, ValueError) as damaged:
        raise UnreadableFile(f"{path.name} is no photometry of an image: {damaged}") from damaged
    along = (columns["RA"] - ra_deg + 180) % 360 - 180
    off_arcsec = 3600 * np.hypot(along * np.cos(np.radians(dec_deg)), columns["DEC"] - dec_deg)
    nearest = int(np.argmin(off_arcsec))
    flagged = columns["FLAGS"][nearest] & int(NOT_FOR_CALIBRATION)
    error = np.sqrt(
        float(columns["MAGERR"][nearest]) ** 2
        + float(header.get("ZPTMUCER", 0.0)) ** 2
        + float(zero.get("ZPTSYS", 0.0)) ** 2
    )
    magnitude = float(columns["MAG"][nearest])
    around = int((off_arcsec < _AROUND_ARCSEC).sum()) - 1
    if around * (within_arcsec / _AROUND_ARCSEC) ** 2 > _MOST_BY_CHANCE:
        return None
    if not off_arcsec[nearest] <= within_arcsec or flagged or not np.isfinite(magnitude + error):
        return None
    return SourceMagnitude(
        magnitude=magnitude,
        error=float(error),
        band=str(header.get("ZPTBAND", "")),
        system=str(header.get("MAGSYS", "")),
        colour_term=float(header.get("COLTERM", 0.0)),
        reference_colour=float(header.get("COLREF", 0.6)),
        off_arcsec=float(off_arcsec[nearest]),
    )

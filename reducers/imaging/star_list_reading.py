"""Read from the files of a calibrated image what its stars say of the flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from reducers.errors import UnreadableFile
from reducers.imaging.star_flat_fit import StarList
from reducers.imaging.zero_point_fit import LEAST_ERROR

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.frame import Image


def read_star_list(phot: Path, image: Path, stem: str) -> StarList | None:
    """Return the stars that gave an image its zero point; None where there is none.

    Their residuals are as they were without the star flat that was applied.

    Raises
    ------
    UnreadableFile
        If the files are not those of a calibrated image.
    """
    try:
        with fits.open(phot) as hdus:
            if "ZEROPOINT" not in hdus or "APPLIED" not in hdus["ZEROPOINT"].data.names:
                return None
            zero, stars = hdus["ZEROPOINT"].data, hdus["PSFPHOT"].data
            kept = np.array(zero["KEPT"], bool)
            if not kept.any() or "RA" not in stars.names:
                return None
            row = np.array(zero["NUMBER"], np.intp)[kept] - 1
            own = {
                name: np.array(stars[name], np.float64)[row]
                for name in ("RA", "DEC", "X", "Y", "MAGERR")
            }
            residual, error, applied = (
                np.array(zero[name], np.float64)[kept] for name in ("RESIDUAL", "ERROR", "APPLIED")
            )
        sky, step = _sky_of(image) if not applied.any() else (None, 1)
    except (OSError, KeyError, ValueError, IndexError) as damaged:
        raise UnreadableFile(f"{phot.name} tells no stars of an image: {damaged}") from damaged
    entry = error**2 - own["MAGERR"] ** 2 - LEAST_ERROR**2
    return StarList(
        stem=stem,
        ra_deg=own["RA"],
        dec_deg=own["DEC"],
        x=own["X"],
        y=own["Y"],
        residual=residual + applied,
        error=own["MAGERR"],
        entry_error=np.sqrt(np.maximum(entry, 0.0)),
        sky=sky,
        sky_step=step,
    )


def _sky_of(image: Path) -> tuple[Image, int]:
    with fits.open(image) as hdus:
        model = hdus["BACKGROUND"]
        return np.array(model.data, np.float32), int(model.header["BKGSTEP"])

"""The sources of an image as tables, with the point spread that measured them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.imaging.apertures import CHOSEN
from reducers.imaging.source_flags import SENTENCES
from reducers.products import add_card, provenance_hdu

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.sky_map import Astrometry
    from reducers.imaging.zero_point import ZeroPoint
    from reducers.products import Provenance

#: The picture of the point spread: half-width in FWHM, and steps per image pixel.
_PICTURE_FWHM, _PICTURE_STEPS = 4.0, 4


def phot_hdus(
    found: Photometry,
    astrometry: Astrometry | None,
    zero: ZeroPoint | None,
    header: fits.Header,
    provenance: Sequence[Provenance],
    *,
    exposure_s: float,
) -> fits.HDUList:
    """Return every table of an image's sources.

    Returns
    -------
    HDUList
        PSFPHOT (places, fluxes and magnitudes by the point-spread fit: for stars), APPPHOT
        (circles and Kron ellipses: for everything else), PSFSTARS, PSF, RESIDUAL (the image
        without its sources), ZEROPOINT where stars gave one, PROVENANCE. A source has the same
        NUMBER in all of them; X and Y are 0-based.
    """
    number = np.arange(1, len(found) + 1)
    place = _places(found, number, astrometry)
    hdus = [
        fits.PrimaryHDU(header=header),
        _psf_table(found, place, zero, exposure_s),
        _aperture_table(found, place, zero, exposure_s),
        _psf_stars(found, number),
        _psf_picture(found),
        fits.ImageHDU(found.fit.residual, name="RESIDUAL"),
    ]
    hdus[-1].header["BUNIT"] = "electron"
    if zero is not None:
        hdus.append(_zero_table(zero, number))
    hdus.append(provenance_hdu(provenance))
    return fits.HDUList(hdus)


def magnitudes(
    flux: Vector, error: Vector, zero: ZeroPoint | None, exposure_s: float
) -> tuple[Vector, Vector]:
    """Return magnitudes and their errors, without the zero point's; NaN where no flux is positive.

    Without a zero point they are instrumental: -2.5 log10 of electrons per second.
    """
    good = flux > 0
    safe = np.where(good, flux, 1.0)
    offset = zero.magnitude if zero is not None and zero.known else 0.0
    value = offset - 2.5 * np.log10(safe / max(exposure_s, 1e-3))
    sigma = 2.5 / math.log(10) * error / safe
    return np.where(good, value, np.nan), np.where(good, sigma, np.nan)


def _places(
    found: Photometry, number: NDArray[np.intp], astrometry: Astrometry | None
) -> list[fits.Column]:
    columns = [
        fits.Column("NUMBER", "J", array=number),
        fits.Column("X", "D", unit="pixel", array=found.x),
        fits.Column("Y", "D", unit="pixel", array=found.y),
        fits.Column("X_ERR", "E", unit="pixel", array=found.x_error),
        fits.Column("Y_ERR", "E", unit="pixel", array=found.y_error),
    ]
    if astrometry is not None:
        ra, dec = astrometry.sky_map.sky(found.x, found.y)
        columns[1:1] = [
            fits.Column("RA", "D", unit="deg", array=ra),
            fits.Column("DEC", "D", unit="deg", array=dec),
        ]
    return columns


def _with_magnitude(
    name: str, flux: Vector, error: Vector, zero: ZeroPoint | None, exposure_s: float
) -> list[fits.Column]:
    value, sigma = magnitudes(flux, error, zero, exposure_s)
    tail = f"_{name}" if name else ""
    return [
        fits.Column(f"FLUX{tail}", "D", unit="electron", array=flux),
        fits.Column(f"FLUXERR{tail}", "E", unit="electron", array=error),
        fits.Column(f"MAG{tail}", "E", unit="mag", array=value),
        fits.Column(f"MAGERR{tail}", "E", unit="mag", array=sigma),
    ]


def _psf_table(
    found: Photometry, place: list[fits.Column], zero: ZeroPoint | None, exposure_s: float
) -> fits.BinTableHDU:
    columns = [
        *place,
        *_with_magnitude("", found.flux, found.flux_error, zero, exposure_s),
        fits.Column("CHI2", "E", array=found.fit.chi2),
        fits.Column("STAR", "E", array=found.kind.star_probability),
        fits.Column("GROUP", "J", array=found.fit.group),
        fits.Column("FLAGS", "J", array=found.flags),
    ]
    return _table("PSFPHOT", columns, found, zero)


def _aperture_table(
    found: Photometry, place: list[fits.Column], zero: ZeroPoint | None, exposure_s: float
) -> fits.BinTableHDU:
    seen = found.apertures
    columns = [
        *place[: 3 if len(place) == 5 else 5],
        *_with_magnitude("", found.aperture_flux, found.aperture_error, zero, exposure_s),
        *_with_magnitude("KRON", seen.kron_flux, seen.kron_error, zero, exposure_s),
        fits.Column("KRON_A", "E", unit="pixel", array=seen.kron_radius_px),
        fits.Column("KRON_BA", "E", array=seen.kron_axis_ratio),
        fits.Column("KRON_PA", "E", unit="rad", array=seen.kron_theta_rad),
        fits.Column("CROWDING", "E", array=seen.crowding),
        fits.Column("FLAGS", "J", array=found.flags),
    ]
    for index in range(len(seen.radii_px)):
        columns += [
            fits.Column(f"FLUX_R{index + 1}", "D", unit="electron", array=seen.flux[:, index]),
            fits.Column(
                f"FLUXERR_R{index + 1}", "E", unit="electron", array=seen.flux_error[:, index]
            ),
        ]
    table = _table("APPPHOT", columns, found, zero)
    for index, radius in enumerate(seen.radii_px, start=1):
        add_card(table.header, f"APRAD{index}", float(radius), "[pix] radius of FLUX_R")
    add_card(table.header, "APUSED", CHOSEN + 1, "FLUX is that radius, corrected to the total")
    return table


def _table(
    name: str, columns: list[fits.Column], found: Photometry, zero: ZeroPoint | None
) -> fits.BinTableHDU:
    # FITS knows no unit "electron": the name in the header says what is counted.
    counted = [
        fits.Column(
            each.name, each.format, array=each.array,
            unit="count" if each.unit == "electron" else each.unit,
        )
        for each in columns
    ]  # fmt: skip
    table = fits.BinTableHDU.from_columns(counted, name=name)
    known = zero is not None and zero.known
    cards: list[tuple[str, Any, str]] = [
        ("COUNTED", "electron", "what a count is"),
        ("PIXBASE", 0, "X and Y of the first pixel's centre"),
        ("MAGSYS", zero.system if zero is not None and known else "instrumental", "of MAG"),
        ("FWHM", found.psf.fwhm_px, "[pix] of a star in the middle"),
    ]
    if zero is not None and known:
        cards += [
            ("ZPTMAG", zero.magnitude, "[mag] of 1 electron/s"),
            ("ZPTMUCER", zero.error, "[mag] its error, not part of MAGERR"),
            ("ZPTBAND", zero.band, "band of MAG"),
            ("COLTERM", zero.colour_term, "[mag] to add per mag of g - r beyond COLREF"),
            ("COLREF", zero.reference_colour, "[mag] colour of which MAG holds as it is"),
        ]
    cards += [
        (f"FLAG{int(bit).bit_length() - 1}", sentence, "") for bit, sentence in SENTENCES.items()
    ]
    for keyword, value, comment in cards:
        add_card(table.header, keyword, value, comment)
    return table


def _psf_stars(found: Photometry, number: NDArray[np.intp]) -> fits.BinTableHDU:
    chosen = found.psf_stars
    fwhm, first, second = found.psf.parameters(found.x[chosen], found.y[chosen])
    return fits.BinTableHDU.from_columns(
        [
            fits.Column("NUMBER", "J", array=number[chosen]),
            fits.Column("X", "D", unit="pixel", array=found.x[chosen]),
            fits.Column("Y", "D", unit="pixel", array=found.y[chosen]),
            fits.Column("FLUX", "D", unit="count", array=found.flux[chosen]),
            fits.Column("FWHM", "E", unit="pixel", array=fwhm),
            fits.Column("E1", "E", array=first),
            fits.Column("E2", "E", array=second),
            fits.Column("CHI2", "E", array=found.fit.chi2[chosen]),
        ],
        name="PSFSTARS",
    )


def _psf_picture(found: Photometry) -> fits.ImageHDU:
    psf = found.psf
    half = max(5, math.ceil(_PICTURE_FWHM * psf.fwhm_px))
    rows, columns = psf.shape
    picture = psf.picture(columns / 2, rows / 2, half=half, oversampling=_PICTURE_STEPS)
    hdu = fits.ImageHDU(np.asarray(picture, np.float32), name="PSF")
    for keyword, value, comment in (
        ("OVERSAMP", _PICTURE_STEPS, "steps per image pixel"),
        ("BETA", psf.beta, "power of the Moffat profile"),
        ("FWHM", psf.fwhm_px, "[pix] in the middle of the image"),
        ("NSTARS", psf.stars, "stars it was made of; 0 for a guess"),
        ("MODELERR", psf.model_error, "fraction of a pixel's light"),
    ):
        add_card(hdu.header, keyword, value, comment)
    return hdu


def _zero_table(zero: ZeroPoint, number: NDArray[np.intp]) -> fits.BinTableHDU:
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("NUMBER", "J", array=number[zero.source_index]),
            fits.Column("RESIDUAL", "E", unit="mag", array=zero.residual),
            fits.Column("KEPT", "L", array=zero.kept),
            fits.Column("ERROR", "E", unit="mag", array=zero.star_error),
            fits.Column("APPLIED", "E", unit="mag", array=zero.star_applied),
        ],
        name="ZEROPOINT",
    )
    for keyword, value, comment in (
        ("ZPTMAG", zero.magnitude, "[mag] of 1 electron/s"),
        ("ZPTMUCER", zero.error, "[mag] its error"),
        ("ZPTSYS", zero.systematic, "[mag] how far the catalogue may be off"),
        ("ZPTSCAT", zero.scatter, "[mag] scatter of stars beyond their errors"),
        ("ZPTNSTAR", zero.stars, "stars kept"),
        ("ZPTCAT", f"{zero.catalogue} {zero.release}".strip(), "magnitudes from"),
        ("ZPTREL", zero.source, "relation used"),
        ("ZPTWHY", zero.why, "why there is none"),
    ):
        add_card(table.header, keyword, value, comment)
    return table

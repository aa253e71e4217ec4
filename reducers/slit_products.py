"""The slit and its spectrum as images: as recorded, on a linear grid, and for IRAF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.frame import UNUSABLE
from reducers.products import add_card, image_hdus, printable, provenance_hdu
from reducers.spectral_axis import VACUUM, SpectralAxis
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectroscopy.rectify import linear_flux, linear_grid, rectify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.products import Provenance
    from reducers.reduced import ReducedSpectrum
    from reducers.spectroscopy.rectify import LinearGrid
    from reducers.spectrum import Spectrum


def image2d_hdus(
    reduced: ReducedSpectrum,
    header: fits.Header,
    provenance: Sequence[Provenance],
    axis: SpectralAxis = VACUUM,
) -> fits.HDUList:
    """Return the sky-subtracted slit as recorded: + UNCERT, MASK, DQ, SKY and WAVE."""
    frame = reduced.image
    subtracted = frame.after("sky: subtracted", data=frame.data - reduced.sky.astype(np.float32))
    hdus = image_hdus(subtracted, _with_history(header, subtracted.history))
    hdus.append(fits.ImageHDU(reduced.sky.astype(np.float32), name="SKY"))
    if not reduced.in_pixels:
        hdus.append(fits.ImageHDU(axis.published(reduced.wavelengths), name="WAVE"))
        hdus[-1].header["BUNIT"] = axis.unit
    hdus.append(provenance_hdu(provenance))
    return hdus


def _with_history(header: fits.Header, history: Sequence[str]) -> fits.Header:
    """Return a copy that tells the steps of an image instead of those of the spectrum."""
    cards = header.copy()
    cards.remove("HISTORY", remove_all=True, ignore_missing=True)
    for step in history:
        cards.add_history(printable(step, limit=1000))
    return cards


def rectified_hdus(
    reduced: ReducedSpectrum,
    header: fits.Header,
    provenance: Sequence[Provenance],
    axis: SpectralAxis = VACUUM,
) -> fits.HDUList:
    """Return the sky-subtracted slit on a linear wavelength grid: + UNCERT, MASK, DQ and SKY.

    Wavelength runs along the first FITS axis, the image columns along the second; the grid is
    that of the target's linear spectrum.
    """
    grid = linear_grid(axis.published(reduced.objects[0].spectrum.wavelength))
    made = rectify(reduced.image, reduced.sky, axis.published(reduced.wavelengths), grid)
    steps = (
        *reduced.image.history,
        "sky: subtracted",
        "rectify: neighbouring bins share pixels, their noise correlates",
    )
    primary = fits.PrimaryHDU(made.data, header=_with_history(header, steps))
    cards = (
        *_axis_cards(grid, axis),
        ("CRPIX2", 1.0, ""), ("CRVAL2", 0.0, "image column, 0-based"), ("CDELT2", 1.0, ""),
        ("CTYPE2", "SLITCOL", ""), ("BUNIT", reduced.image.unit, "per bin; flux is conserved"),
    )  # fmt: skip
    for keyword, value, comment in cards:
        add_card(primary.header, keyword, value, comment)
    sigma = fits.ImageHDU(made.error, name="UNCERT")
    sigma.header["UTYPE"] = "StdDevUncertainty"
    sigma.header["BUNIT"] = reduced.image.unit
    unusable = (made.mask & np.uint16(UNUSABLE)) != 0
    return fits.HDUList(
        [
            primary,
            sigma,
            fits.ImageHDU(unusable.astype(np.uint8), name="MASK"),
            fits.ImageHDU(made.mask.astype(np.int32), name="DQ"),
            fits.ImageHDU(made.sky, name="SKY"),
            provenance_hdu(provenance),
        ]
    )


def _axis_cards(grid: LinearGrid, axis: SpectralAxis) -> list[tuple[str, Any, str]]:
    """Return the cards of a linear first axis."""
    return [
        ("CRPIX1", 1.0, ""), ("CRVAL1", grid.start, "of the first bin"),
        ("CDELT1", grid.step, ""), ("CTYPE1", axis.ctype, axis.words), ("CUNIT1", axis.unit, ""),
    ]  # fmt: skip


def iraf_hdus(spectrum: Spectrum, header: fits.Header, axis: SpectralAxis = VACUUM) -> fits.HDUList:
    """Return a linear one-dimensional image for IRAF and PyNOT, with ERR and MASK (1: bad).

    Neighbours share noise after the interpolation: it is not for measuring.
    """
    density = spectrum.unit == FLUX_UNIT
    along = axis.published(spectrum.wavelength)
    grid, flux = linear_flux(along, spectrum.flux, density=density)
    cards = header.copy()
    for keyword, value, comment in (
        *_axis_cards(grid, axis), ("CD1_1", grid.step, ""), ("DC-FLAG", 0, "linear"),
        ("BUNIT", spectrum.unit, ""),
    ):  # fmt: skip
        add_card(cards, keyword, value, comment)
    primary = fits.PrimaryHDU(flux, header=cards)
    primary.name = "FLUX"  # PyNOT asks for these three names; IRAF takes the primary image
    good = spectrum.good if spectrum.good.any() else np.ones(spectrum.flux.size, bool)
    # A bin that holds more than one pixel has more counts, or a better mean density.
    pixels = np.sqrt(grid.step / np.abs(np.gradient(along)))
    noise = spectrum.error / pixels if density else spectrum.error * pixels
    error = np.interp(grid.centres, along[good], noise[good])
    bad = np.interp(grid.centres, along, (~spectrum.good).astype(np.float64)) > 0
    return fits.HDUList(
        [
            primary,
            fits.ImageHDU(error.astype(np.float32), name="ERR"),
            fits.ImageHDU(bad.astype(np.uint8), name="MASK"),
        ]
    )

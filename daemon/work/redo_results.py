"""What a request changes in a reduction, and how it shows in the products."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, TypeVar

from astropy.io.fits import HDUList

from reducers.products import add_card
from reducers.reduced import SpectrumSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.sections import Spectrum
    from daemon.work.redo import Redo
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.reduced import ReducedSpectrum

    Reduced = TypeVar("Reduced", ReducedSpectrum, ReducedImage)

#: Quality of what a person has looked at and found usable.
RECOVERED = 1


def settings_of(configured: Spectrum, redo: Redo) -> SpectrumSettings:
    """Return the settings in force for one reduction."""
    return SpectrumSettings(**{**asdict(configured), **redo.settings})


def recovered(reduced: Reduced, redo: Redo) -> Reduced:
    """Return the reduction with the quality that a person gave it, if one did."""
    if not redo.recover or reduced.quality <= RECOVERED:
        return reduced
    measurements = {**reduced.measurements, "quality_auto": float(reduced.quality)}
    return replace(reduced, quality=RECOVERED, measurements=measurements)


def sign(products: Mapping[str, HDUList | str], redo: Redo, quality_auto: int) -> None:
    """Write into every FITS header who asked for the product, when and for what."""
    if not redo.user:
        return
    cards = [
        ("REDOUSER", redo.user, "who asked for this version"),
        ("REDODATE", redo.at, "when"),
        ("QUALAUTO", quality_auto, "quality by the limits alone"),
    ]
    for hdus in products.values():
        if isinstance(hdus, HDUList):
            header = hdus[0].header
            for keyword, value, comment in cards:
                add_card(header, keyword, value, comment)
            header.add_history(f"redo: {redo.in_words}")

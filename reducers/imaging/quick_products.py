"""The small image that is there before the product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.frame import UNUSABLE
from reducers.imaging.image_products import blocks
from reducers.products import (
    add_card,
    base_header,
    position_cards,
    printable,
    provenance_hdu,
    time_cards,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.wcs import WCS

    from reducers.frame import Image
    from reducers.imaging.quick_look import QuickLook
    from reducers.products import Provenance
    from reducers.reduced import Exposure

#: No side of the small image is much longer.
LONGEST_PX = 1100
_MEASURED = {
    "stars": ("NSTARS", "stars found"),
    "seeing_arcsec": ("FWHM", "[arcsec] median of the stars"),
    "ellipticity": ("ELLIPTIC", "1 - b/a, median of the stars"),
    "sky_e": ("SKYLEVEL", "[electron] median of the sky"),
}


def quick_hdus(
    seen: QuickLook, exposure: Exposure, provenance: Sequence[Provenance]
) -> fits.HDUList:
    """Return PRIMARY (sky-subtracted electrons per pixel, averaged in blocks) and PROVENANCE."""
    plane, step = small(seen)
    header = base_header(provenance, (*seen.image.history, f"averaged in {step} x {step} pixels"))
    identity = exposure.identity
    cards: list[tuple[str, Any, str]] = [
        ("INSTRUME", identity.instrument, ""),
        ("OBJECT", printable(identity.target or identity.object_name), "target"),
        ("EXPTIME", identity.exposure_s, "[s] exposure time"),
        ("FILTER", identity.setup.filter, ""),
        ("PRODCATG", "ANCILLARY.PREVIEW", "not for measuring"),
        ("BUNIT", seen.image.unit, "per detector pixel"),
        ("PIXSTEP", step, "image pixels in one of these"),
        *time_cards(identity),
        *position_cards(identity),
    ]
    for name, (keyword, comment) in _MEASURED.items():
        value = seen.measurements.get(name, math.nan)
        if math.isfinite(value):
            cards.append((keyword, value, comment))
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)
    if seen.sky_map is not None:
        header.update(coarse(seen.sky_map.wcs, step).to_header())
        add_card(header, "WCSERR", 0 if seen.solved else 4, "0 confirmed by stars")
    return fits.HDUList([fits.PrimaryHDU(plane, header=header), provenance_hdu(provenance)])


def small(seen: QuickLook) -> tuple[Image, int]:
    """Return the sky-subtracted image in blocks, masked pixels left out, and their side."""
    usable = (seen.image.mask & np.uint16(UNUSABLE)) == 0
    return blocks(seen.image.data - seen.background, usable, LONGEST_PX)


def coarse(wcs: WCS, step: int) -> WCS:
    """Return the linear part of a map for an image averaged in blocks of `step` pixels."""
    linear = wcs.deepcopy()
    linear.sip = None
    linear.wcs.ctype = [name.removesuffix("-SIP") for name in linear.wcs.ctype]
    linear.wcs.crpix = (np.asarray(linear.wcs.crpix) - 0.5) / step + 0.5
    if linear.wcs.has_cd():
        linear.wcs.cd = np.asarray(linear.wcs.cd) * step
    else:
        linear.wcs.cdelt = np.asarray(linear.wcs.cdelt) * step
    return linear

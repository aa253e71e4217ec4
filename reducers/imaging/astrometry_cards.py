"""The place of an image as FITS cards."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from astropy.wcs import WCS

    from reducers.imaging.references import References
    from reducers.imaging.sky_map import Astrometry

Card = tuple[str, str | int | float, str]


class SkyStatus(IntEnum):
    """Values of the card WCSERR; 0 is a solution, as in the products of BANZAI."""

    SOLVED = 0
    NOT_MATCHED = 1
    NO_CATALOGUE = 4


def sky_status(astrometry: Astrometry, references: References | None) -> SkyStatus:
    """Return how the search for a solution ended."""
    if astrometry.solved:
        return SkyStatus.SOLVED
    known = (references.astrometric, *references.photometric) if references else ()
    covered = any(one is not None and one.covered > 0 for one in known)
    return SkyStatus.NOT_MATCHED if covered else SkyStatus.NO_CATALOGUE


def sky_cards(astrometry: Astrometry, references: References | None) -> list[Card]:
    """Return keyword, value and comment of every card that tells an image's place.

    RADISP and DEDISP are the scatter of the stars about the fit; the error of the map itself is
    WCSSYS.
    """
    status = sky_status(astrometry, references)
    cards: list[Card] = [*_map_cards(astrometry.sky_map.wcs)]
    cards += [
        ("WCSERR", int(status), "0 by stars, 1 no match, 4 no catalogue"),
        ("WCSMETH", astrometry.method, "step of the search that placed the image"),
        ("WCSNREF", int(astrometry.facts.get("catalogue_stars", 0)), "catalogue stars on it"),
        ("NMATCH", astrometry.matched, "catalogue stars in the fit"),
    ]
    if not astrometry.solved:
        return [*cards, ("WCSWHY", astrometry.why, "why the stars do not say")]
    facts = astrometry.facts
    cards += [
        ("RADISP", astrometry.ra_rms_mas / 1000, "[arcsec] rms of the stars in RA"),
        ("DEDISP", astrometry.dec_rms_mas / 1000, "[arcsec] rms of the stars in Dec"),
        ("WCSSYS", astrometry.systematic_mas / 1000, "[arcsec] error of the map, per axis"),
        ("WCSODDS", astrometry.log_odds, "ln of the odds against a chance match"),
        ("WCSOFF", facts["offset_arcsec"], "[arcsec] from the header's place"),
        ("WCSROT", facts["rotation_deg"], "[deg] turned against the header"),
        ("WCSSCALE", facts["scale_ratio"], "scale over the header's"),
    ]
    catalogue = astrometry.catalogue or (references.astrometric if references else None)
    if catalogue is not None:
        cards.append(("WCSCAT", f"{catalogue.name} {catalogue.release}".strip(), "positions from"))
        cards.append(("WCSEPOCH", catalogue.epoch_year, "[yr] epoch of the positions"))
    return [card for card in cards if not (isinstance(card[1], float) and math.isnan(card[1]))]


def _map_cards(wcs: WCS) -> Iterator[Card]:
    """Yield the map itself, as TAN or TAN-SIP."""
    yield "WCSAXES", 2, "axes of the sky map"
    for axis, name in enumerate(("RA", "Dec")):
        number = axis + 1
        yield f"CTYPE{number}", str(wcs.wcs.ctype[axis]), f"{name}, tangent plane"
        yield f"CUNIT{number}", "deg", "unit of CRVAL and CD"
        yield f"CRVAL{number}", float(wcs.wcs.crval[axis]), f"[deg] {name} at CRPIX"
        yield f"CRPIX{number}", float(wcs.wcs.crpix[axis]), "reference pixel, 1-based"
        for other in (0, 1):
            value = float(wcs.pixel_scale_matrix[axis, other])
            yield f"CD{number}_{other + 1}", value, "[deg/px]"
    yield "RADESYS", "ICRS", "frame of the coordinates"
    if wcs.sip is None:
        return
    planes = {"A": wcs.sip.a, "B": wcs.sip.b, "AP": wcs.sip.ap, "BP": wcs.sip.bp}
    for name, plane in planes.items():
        if plane is None:
            continue
        yield f"{name}_ORDER", len(plane) - 1, "order of the SIP polynomial"
        for p, q in np.argwhere(plane):
            yield f"{name}_{p}_{q}", float(plane[p, q]), ""

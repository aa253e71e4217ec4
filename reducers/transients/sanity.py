"""Doubt the frame before the sky: one warning instead of a thousand candidates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask
from reducers.quality import judge, load_limits
from reducers.transients.catalogue_depth import nearest_band
from reducers.transients.ranking import VETO_QUALITY
from reducers.transients.settings import search_numbers
from reducers.transients.sphere import pairs_within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.imaging.references import References
    from reducers.transients.candidate import Candidate
    from reducers.transients.known_sources import Listed
    from reducers.transients.search_image import SearchImage

#: Entries so much brighter than the limit of the search are certain to be seen.
_CERTAIN_MAG = 1.0
_SAME_ARCSEC = 2.0
_BRIGHTEST_MAG = 14.0


def doubt_about(
    image: SearchImage,
    references: References,
    listed: Sequence[Listed],
    candidates: Sequence[Candidate],
    limit_mag: float,
) -> str:
    """Return why the frame is suspicious, one sentence; '' where it is not.

    It is where the catalogues' stars are not seen where the map puts them, or where more sources
    that nothing speaks against are unlisted than belong to any sky.
    """
    rule = search_numbers()["sanity"]
    expected, seen = entries_seen(image, references, limit_mag)
    if expected >= rule["fewest_entries"] and seen < rule["seen_share"] * expected:
        return (
            f"Of {expected} catalogue stars that must be on this image only {seen} are seen where "
            "they should be: its place on the sky or its focus is wrong, and no source of it is "
            "called new."
        )
    if not listed:
        return ""
    limits = load_limits("transients")
    standing = sum(judge(one.measurements, limits)[1] < VETO_QUALITY for one in candidates)
    matched = int(np.any([one.listed for one in listed], axis=0).sum())
    if standing > max(rule["most"], rule["most_share"] * matched):
        return (
            f"{standing} sources of this image are in no catalogue and {matched} are: the image "
            "is to be doubted (place, focus, guiding) before the catalogues, and no source of it "
            "is called new."
        )
    return ""


def entries_seen(image: SearchImage, references: References, limit_mag: float) -> tuple[int, int]:
    """Return how many bright catalogue stars fall on the image, and how many are seen."""
    catalogue = references.astrometric
    if catalogue is None and references.photometric:
        catalogue = references.photometric[0]
    if catalogue is None or image.sky_map is None or math.isnan(limit_mag):
        return 0, 0
    band = nearest_band(catalogue.magnitudes, image.band)
    if not band:
        return 0, 0
    magnitude = catalogue.magnitudes[band]
    chosen = (magnitude < limit_mag - _CERTAIN_MAG) & (magnitude > _BRIGHTEST_MAG)
    ra, dec = catalogue.ra_deg[chosen], catalogue.dec_deg[chosen]
    x, y = image.sky_map.pixels(ra, dec)
    with np.errstate(invalid="ignore"):
        inside = (x >= 0) & (y >= 0) & (x < image.shape[1] - 1) & (y < image.shape[0] - 1)
    ra, dec, x, y = ra[inside], dec[inside], x[inside], y[inside]
    dark = np.uint16(Mask.VIGNETTED | Mask.SATURATED | Mask.BAD | Mask.EDGE)
    lit = (image.mask[np.rint(y).astype(int), np.rint(x).astype(int)] & dark) == 0
    found, _, _ = pairs_within(
        ra[lit], dec[lit], image.sources.ra_deg, image.sources.dec_deg, _SAME_ARCSEC
    )
    return int(lit.sum()), len(np.unique(found))

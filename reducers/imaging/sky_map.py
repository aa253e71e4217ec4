"""Where the pixels of an image lie on the sky."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales

from reducers.imaging.references import ReferenceCatalogue

if TYPE_CHECKING:
    from reducers.frame import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyMap:
    """A tangent-plane projection with SIP distortion, in ICRS.

    Attributes
    ----------
    wcs : astropy.wcs.WCS
        Not to be changed; pixel coordinates of this class are 0-based.
    """

    wcs: WCS

    def sky(self, x: Any, y: Any) -> tuple[Vector, Vector]:
        """Return right ascension and declination (deg) of 0-based pixels."""
        ra, dec = self.wcs.all_pix2world(np.asarray(x, float), np.asarray(y, float), 0)
        return ra, dec

    def pixels(self, ra_deg: Any, dec_deg: Any) -> tuple[Vector, Vector]:
        """Return the 0-based pixels of sky positions (deg); NaN behind the tangent plane."""
        x, y = self.wcs.all_world2pix(
            np.asarray(ra_deg, float), np.asarray(dec_deg, float), 0, tolerance=1e-4, quiet=True
        )
        return x, y

    @property
    def pixel_scale_arcsec(self) -> float:
        """Arcseconds per image pixel, mean of both axes, at the reference pixel."""
        return float(np.mean(proj_plane_pixel_scales(self.wcs.celestial)) * 3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Astrometry:
    """How an image was placed on the sky, and how well.

    Attributes
    ----------
    sky_map : SkyMap
        The solution; where `solved` is False the best guess from the header.
    solved : bool
        Whether stars confirm it.
    method : str
        'header', 'prior', 'wide', 'quads' or 'few': the step that gave it; 'blind' where
        another program did and no catalogue could confirm it.
    matched : int
        Catalogue stars used.
    ra_rms_mas, dec_rms_mas : float
        Scatter of the kept stars, per axis; NaN where not solved.
    systematic_mas : float
        Error of the mean position of the fit.
    log_odds : float
        ln of the odds that the match is not by chance.
    catalogue : ReferenceCatalogue or None
        Whose stars; None where not solved, or where other images gave the place.
    why : str
        Why it is not solved; '' where it is.
    facts : mapping of str to float
        'offset_arcsec', 'rotation_deg', 'scale_ratio' against the header, 'catalogue_stars', ...
    """

    sky_map: SkyMap
    solved: bool
    method: str
    matched: int = 0
    ra_rms_mas: float = float("nan")
    dec_rms_mas: float = float("nan")
    systematic_mas: float = float("nan")
    log_odds: float = float("nan")
    catalogue: ReferenceCatalogue | None = None
    why: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)

"""How well a source agrees with the places that satellites give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.transients.localisation import Colour
from reducers.transients.sphere import separation_arcsec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.imaging.sky_map import SkyMap
    from reducers.transients.localisation import Localisation

#: Radius that holds 99.7 % of a circular two-dimensional Gaussian, in units of its sigma per
#: axis: sqrt(-2 ln 0.003). It is 1.59 times the radius of 90 %.
AGREES_WITHIN_SIGMA = 3.4086
#: Places across the diameter of a circle at which its share on an image is looked for.
_STEPS = 41


def colour_of(
    ra_deg: float,
    dec_deg: float,
    error_arcsec: float,
    localisations: Sequence[Localisation],
) -> Colour:
    """Return the class of a source: each circle is tested by itself, none are summed.

    GREEN lies in a circle of arcseconds, ORANGE in one of arcminutes only, RED in none of those
    that were given; ORANGE where none was given at all. A circle of arcseconds is the finer word
    on the same event: a source in it is GREEN whatever the wider circle says.

    Parameters
    ----------
    error_arcsec
        Of the source, per axis.
    """
    if not localisations:
        return Colour.ORANGE
    inside = {one.kind for one in localisations if agrees(ra_deg, dec_deg, error_arcsec, one)}
    if "XRT" in inside:
        return Colour.GREEN
    return Colour.ORANGE if inside else Colour.RED


def agrees(ra_deg: float, dec_deg: float, error_arcsec: float, circle: Localisation) -> bool:
    """Tell whether a source may be what a satellite saw, at 99.7 %."""
    return bool(sigmas_off(ra_deg, dec_deg, error_arcsec, circle) <= AGREES_WITHIN_SIGMA)


def sigmas_off(ra_deg: float, dec_deg: float, error_arcsec: float, circle: Localisation) -> float:
    """Return the distance of a source from a circle's centre over the error of both, per axis."""
    away = float(separation_arcsec(ra_deg, dec_deg, circle.ra_deg, circle.dec_deg))
    return away / max(float(np.hypot(circle.sigma_arcsec, error_arcsec)), 1e-9)


def share_on_image(circle: Localisation, sky_map: SkyMap, shape: tuple[int, int]) -> float:
    """Return which part of a circle's area (90 %) lies on an image."""
    steps = np.linspace(-1, 1, _STEPS)
    u, v = np.meshgrid(steps, steps)
    inside = np.hypot(u, v) <= 1
    radius_deg = circle.r90_arcsec / 3600
    dec = circle.dec_deg + radius_deg * v[inside]
    # Near a pole the circle is approximate; a degree of declination is not.
    dec = np.clip(dec, -90, 90)
    ra = circle.ra_deg + radius_deg * u[inside] / np.maximum(np.cos(np.radians(dec)), 1e-6)
    x, y = sky_map.pixels(ra % 360, dec)
    with np.errstate(invalid="ignore"):
        seen = (x >= -0.5) & (y >= -0.5) & (x < shape[1] - 0.5) & (y < shape[0] - 0.5)
    return float(seen.mean())


def circle_in_words(circle: Localisation, sky_map: SkyMap, shape: tuple[int, int]) -> str:
    """Return how much of a circle an image shows; '' where it shows all of it."""
    share = share_on_image(circle, sky_map, shape)
    if share >= 0.999:
        return ""
    where = f"The {circle.kind} circle{f' of {circle.event}' if circle.event else ''}"
    if share > 0:
        return f"{where} lies on the image by {share:.0%} only: the source may be beyond its edge."
    ra, dec = sky_map.sky((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    away = float(separation_arcsec(circle.ra_deg, circle.dec_deg, float(ra), float(dec)))
    return (
        f"{where} lies off the image, {away / 60:.1f} arcmin from its middle: "
        "nothing here can be its source."
    )

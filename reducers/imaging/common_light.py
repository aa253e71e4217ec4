"""How much light images of one field got, by the stars that they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from reducers.frame import Vector
from reducers.imaging.tangent_plane import onto_plane

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Stars are the same within this distance; this many make a ratio.
SAME_ARCSEC, ENOUGH_STARS = 1.0, 5
#: Stars fainter than this many times their error do not count.
LEAST_SNR = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StarLight:
    """The stars of one image: place (deg), electrons per second and their error."""

    ra_deg: Vector
    dec_deg: Vector
    rate: Vector
    rate_error: Vector


def common_light(images: Mapping[str, StarLight]) -> dict[str, float]:
    """Return the light of each image over that of the clearest, by name.

    Medians over the stars that an image shares with the one that has most; an image that shares
    fewer than five with it is left out, and so is everything where no two images share stars.
    """
    bright = {name: _bright(stars) for name, stars in images.items()}
    if len(bright) < 2:
        return {}
    reference = max(bright, key=lambda name: bright[name].rate.size)
    light = {reference: 1.0}
    for name, stars in bright.items():
        if name != reference:
            ratios = _ratios(stars, bright[reference])
            if ratios.size >= ENOUGH_STARS:
                light[name] = float(np.median(ratios))
    if len(light) < 2:
        return {}
    clearest = max(light.values())
    return {name: value / clearest for name, value in light.items()}


def _bright(stars: StarLight) -> StarLight:
    keep = np.isfinite(stars.rate) & (stars.rate > LEAST_SNR * stars.rate_error)
    return StarLight(
        ra_deg=stars.ra_deg[keep],
        dec_deg=stars.dec_deg[keep],
        rate=stars.rate[keep],
        rate_error=stars.rate_error[keep],
    )


def _ratios(stars: StarLight, others: StarLight) -> Vector:
    """Return the light of shared stars over that in the other image."""
    if not stars.rate.size or not others.rate.size:
        return np.empty(0)
    tangent = float(others.ra_deg[0]), float(others.dec_deg[0])
    places = np.column_stack(onto_plane(stars.ra_deg, stars.dec_deg, tangent))
    theirs = np.column_stack(onto_plane(others.ra_deg, others.dec_deg, tangent))
    near = np.isfinite(places).all(axis=1)
    distance, index = cKDTree(theirs).query(np.nan_to_num(places))
    pairs = near & (distance < SAME_ARCSEC)
    return np.asarray(stars.rate[pairs] / others.rate[index[pairs]])

"""A point source on an extended host: tell their light apart, or say that it mixes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from reducers.spectroscopy.extract import solve_rows
from reducers.spectroscopy.shape import Profile, moffat_core, pixel_moffat
from reducers.spectroscopy.shape_correction import correct_shape
from reducers.spectroscopy.shape_fit import stacks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.spectroscopy.extract import Extraction
    from reducers.spectroscopy.trace import Planes, Trace

#: A target this much wider than a star beside it is extended; so is one with this much more
#: of its light farther out than 1.5 FWHM.
EXTENDED_FWHM, EXTENDED_WINGS = 1.3, 0.08
#: Fall of chi-squared by which the point source must better the fit.
LEAST_CHI2 = 50.0
#: Tolerance of the two-component model, share of the peak.
TOLERANCE = 0.01


def separate_host(
    planes: Planes, trace: Trace, wide: Profile, star: Profile
) -> tuple[Profile, Profile] | None:
    """Return the profiles of a point source and of the extended light around it.

    Parameters
    ----------
    planes
        Residual without other objects, variance without any object, and usable pixels.
    wide
        Profile fitted to the target as one object.
    star
        Profile of a point source on the same slit.

    Returns
    -------
    point, host
        None where the target is no wider than a star, or shows no point source in it.
    """
    if not _is_extended(trace, wide, star):
        return None
    found = _fit_two(planes, trace, wide, star)
    if found is None:
        return None
    offset, centre, fwhm, beta = found
    point = replace(star, offset_px=offset)
    host = Profile(beta=beta, fwhm_px=fwhm, slope=0.0, offset_px=centre)
    shapes = [p.values(trace, planes[0].shape[1]) for p in (point, host)]
    fluxes, _ = solve_rows(*planes, shapes)
    alone = planes[0] - fluxes[0][:, None] * shapes[0]
    return point, correct_shape((alone, planes[1], planes[2]), [trace], [host])[0]


def _is_extended(trace: Trace, wide: Profile, star: Profile) -> bool:
    """Whether the target is wider than a star, or has more light in its wings."""
    if wide.fwhm_px > EXTENDED_FWHM * star.fwhm_px:
        return True

    def wings(profile: Profile) -> float:
        index, line = profile.along(trace)
        away = np.abs(index - trace.columns[:, None] - profile.offset_px)
        return float(np.where(away > 1.5 * star.fwhm_px, line, 0).sum(axis=1).mean())

    return wings(wide) - wings(star) > EXTENDED_WINGS


def _fit_two(
    planes: Planes, trace: Trace, wide: Profile, star: Profile
) -> tuple[float, float, float, float] | None:
    """Return the star's offset and the host's centre, FWHM and Moffat exponent."""
    zones = stacks_of(planes, [trace], max(wide.fwhm_px, 2 * star.fwhm_px))
    if not zones:
        return None
    errors = [np.hypot(z.error, TOLERANCE * max(z.value.max(), 0)) for z in zones]

    def deviation(p: NDArray[np.float64], *, with_star: bool = True) -> Vector:
        parts = [np.array([(p[3] - 3.0) / 1.0])]
        for zone, error in zip(zones, errors, strict=True):
            width = np.array(star.fwhm_px * (1 + star.slope * zone.u))
            lines = [
                pixel_moffat(
                    zone.distance - p[1], moffat_core(np.exp(p[2]), float(p[3])), float(p[3])
                )
            ]
            if with_star:
                core = moffat_core(width, star.beta)
                lines.append(pixel_moffat(zone.distance - p[0], core, star.beta))
            design = np.stack(lines, axis=1) / error[:, None]
            light, _ = optimize.nnls(design, zone.value / error)
            parts.append(zone.value / error - design @ light)
        return np.concatenate(parts)

    narrowest, widest = np.log(EXTENDED_FWHM * star.fwhm_px), np.log(8 * star.fwhm_px)
    reach = wide.fwhm_px
    low, high = [-reach, -reach, narrowest, 1.6], [reach, reach, widest, 8.0]
    start = np.clip(np.log(1.5 * wide.fwhm_px), narrowest + 0.01, widest - 0.01)
    # The star may stand on either side of the host's middle.
    two = min(
        (
            optimize.least_squares(
                deviation, np.array([side * 0.3 * reach, 0.0, start, 3.0]), bounds=(low, high)
            )
            for side in (-1, 0, 1)
        ),
        key=lambda result: float(result.cost),
    )
    one = optimize.least_squares(
        lambda p: deviation(p, with_star=False),
        np.array([0.0, 0.0, np.log(max(wide.fwhm_px, np.exp(narrowest) * 1.01)), 3.0]),
        bounds=(low, high),
    )
    if 2 * (one.cost - two.cost) < LEAST_CHI2:
        return None
    return float(two.x[0]), float(two.x[1]), float(np.exp(two.x[2])), float(two.x[3])


def host_fraction(
    trace: Trace,
    profiles: tuple[Profile, Profile],
    extractions: tuple[Extraction, Extraction],
    columns: int,
) -> float:
    """Return the host's share of the light within one FWHM of the point source."""
    centre = trace.columns[:, None] + profiles[0].offset_px
    near = np.abs(np.arange(columns)[None, :] - centre) < profiles[0].fwhm_px
    own, host = (
        float(np.median(found.flux)) * float((profile.values(trace, columns) * near).sum())
        for profile, found in zip(profiles, extractions, strict=True)
    )
    return max(host, 0.0) / max(max(host, 0.0) + max(own, 0.0), 1e-9)

"""Responses of several nights: what they agree on, and the grey term of a night."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.spectroscopy.response import Response

_ROBUST = 1.4826


def median_response(responses: Sequence[Response]) -> Response:
    """Return the median of responses of one grism, the first of them leading.

    Parameters
    ----------
    responses
        The nearest first: its range, slit, airmass and telluric bands stay.

    Notes
    -----
    Each night is first shifted to the others (cloud and slit lose light greyly); the median
    shape then stands at the median level. The error holds how much the nights differ, in shape
    and in level: an absolute flux from other nights is known no better.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not responses:
        raise ValueError("a median needs at least one response")
    first = responses[0]
    if len(responses) == 1:
        return first
    zero = np.array([item.zero_point_at(first.wavelength) for item in responses])
    levels = _levels(zero)
    shapes = zero - levels[:, None]
    shape, spread = _middle(shapes)
    level = float(np.median(levels))
    level_spread = _ROBUST * float(np.median(np.abs(levels - level)))
    count = np.isfinite(shapes).sum(axis=0)
    error = np.sqrt(first.error**2 / count + spread**2 / count + level_spread**2)
    names = list(dict.fromkeys(item.standard for item in responses))
    return replace(
        first,
        ab_zero_point=shape + level,
        error=error,
        standard=f"median of {len(responses)}: {', '.join(names)}",
    )


def _levels(zero: NDArray[np.float64]) -> Vector:
    """Return the level of each response relative to the first, over what they share."""
    off = zero - zero[0]
    return np.array([np.median(row[np.isfinite(row)]) if _any(row) else 0.0 for row in off])


def _any(row: Vector) -> bool:
    return bool(np.isfinite(row).any())


def _middle(shapes: NDArray[np.float64]) -> tuple[Vector, Vector]:
    """Return the median over nights and its robust spread; the first covers every wavelength."""
    shape = np.asarray(np.nanmedian(shapes, axis=0))
    spread = _ROBUST * np.nanmedian(np.abs(shapes - shape), axis=0)
    return shape, np.asarray(spread)


def grey_term(responses: Sequence[Response]) -> tuple[float, float]:
    """Return the grey extinction of a night (mag per airmass) and its error; NaN for unknown.

    Parameters
    ----------
    responses
        Of one night and set-up, reduced with the mean extinction of the site.

    Notes
    -----
    Dust (calima) absorbs greyly on top of the mean extinction: standards at a high airmass then
    have a fainter zero point. Two standards 0.3 airmass apart are the least that says so; with
    two the error is that of the responses and of 3 % for what the slit loses differently.
    """
    airmass = np.array([item.airmass for item in responses])
    if airmass.size < 2 or np.ptp(airmass) < 0.3:
        return float("nan"), float("nan")
    zero = np.array([item.zero_point_at(responses[0].wavelength) for item in responses])
    levels = _levels(zero)
    own = np.array([float(np.nanmedian(item.error)) for item in responses])
    weight = 1 / np.hypot(own, 0.03) ** 2
    middle = float(np.average(airmass, weights=weight))
    lever = float(np.sum(weight * (airmass - middle) ** 2))
    slope = float(np.sum(weight * (airmass - middle) * levels)) / lever
    return -slope, lever**-0.5

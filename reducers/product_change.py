"""How much a product differs from the one that it replaces."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reducers.frame import Vector
    from reducers.imaging.sky_map import SkyMap
    from reducers.spectrum import Spectrum

#: A ratio of fewer pixels says nothing.
_LEAST_PIXELS = 20
_SIGMA_OF_MAD = 1.4826
#: Shared light makes the error of a difference smaller than this; a change is news beyond it.
_SIGMAS = 2.0


def spectrum_change(before: Spectrum, after: Spectrum) -> dict[str, float]:
    """Return how the wavelengths and the flux of one exposure changed, pixel by pixel.

    Parameters
    ----------
    before, after
        Vacuum Angstrom, in the same unit; the ratio is taken where both are usable.

    Returns
    -------
    dict
        'upgrade_shift_angstrom', '_px': median shift of the wavelengths, and
        'upgrade_shift_rms_angstrom', '_px': scatter about it; 'upgrade_flux_ratio': median of
        after over before, '_error' and 'upgrade_flux_scatter' of it. Empty where the pixels are
        not the same.
    """
    if before.wavelength.shape != after.wavelength.shape:
        return {}
    return _shift(before.wavelength, after.wavelength) | _ratio(before, after)


def image_change(
    before: SkyMap | None,
    after: SkyMap | None,
    shape: tuple[int, int],
    was: Mapping[str, float],
    now: Mapping[str, float],
) -> dict[str, float]:
    """Return how the zero point, the place on the sky and the seeing of one exposure changed.

    Parameters
    ----------
    before, after
        Where the pixels lie; None where no star confirms it.
    shape
        Of the image, rows and columns.
    was, now
        Measurements of both products.
    """
    found = {
        "upgrade_zero_point_mag": _of(now, "zero_point_mag") - _of(was, "zero_point_mag"),
        "upgrade_zero_point_error_mag": max(
            _of(was, "zero_point_error_mag"), _of(now, "zero_point_error_mag")
        ),
        "upgrade_seeing_arcsec": _of(now, "seeing_arcsec") - _of(was, "seeing_arcsec"),
        "upgrade_place_error_arcsec": _of(was, "astrometry_rms_mas") / 1000,
    }
    if before is not None and after is not None:
        found["upgrade_place_arcsec"] = _largest_move(before, after, shape)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def unit_change(*, was_absolute: bool, is_absolute: bool) -> dict[str, float]:
    """Return whether a spectrum has won or lost its flux calibration; nothing when neither."""
    if was_absolute == is_absolute:
        return {}
    return {"upgrade_flux_gained" if is_absolute else "upgrade_flux_lost": 1.0}


def news_of(changes: Mapping[str, float]) -> list[str]:
    """Return in words what changed by more than its limit and its error; empty for nothing."""
    found = []
    for rule in _rules():
        value = changes.get(rule["measurement"], math.nan)
        error = changes.get(rule.get("error", ""), 0.0)
        if abs(value - rule["unchanged"]) > max(rule["limit"], _SIGMAS * error):
            found.append(rule["told"].format_map(_Known(changes)))
    return found


class _Known(dict[str, float]):
    def __missing__(self, name: str) -> float:
        return math.nan


@cache
def _rules() -> tuple[dict[str, Any], ...]:
    text = resources.files("reducers").joinpath("product_change.toml").read_text("utf8")
    return tuple(tomllib.loads(text)["change"])


def _shift(before: Vector, after: Vector) -> dict[str, float]:
    moved = after - before
    known = np.isfinite(moved)
    if np.count_nonzero(known) < _LEAST_PIXELS:
        return {}
    shift = float(np.median(moved[known]))
    rms = float(np.sqrt(np.mean((moved[known] - shift) ** 2)))
    pixel = abs(float(np.nanmedian(np.diff(after))))
    found = {"upgrade_shift_angstrom": shift, "upgrade_shift_rms_angstrom": rms}
    if pixel > 0:
        found |= {"upgrade_shift_px": shift / pixel, "upgrade_shift_rms_px": rms / pixel}
    return found


def _ratio(before: Spectrum, after: Spectrum) -> dict[str, float]:
    both = before.good & after.good
    # Where there is next to no light a ratio is noise over noise.
    both &= (before.flux > 3 * before.error) & (after.flux > 3 * after.error)
    if np.count_nonzero(both) < _LEAST_PIXELS:
        return {}
    ratio = after.flux[both] / before.flux[both]
    middle = float(np.median(ratio))
    scatter = _SIGMA_OF_MAD * float(np.median(np.abs(ratio - middle)))
    return {
        "upgrade_flux_ratio": middle,
        "upgrade_flux_ratio_error": scatter / math.sqrt(ratio.size),
        "upgrade_flux_scatter": scatter / abs(middle),
    }


def _largest_move(before: SkyMap, after: SkyMap, shape: tuple[int, int]) -> float:
    """Return by how many arcseconds the centre or a corner moved, whichever moved most."""
    rows, columns = shape
    x = np.array([0, columns - 1, 0, columns - 1, (columns - 1) / 2])
    y = np.array([0, 0, rows - 1, rows - 1, (rows - 1) / 2])
    (ra_1, dec_1), (ra_2, dec_2) = before.sky(x, y), after.sky(x, y)
    across = ((ra_2 - ra_1 + 180) % 360 - 180) * np.cos(np.radians(dec_1))
    return 3600 * float(np.max(np.hypot(across, dec_2 - dec_1)))


def _of(measurements: Mapping[str, float], name: str) -> float:
    return measurements.get(name, math.nan)

"""The page of a response: the standard against its reference, and what was fitted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import LEFT, NARROW, RIGHT, WIDE, Evidence, open_page
from daemon.publish.page import (
    BLUE,
    GREEN,
    PALE,
    RED,
    Page,
    frame,
    known,
    note,
    percentiles,
    robust_sigma,
    say,
    span,
    title,
)
from daemon.publish.view import WAVELENGTH, limits
from reducers.frame import Vector
from reducers.instrument import Standard
from reducers.spectroscopy.bands import TELLURIC
from reducers.spectroscopy.reference import reference_magnitude, reference_wavelengths
from reducers.spectroscopy.response import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

_AB_ZERO, _LIGHT_A_S = 48.6, 2.99792458e18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Star:
    """A response and its star: magnitudes as published and as this response gives them back.

    Attributes
    ----------
    off_mag : (n,) float64
        Response at the points minus the points: how much too faint the star comes out.
    """

    response: Response
    standard: Standard | None
    reference_mag: Vector
    off_mag: Vector
    ends: tuple[float, float]


def standard_page(case: Evidence) -> Page:
    """Draw a standard star against its reference, and the response that follows."""
    star = _look(case)
    response, found = star.response, case.built.measurements
    page = open_page(
        case,
        "standard",
        [
            f"{response.standard}: scatter {known(response.rms_mag, '.3f')} mag",
            f"left-out points predicted to {known(response.cross_validation_mag, '.3f')} mag",
            f"{response.points_wavelength.size} bands",
            f"covers {known(100 * response.coverage, '.0f')} per cent of the grism's range",
            f"S/N {known(found.get('snr'), '.0f')}",
            f'FWHM {known(response.seeing_arcsec, ".2f")}"',
        ],
    )
    page.facts |= {"standard": response.standard, "rms_mag": response.rms_mag,
                   "cross_validation_mag": response.cross_validation_mag,
                   "coverage": response.coverage}  # fmt: skip
    page.panel("flux", (LEFT, 590, WIDE, 270), _draw_flux, star)
    page.panel("ratio", (LEFT, 390, WIDE, 160), _draw_ratio, star)
    page.panel("response", (LEFT, 60, WIDE, 260), _draw_response, star, case.previous)
    page.panel("telluric", (RIGHT, 590, NARROW, 270), _draw_telluric, star)
    page.panel("error", (RIGHT, 335, NARROW, 180), _draw_error, star)
    page.panel("previous", (RIGHT, 60, NARROW, 200), _draw_previous, star, case.previous)
    return page


def _look(case: Evidence) -> _Star:
    response = case.response
    name = response.standard
    standard = next((one for one in case.instrument.standards if one.name == name), None)
    at = response.points_wavelength
    nothing = np.full(at.size, np.nan)
    return _Star(
        response=response,
        standard=standard,
        reference_mag=nothing if standard is None else reference_magnitude(standard, at),
        off_mag=np.asarray(response.points_zero_point - _curve(response, at)),
        ends=limits(response.wavelength),
    )


def _curve(response: Response, wavelength: Vector) -> Vector:
    """Return the zero point, level beyond the ends of its range."""
    if not response.wavelength.size:
        return np.full(wavelength.size, np.nan)
    return np.asarray(np.interp(wavelength, response.wavelength, response.ab_zero_point))


def _flux(magnitude: Vector, wavelength: Vector) -> Vector:
    """Return erg / (s cm2 Angstrom) of AB magnitudes."""
    return np.asarray(10 ** (-0.4 * (magnitude + _AB_ZERO)) * _LIGHT_A_S / wavelength**2)


def _shade_bands(axes: Axes, ends: tuple[float, float]) -> None:
    for band in TELLURIC:
        low, high = max(band.start, ends[0]), min(band.stop, ends[1])
        if low < high:
            axes.axvspan(low, high, color="#cfe3f5", lw=0, zorder=0)


def _draw_flux(axes: Axes, star: _Star) -> dict[str, Any]:
    title(axes, "reference (line) and the star through this response (dots); telluric bands shaded")
    if star.standard is None:
        return say(axes, f"the profile has no reference of {star.response.standard}")
    _shade_bands(axes, star.ends)
    known_at = reference_wavelengths(star.standard)
    inside = (known_at > star.ends[0]) & (known_at < star.ends[1])
    known_at = known_at[inside]
    reference = _flux(np.array(star.standard.ab_magnitude)[inside], known_at)
    at = star.response.points_wavelength
    seen = _flux(star.reference_mag - star.off_mag, at)
    top = percentiles([*reference, *seen], (100,))[0]
    power = math.floor(math.log10(top)) if top > 0 else 0
    axes.plot(known_at, reference / 10.0**power, color=RED, lw=1.2)
    axes.plot(at, seen / 10.0**power, "o", ms=4, color=BLUE)
    frame(axes, star.ends, (0, 1.1 * top / 10.0**power), x_ticks=10,
          y_label=f"1e{power} erg / (s cm2 A)")  # fmt: skip
    note(axes, f"{star.standard.name}\nreference: {star.standard.source}"[:90])
    return {"bands": int(at.size), "source": star.standard.source}


def _draw_ratio(axes: Axes, star: _Star) -> dict[str, Any]:
    response = star.response
    title(axes, f"observed / reference: rms {known(response.rms_mag, '.3f')} mag; crosses: more "
          f"than four sigma off; left-out bands predicted to "
          f"{known(response.cross_validation_mag, '.3f')} mag")  # fmt: skip
    ratio = 100 * 10 ** (0.4 * star.off_mag)
    scatter = max(robust_sigma(star.off_mag), 1e-4)
    far = np.abs(star.off_mag) > 4 * max(scatter, 0.01)
    reach = max(3.0, 1.5 * percentiles(np.abs(ratio[~far] - 100), (100,))[0] if (~far).any() else 3)
    at = response.points_wavelength
    _shade_bands(axes, star.ends)
    axes.axhspan(100 - 100 * scatter, 100 + 100 * scatter, color="#e4eaf0", lw=0, zorder=0)
    axes.axhline(100.0, color=PALE, lw=0.8)
    shown = np.clip(ratio, 100 - reach, 100 + reach)
    axes.plot(at[~far], shown[~far], "o", ms=4, color=BLUE)
    axes.plot(at[far], shown[far], "x", ms=6, color=RED)
    frame(axes, star.ends, (100 - 1.1 * reach, 100 + 1.1 * reach), y_label="per cent",
          x_ticks=10)  # fmt: skip
    return {"robust_scatter_mag": scatter, "far_off": int(far.sum()), "off_mag": star.off_mag,
            "wavelength_angstrom": at}  # fmt: skip


def _draw_response(axes: Axes, star: _Star, previous: Sequence[Response]) -> dict[str, Any]:
    response = star.response
    title(axes, "response: AB magnitude of 1 electron / (s A) above the atmosphere; earlier ones "
          "in grey")  # fmt: skip
    _shade_bands(axes, star.ends)
    for other in previous:
        axes.plot(other.wavelength, other.ab_zero_point, color="0.65", lw=1.0)
    x, curve, error = response.wavelength, response.ab_zero_point, response.error
    axes.fill_between(x, curve - error, curve + error, color=BLUE, alpha=0.3, lw=0)
    axes.plot(x, curve, color=BLUE, lw=1.3)
    axes.plot(response.points_wavelength, response.points_zero_point, "o", ms=3.5, color=RED)
    low, high = percentiles(curve, (0, 100))
    room = 0.08 * (high - low) + 0.05
    frame(axes, star.ends, span(low - room, high + room), x_label=WAVELENGTH, y_label="mag",
          x_ticks=10, y_ticks=6)  # fmt: skip
    return {"peak_mag": high, "lowest_mag": low, "airmass": response.airmass,
            "slit": response.slit, "previous": [other.standard for other in previous]}  # fmt: skip


def _draw_telluric(axes: Axes, star: _Star) -> dict[str, Any]:
    title(axes, "transmission of the air in its bands")
    x, through = star.response.telluric_wavelength, star.response.telluric_transmission
    if not x.size:
        return say(axes, "no band was measured")
    axes.plot(x, through, color=GREEN, lw=0.9, drawstyle="steps-mid")
    axes.axhline(1.0, color=PALE, lw=0.8)
    low = percentiles(through, (0,))[0]
    frame(axes, limits(x), (min(0.95, low) - 0.05, 1.05), x_label=WAVELENGTH, x_ticks=4)
    return {"deepest": low, "range_angstrom": limits(x)}


def _draw_error(axes: Axes, star: _Star) -> dict[str, Any]:
    title(axes, "error of the response")
    response = star.response
    axes.plot(response.wavelength, response.error, color=BLUE, lw=1.2)
    top = percentiles(response.error, (100,))[0]
    frame(axes, star.ends, span(0, 1.15 * top), x_label=WAVELENGTH, y_label="mag", x_ticks=4)
    return {"largest_mag": top, "median_mag": percentiles(response.error, (50,))[0]}


def _draw_previous(axes: Axes, star: _Star, previous: Sequence[Response]) -> dict[str, Any]:
    title(axes, "this response minus earlier ones, level taken out")
    shapes = []
    for other in previous:
        x = star.response.wavelength
        inside = (x > other.wavelength[0]) & (x < other.wavelength[-1])
        if inside.sum() > 10:
            off = star.response.ab_zero_point[inside] - _curve(other, x[inside])
            shapes.append((x[inside], off - np.median(off), float(np.median(off))))
    if not shapes:
        return say(axes, "no earlier response of this set-up")
    axes.axhline(0.0, color=PALE, lw=0.8)
    for x, shape, _ in shapes:
        axes.plot(x, shape, lw=1.0, color="0.45")
    reach = max(0.05, percentiles(np.abs(np.concatenate([s for _, s, _ in shapes])), (98,))[0])
    frame(axes, star.ends, (-1.2 * reach, 1.2 * reach), x_label=WAVELENGTH, y_label="mag",
          x_ticks=4)  # fmt: skip
    return {"level_mag": [level for _, _, level in shapes],
            "largest_shape_mag": [float(np.abs(s).max()) for _, s, _ in shapes]}  # fmt: skip

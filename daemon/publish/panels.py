"""Slit image, residual, profiles and spectrum of the verification plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    RED,
    frame,
    known,
    middle,
    note,
    numbers_along_x,
    numbers_along_y,
    percentiles,
    robust_sigma,
    say,
    span,
    title,
)
from reducers.frame import Mask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from daemon.publish.view import View
    from daemon.publish.zones import Zone
    from reducers.spectrum import Spectrum

#: Mask bits shaded under the spectrum, with their colour.
_SHADED = (
    (Mask.TELLURIC, "telluric", "#cfe3f5"),
    (Mask.WAVE_EXTRAPOLATED, "beyond the arc lines", "#e2e2e2"),
    (Mask.NO_FLUX_CALIBRATION, "no flux calibration", "#f3ead2"),
    (Mask.SECOND_ORDER, "second order", "#f5dccf"),
    (Mask.NO_FLAT, "no flat", "#ece4f5"),
)
_ZONE_COLOURS = (BLUE, GREEN, RED)
_ZONE_MARKERS = ("o", "s", "^")


def draw_image(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw the slit image with trace, aperture and expected position on it."""
    low, high = percentiles(seen.image, (2.0, 99.0))
    _show(axes, seen, seen.image, span(low, max(high, low + 1)), "gray_r")
    expected = seen.reduced.measurements.get("expected_column", math.nan)
    title(axes, _legend(seen, expected=math.isfinite(expected)))
    for other in seen.reduced.objects:
        if other is not seen.shown:
            axes.axhline(middle(other.trace.columns, -1), color=GREEN, lw=1.0, ls=":")
    if math.isfinite(expected):
        _corner(axes, seen, expected)
    if seen.shown is None or not seen.trace_column.size:
        return {"levels": (low, high), "trace_column": None, "expected_column": expected}
    half = 1.5 * float(seen.shown.trace.fwhm_px)
    style = "--" if seen.shown.trace.forced else "-"
    for offset, width in ((0.0, 1.0), (-half, 0.7), (half, 0.7)):
        axes.plot(seen.trace_wavelength, seen.trace_column + offset, style, color=RED, lw=width)
    return {
        "levels": (low, high),
        "trace_column": middle(seen.trace_column),
        "aperture_half_px": half,
        "forced": bool(seen.shown.trace.forced),
        "expected_column": expected,
    }


def _legend(seen: View, *, expected: bool) -> str:
    assumed = seen.shown is not None and seen.shown.trace.forced
    said = "slit image, electrons; red: trace and aperture"
    said += " where the object should be, nothing was found" if assumed else ""
    said += "; green: other objects" if len(seen.reduced.objects) > 1 else ""
    return said + ("; corner: expected position" if expected else "")


def _corner(axes: Axes, seen: View, expected: float) -> None:
    """Mark where the target should be with a right angle at its side, as finders do."""
    tall = 0.1 * (seen.last_column - seen.first_column)
    wide = 0.02 * (seen.high - seen.low)
    x, y = seen.low + 0.012 * (seen.high - seen.low), expected + 0.4 * tall
    axes.plot([x, x, x + wide], [y + tall, y, y], color=ORANGE, lw=2.0)


def draw_residual(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw the image minus sky in units of its error."""
    _show(axes, seen, seen.residual, (-5.0, 5.0), "RdBu_r")
    title(axes, "image minus sky, in sigma: blue -5, red +5; masked pixels white")
    numbers_along_x(axes, _ticks_of(seen))
    beyond = float((np.abs(seen.residual) > 5).mean()) if seen.residual.size else math.nan
    return {"robust_sigma": robust_sigma(seen.residual), "fraction_beyond_5_sigma": beyond}


def _ticks_of(seen: View) -> dict[float, str]:
    step = 1000 if seen.high - seen.low > 3500 else 500 if seen.high - seen.low > 1500 else 100
    first = math.ceil(seen.low / step) * step
    return {float(w): f"{w}" for w in range(first, int(seen.high) + 1, step)}


def _show(axes: Axes, seen: View, plane: Any, levels: tuple[float, float], colours: str) -> None:
    """Put a (slit, wavelength) plane on axes of Angstrom and slit pixel."""
    extent = (seen.low, seen.high, seen.first_column - 0.5, seen.last_column - 0.5)
    axes.imshow(
        plane, origin="lower", aspect="auto", extent=extent, vmin=levels[0], vmax=levels[1],
        cmap=colours, interpolation="nearest",
    )  # fmt: skip
    frame(axes, extent[:2], extent[2:], y_label="slit (px)", x_ticks=0)


def draw_slit_profile(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw the mean signal along the whole slit, asinh scaled, with every object on it."""
    profile = np.asarray(seen.reduced.slit_profile, dtype=float)
    title(axes, "signal along the whole slit, and every object")
    if not np.isfinite(profile).any():
        return say(axes, "no profile: nothing but masked pixels") | {"objects": []}
    low, high = percentiles(profile, (0, 100))
    scale = max(3 * middle(np.abs(profile), 1.0), high / 1e3, 1e-6)
    axes.plot(np.arcsinh(profile / scale), color=BLUE, lw=1.0, drawstyle="steps-mid")
    axes.axhline(0.0, color=PALE, lw=0.6, zorder=0)
    bottom, top = np.arcsinh(low / scale) - 0.3, np.arcsinh(high / scale) * 1.25 + 0.5
    frame(axes, (-0.5, profile.size - 0.5), (bottom, top), x_label="slit (px)", x_ticks=6,
          y_ticks=0)  # fmt: skip
    numbers_along_y(axes, _asinh_ticks(scale, low, high), label="mean electrons")
    objects = []
    white = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5}
    for number, found in enumerate(seen.reduced.objects):
        place = middle(found.trace.columns)
        objects.append({"name": found.name, "column": place, "forced": bool(found.trace.forced),
                        "fwhm_px": float(found.fwhm_px), "snr": float(found.snr)})  # fmt: skip
        if not -0.5 <= place < profile.size:
            continue
        mine = found is seen.shown
        axes.axvline(place, color=RED if mine else GREEN, lw=0.9,
                     ls="--" if found.trace.forced else "-", zorder=0)  # fmt: skip
        right = place < 0.8 * profile.size
        axes.text(place + (0.01 if right else -0.01) * profile.size, 0.95 - 0.09 * (number % 6),
                  found.name, transform=axes.get_xaxis_transform(), va="top", fontsize=8,
                  ha="left" if right else "right", color=RED if mine else GREEN,
                  weight="bold" if mine else "normal", parse_math=False,
                  bbox=white)  # fmt: skip
    return {"objects": objects}


def _asinh_ticks(scale: float, low: float, high: float) -> dict[float, str]:
    """Return ticks of an asinh axis: 0 and the powers of ten that stand clear of each other."""
    ticks = {0.0: "0"}
    apart = 0.09 * float(np.arcsinh(high / scale) - np.arcsinh(low / scale))
    for value in (sign * 10.0**power for power in range(-3, 7) for sign in (1.0, -1.0)):
        place = float(np.arcsinh(value / scale))
        clear = all(abs(place - other) > apart for other in ticks)
        if low < value < high * 1.3 and clear:
            ticks[place] = f"{value:g}"
    return ticks


def draw_zones(
    axes: Axes, zones: Sequence[Zone], pixel_arcsec: float, unit: str = "A"
) -> Mapping[str, Any]:
    """Draw the object's profile in three zones, data and model on a logarithmic scale.

    Parameters
    ----------
    unit
        Of the axis along the dispersion: 'A', or 'px' where no wavelengths are known.
    """
    title(axes, "profile about the trace: data (points) and Moffat (lines)")
    if not zones or not any(np.isfinite(zone.data).any() for zone in zones):
        return say(axes, "no profile: the object has no usable pixels")
    top = max(percentiles([zone.data for zone in zones], (100,))[0], 1e-6)
    floor = max(top / 1e3, middle([zone.error for zone in zones], top / 100) / 2)
    said = []
    for zone, colour, marker in zip(zones, _ZONE_COLOURS, _ZONE_MARKERS, strict=True):
        shown = np.log10(np.where(zone.data > floor, zone.data, np.nan))
        axes.plot(zone.offset_px, shown, marker, ms=3, color=colour)
        axes.plot(zone.offset_px, np.log10(np.maximum(zone.model, floor / 10)), color=colour, lw=1)
        # The middle belongs to the profile: the range goes to its left, the width to its right.
        said.append((f"{zone.low_angstrom:.0f}-{zone.high_angstrom:.0f} {unit}",
                     f"FWHM {known(zone.fwhm_px, '.1f')} px"))  # fmt: skip
    low, high = np.log10(floor), np.log10(max(top, 2 * floor)) + 0.25
    frame(axes, (zones[0].offset_px[0], zones[0].offset_px[-1]), (low, high), x_ticks=0, y_ticks=0)
    powers = range(math.ceil(low + 0.07 * (high - low)), math.floor(high) + 1)
    numbers_along_y(axes, {float(p): f"{10.0**p:g}" for p in powers}, label="electrons")
    for number, (text, colour) in enumerate(zip(said, _ZONE_COLOURS, strict=True)):
        note(axes, text[0], x=0.01, y=0.97 - 0.1 * number, ha="left", color=colour)
        note(axes, text[1], y=0.97 - 0.1 * number, color=colour)
    return {
        zone.name: {
            "range_angstrom": (zone.low_angstrom, zone.high_angstrom),
            "fwhm_px": zone.fwhm_px,
            "fwhm_arcsec": zone.fwhm_px * pixel_arcsec,
            "chi2": zone.chi2,
        }
        for zone in zones
    }


def draw_zone_residuals(axes: Axes, zones: Sequence[Zone]) -> Mapping[str, Any]:
    """Draw data minus model of the three zones in units of the error."""
    axes.axhline(0.0, color=PALE, lw=0.8)
    worst = []
    for zone, colour, marker in zip(zones, _ZONE_COLOURS, _ZONE_MARKERS, strict=False):
        off = (zone.data - zone.model) / zone.error
        axes.plot(zone.offset_px, np.clip(off, -10, 10), marker, ms=2.5, color=colour)
        worst.append(percentiles(np.abs(off), (100,))[0])
    ends = (zones[0].offset_px[0], zones[0].offset_px[-1]) if zones else (-15.0, 15.0)
    reach = 10.5 if any(value > 5 for value in worst) else 5.5
    frame(axes, ends, (-reach, reach), x_label="distance from the trace (px)",
          y_label="sigma", y_ticks=3)  # fmt: skip
    return {"largest_sigma": worst}


def draw_spectrum(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw the spectrum with its error band, its boxcar twin and what is doubtful."""
    title(axes, "spectrum (blue), +-1 sigma (band), plain sum (grey)")
    if seen.shown is None:
        frame(axes, (seen.low, seen.high), (0, 1), x_ticks=0, y_ticks=0)
        return say(axes, "no object, no spectrum")
    spectrum = seen.shown.spectrum
    shares = shade(axes, spectrum)
    good = spectrum.good
    flux, error = (np.where(good, plane, np.nan) for plane in (spectrum.flux, spectrum.error))
    low, high = flux_range(flux, error)
    power = math.floor(math.log10(max(abs(low), abs(high)) or 1.0))
    power = power if not -2 <= power <= 3 else 0
    unit = spectrum.unit.replace("Angstrom", "A")
    flux, error = flux / 10.0**power, error / 10.0**power
    axes.axhline(0.0, color=PALE, lw=0.8)
    twin = _twin(seen) / 10.0**power
    axes.plot(seen.shown.boxcar.wavelength, twin, color="0.62", lw=0.7, drawstyle="steps-mid")
    axes.fill_between(
        spectrum.wavelength, flux - error, flux + error, color=BLUE, alpha=0.28, lw=0, step="mid"
    )
    axes.plot(spectrum.wavelength, flux, color=BLUE, lw=0.9, drawstyle="steps-mid")
    frame(axes, (seen.low, seen.high), (low / 10.0**power, high / 10.0**power), x_ticks=0,
          y_label=f"1e{power} {unit}" if power else unit, y_ticks=5)  # fmt: skip
    if not good.any():
        note(axes, "every pixel is masked or not finite", x=0.5, y=0.55, ha="center", fontsize=9)
    return {
        "unit": spectrum.unit,
        "range": (low, high),
        "usable_fraction": float(good.mean()) if good.size else math.nan,
        "snr": float(seen.shown.snr),
        "plain_sum_over_optimal": middle(twin / np.where(flux != 0, flux, np.nan)),
        "masked": shares,
    }


def _twin(seen: View) -> Any:
    """Return the plain sum in the unit of the spectrum."""
    shown = seen.shown
    if shown is None or shown.boxcar.flux.shape != shown.spectrum.flux.shape:
        return np.full(0 if shown is None else shown.boxcar.flux.size, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = shown.spectrum.error / shown.counts.error
    usable = np.isfinite(scale) & shown.spectrum.good & shown.boxcar.good
    return np.where(usable, shown.boxcar.flux * scale, np.nan)


def flux_range(flux: Any, error: Any) -> tuple[float, float]:
    """Return the flux range: all of the well measured spectrum, little of its noisy ends."""
    measured = np.isfinite(flux)
    if np.isfinite(error).any():
        sure = measured & (error < 4 * middle(error))
        measured = sure if sure.sum() >= 10 else measured
    if not measured.any():
        return 0.0, 1.0
    low, high = np.percentile(flux[measured], (0.5, 99.7))
    noise = middle(error[measured], 0.0)
    room = max(0.12 * float(high - low), 2 * noise) or 1e-20
    return min(float(low) - room, -0.3 * room), float(high) + 1.5 * room


def shade(axes: Axes, spectrum: Spectrum) -> dict[str, float]:
    """Shade the doubtful stretches, name each above the panel, and return their shares."""
    shares, right = {}, 1.0
    width_px = float(axes.get_window_extent().width) or 1.0
    for bit, name, colour in _SHADED:
        marked = (spectrum.mask & np.uint16(bit)) != 0
        shares[str(bit.name).lower()] = float(marked.mean()) if marked.size else 0.0
        if not marked.any():
            continue
        axes.fill_between(
            spectrum.wavelength, 0, 1, where=marked, color=colour, lw=0, step="mid",
            transform=axes.get_xaxis_transform(), zorder=0,
        )  # fmt: skip
        axes.text(
            right, 1.012, name, transform=axes.transAxes, ha="right", va="bottom", fontsize=8,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
        right -= (6.6 * len(name) + 14) / width_px
    return shares


def draw_sky(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw the sky under the object on a square-root scale, so that faint lines show."""
    title(axes, "sky under the object (square-root scale)")
    if seen.shown is None:
        frame(axes, (seen.low, seen.high), (0, 1), x_label=seen.along, y_ticks=0)
        return say(axes, "no object, no sky spectrum")
    counts = seen.shown.counts
    sky = np.where(np.isfinite(counts.sky), counts.sky, np.nan)
    low, high = percentiles(sky, (1, 100))
    root = np.sqrt(np.maximum(sky, 0))
    axes.plot(counts.wavelength, root, color=GREY, lw=0.8, drawstyle="steps-mid")
    _, top = span(0.0, math.sqrt(max(high, 0.0)) if math.isfinite(high) else math.nan)
    frame(axes, (seen.low, seen.high), (0, 1.05 * top), x_label=seen.along, x_ticks=0, y_ticks=0)
    numbers_along_x(axes, _ticks_of(seen), label=seen.along)
    step = 10.0 ** math.floor(math.log10(max(top**2, 1e-9)))
    numbers = [v for v in (0.0, 0.25 * step, step, 5 * step) if v <= 1.05 * top**2]
    ticks = {math.sqrt(v): f"{v:g}" for v in numbers}
    numbers_along_y(axes, ticks, label="electrons")
    return {"median_e": middle(sky), "peak_e": high, "lowest_e": low}

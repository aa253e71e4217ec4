"""Arc lines, sky lines and response of the verification plot."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.page import BLUE, GREEN, PALE, RED, frame, known, percentiles, say, title
from daemon.publish.view import WAVELENGTH
from reducers.spectroscopy.flexure import measure_flexure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from daemon.publish.view import View
    from reducers.spectroscopy.response import Response


def draw_lines(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw what arc lines and sky lines leave over against wavelength, in pixels."""
    solution, found = seen.reduced.solution, seen.reduced.measurements
    sky = _sky_lines(seen)
    if solution is None or solution.n_lines == 0:
        title(axes, "arc lines")
        frame(axes, (seen.low, seen.high), (-1, 1), x_label=seen.along, y_ticks=0)
        said = say(axes, _why_no_lines(seen, sky))
        return said | {"arc_used": 0, "sky_lines": sky}
    used = np.asarray(solution.line_used, dtype=bool)
    residual = solution.line_residual_angstrom * _pixel_per_angstrom(solution)
    reach = max(0.25, 4.5 * float(solution.rms_px), *(1.3 * abs(line["off_px"]) for line in sky))
    reach = min(reach, 5.0)
    inside = np.clip(residual, -reach, reach)
    axes.axhline(0.0, color=PALE, lw=0.8)
    axes.plot(solution.line_wavelength[used], inside[used], "o", ms=3.5, color=BLUE, alpha=0.8)
    axes.plot(solution.line_wavelength[~used], inside[~used], "x", ms=4, color=RED)
    for line in sky:
        axes.errorbar(line["wavelength_angstrom"], line["off_px"], line["error_px"], fmt="D", ms=5,
                      color=GREEN, mec="k", mew=0.6)  # fmt: skip
    rms = f"{known(solution.rms_px, '.3f')} px = {known(solution.rms_angstrom, '.3f')} A"
    number = f"{int(used.sum())} used (dots), {int((~used).sum())} rejected (crosses)"
    title(
        axes,
        f"lines, measured minus fitted: arc rms {rms}, {number}; "
        f"sky (diamonds) {_sky_words(found, sky)}",
    )
    frame(axes, (seen.low, seen.high), (-1.15 * reach, 1.15 * reach), x_label=WAVELENGTH,
          y_label="pixel")  # fmt: skip
    return {
        "arc_rms_px": solution.rms_px,
        "arc_rms_angstrom": solution.rms_angstrom,
        "arc_used": int(used.sum()),
        "arc_rejected": int((~used).sum()),
        "sky_shift_px": found.get("flexure_px"),
        "sky_5577_angstrom": found.get("sky5577_angstrom"),
        "sky_lines": sky,
    }


def _why_no_lines(seen: View, sky: list[dict[str, Any]]) -> str:
    if seen.reduced.in_pixels:
        return "no wavelengths are known for this grism: the axis is the detector's pixels"
    nominal = "no arc: the wavelengths are the grism's nominal ones"
    return f"{nominal}; sky lines: {_sky_words(seen.reduced.measurements, sky)}" if sky else nominal


def _sky_words(found: Mapping[str, float], sky: list[dict[str, Any]]) -> str:
    if not sky:
        return "not measured"
    rms = math.sqrt(float(np.mean([line["off_px"] ** 2 for line in sky])))
    return f"shift {known(found.get('flexure_px'), '+.2f')} px, now rms {rms:.2f} px"


def _sky_lines(seen: View) -> list[dict[str, Any]]:
    """Return the sky lines against the delivered wavelengths."""
    reduced = seen.reduced
    if reduced.solution is None or reduced.in_pixels:
        return []
    if reduced.solution.n_lines == 0 and "flexure_px" not in reduced.measurements:
        return []
    flexure = measure_flexure(
        reduced.sky, reduced.solution, reduced.image.geometry, reduced.image.shape
    )
    return [
        {"wavelength_angstrom": line.wavelength_angstrom, "emitter": line.emitter,
         "off_px": line.shift_px, "error_px": line.error_px}
        for line in flexure.lines
    ]  # fmt: skip


def _pixel_per_angstrom(solution: Any) -> Any:
    """Return signed unbinned pixels per Angstrom at every arc line."""
    row = np.asarray(solution.line_row, dtype=float)
    x = float(np.mean(solution.domain_x_px))
    return 1.0 / (solution.wavelength(row + 0.5, x) - solution.wavelength(row - 0.5, x))


def draw_response(axes: Axes, seen: View) -> Mapping[str, Any]:
    """Draw the response that turned electrons into flux, with its error."""
    response = seen.reduced.response
    age = seen.reduced.measurements.get("response_age_h")
    title(axes, "response: AB magnitude of 1 electron / (s A)")
    if response is None:
        return say(axes, "none: not flux calibrated")
    draw_zero_point(axes, response, (seen.low, seen.high))
    axes.text(
        0.5, 0.04, f"{response.standard}, rms {known(response.rms_mag, '.3f')} mag\n"
        f"airmass {known(response.airmass, '.2f')}, {response.slit}"
        + ("" if age is None else f", {known(age, '.1f')} h away"),
        transform=axes.transAxes, ha="center", fontsize=8, parse_math=False,
    )  # fmt: skip
    return {
        "standard": response.standard,
        "rms_mag": response.rms_mag,
        "airmass": response.airmass,
        "slit": response.slit,
        "age_h": age,
    }


def draw_zero_point(axes: Axes, response: Response, wavelength: tuple[float, float]) -> None:
    """Draw a response with its error and the reference points behind it."""
    x, curve, error = (
        np.asarray(values, dtype=float)
        for values in (response.wavelength, response.ab_zero_point, response.error)
    )
    axes.fill_between(x, curve - error, curve + error, color=BLUE, alpha=0.28, lw=0)
    axes.plot(x, curve, color=BLUE, lw=1.2)
    axes.plot(response.points_wavelength, response.points_zero_point, "o", ms=2.5, color=RED)
    low, high = percentiles(curve, (0, 100))
    # Little light at the ends makes the curve fall steeply there: four magnitudes are shown.
    low = max(low, high - 4.0)
    room = 0.1 * (high - low) + 0.1
    frame(axes, wavelength, (low - 3 * room, high + room), x_label=WAVELENGTH,
          y_label="mag", x_ticks=5, y_ticks=5)  # fmt: skip

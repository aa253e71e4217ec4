"""Arc residuals, sky line and response of the verification plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from daemon.publish.panels import AID, OBJECT, SKY, known, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daemon.publish.view import View

#: Vacuum wavelength of the auroral [O I] line in the night sky.
OI_5577_ANGSTROM = 5578.887
_HALF_WIDTH_ANGSTROM = 40.0


def say(axes: Axes, text: str) -> None:
    """Write one sentence where there is nothing to draw."""
    axes.text(
        0.5, 0.45, text, transform=axes.transAxes, ha="center", color="0.35", fontsize=9,
        parse_math=False, wrap=True,
    )  # fmt: skip


def draw_arc(axes: Axes, seen: View) -> None:
    """Draw the residual of every arc line against wavelength."""
    solution = seen.reduced.solution
    if solution is None or solution.n_lines == 0:
        label(axes, "arc lines")
        say(axes, "no arc: wavelengths come from the grism's template")
        return
    used = np.asarray(solution.line_used, dtype=bool)
    wavelength, residual = solution.line_wavelength, solution.line_residual_angstrom
    label(
        axes,
        f"arc: rms {known(solution.rms_angstrom, '.3f')} A = {known(solution.rms_px, '.3f')} px, "
        f"{solution.n_lines} lines (red: rejected)",
    )
    axes.axhline(0.0, color="0.6", lw=0.6)
    axes.plot(wavelength[used], residual[used], "o", ms=3, color=OBJECT, alpha=0.7)
    axes.plot(wavelength[~used], residual[~used], "x", ms=4, color=AID)
    reach = max(4 * float(solution.rms_angstrom), 0.2)
    axes.set_ylim(-reach, reach * 1.6)
    axes.set_xlim(seen.low, seen.high)
    axes.set_ylabel("residual (A)", fontsize=8)


def draw_sky_line(axes: Axes, seen: View) -> None:
    """Draw the sky spectrum around 5577 A, and where that line ought to be."""
    found = seen.reduced.measurements
    label(axes, "sky line 5577 (vacuum 5578.89 A)")
    if seen.shown is None:
        say(axes, "no object, no sky spectrum")
        return
    spectrum = seen.shown.counts
    near = np.abs(spectrum.wavelength - OI_5577_ANGSTROM) < _HALF_WIDTH_ANGSTROM
    near &= np.isfinite(spectrum.sky)
    if near.sum() < 5:
        say(axes, "the line is outside the spectrum")
        return
    sky = spectrum.sky[near]
    axes.plot(spectrum.wavelength[near], sky, color=SKY, lw=1.0, drawstyle="steps-mid")
    axes.axvline(OI_5577_ANGSTROM, color=AID, lw=0.8)
    axes.set_ylim(
        float(sky.min()) - 0.05 * float(np.ptp(sky)),
        float(sky.min()) + 1.45 * float(np.ptp(sky)) + 1e-6,
    )
    axes.tick_params(labelleft=False)
    axes.text(
        0.98, 0.70, f"found {known(found.get('sky5577_angstrom'), '.2f')} A\n"
        f"shift {known(found.get('flexure_px'), '+.2f')} px",
        transform=axes.transAxes, ha="right", va="top", fontsize=8,
    )  # fmt: skip


def draw_response(axes: Axes, seen: View) -> None:
    """Draw the response that turned electrons into flux, with its error."""
    response = seen.reduced.response
    label(axes, "response: AB mag giving 1 e/s/A")
    axes.set_xlabel("vacuum wavelength (Angstrom)", fontsize=8, labelpad=1)
    if response is None:
        say(axes, "none: not flux calibrated")
        return
    wavelength = np.asarray(response.wavelength, dtype=float)
    zero_point = np.asarray(response.ab_zero_point, dtype=float)
    error = np.asarray(response.error, dtype=float)
    axes.fill_between(
        wavelength, zero_point - error, zero_point + error, color=OBJECT, alpha=0.25, lw=0
    )
    axes.plot(wavelength, zero_point, color=OBJECT, lw=1.2)
    axes.plot(response.points_wavelength, response.points_zero_point, ".", ms=3, color=AID)
    axes.set_xlim(seen.low, seen.high)
    if np.isfinite(zero_point).any():
        high = float(np.nanmax(zero_point))
        low = max(float(np.nanmin(zero_point)), high - 6)
        axes.set_ylim(low - 0.3, high + 0.25 * (high - low) + 0.5)
    age = known(seen.reduced.measurements.get("response_age_h"), ".1f")
    axes.text(
        0.5, 0.03, f"{response.standard}\nrms {known(response.rms_mag, '.3f')} mag, airmass "
        f"{known(response.airmass, '.2f')}\n{response.slit}, {age} h away",
        transform=axes.transAxes, ha="center", fontsize=8, parse_math=False,
    )  # fmt: skip

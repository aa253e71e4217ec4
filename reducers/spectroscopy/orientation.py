"""Arcs behind vertical slits: the dispersion runs along x, in a direction the profile may not know.

Frames are turned before they come here, so that only the first guess has to be carried over.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.errors import PoorWavelengthFit
from reducers.spectroscopy.arc_pattern import (
    SEARCH_PX,
    find_arc_peaks,
    find_patterns,
    subtract_continuum,
)
from reducers.spectroscopy.dispersion import guess_row
from reducers.spectroscopy.lines import lines_of_lamps, reference_lines
from reducers.spectroscopy.wavelength import WavelengthSolution, solve_wavelength

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Frame
    from reducers.instrument import ArcLine, Grism, VerticalSlits

#: Of all directions and zero points, this many that correlate best are fitted.
TRIED = 3


def turned_grism(grism: Grism, vertical: VerticalSlits, direction: int) -> Grism:
    """Return the first guess of `grism` as it lies along the detector's x.

    Parameters
    ----------
    direction
        1: wavelengths run along x as they do along y behind a horizontal slit; -1: mirrored.
    """
    move = vertical.axis_px - grism.slit_reference_px
    moved = replace(
        grism,
        reference_px=grism.reference_px + move,
        slit_reference_px=vertical.axis_px,
        valid_px=(grism.valid_px[0] + move, grism.valid_px[1] + move),
        status="unverified",
    )
    if direction > 0:
        return moved
    low, high = moved.valid_px
    return replace(
        moved,
        first_guess=tuple(c * (-1) ** k for k, c in enumerate(moved.first_guess)),
        reference_px=2 * vertical.axis_px - moved.reference_px,
        valid_px=(2 * vertical.axis_px - high, 2 * vertical.axis_px - low),
    )


def solve_turned_arc(
    frame: Frame,
    grism: Grism,
    vertical: VerticalSlits,
    lines: Sequence[ArcLine],
    *,
    lamps: Sequence[str],
) -> WavelengthSolution:
    """Identify a turned arc in every direction and zero point that the profile leaves open.

    Raises
    ------
    PoorWavelengthFit
        If the lines fit in none of them.
    """
    reach = max(vertical.search_px - SEARCH_PX, 0.0)
    offsets = np.linspace(-reach, reach, 1 + 2 * int(np.ceil(reach / (1.6 * SEARCH_PX))))
    trials = [
        (turned_grism(grism, vertical, direction), float(offset))
        for direction in vertical.directions
        for offset in offsets
    ]
    likely = sorted(trials, key=lambda trial: -_correlation(frame, trial, lines, lamps))
    found = []
    for guess, offset in likely[:TRIED]:
        with suppress(PoorWavelengthFit):
            found.append(solve_wavelength(frame, guess, lines, lamps=lamps, slit_offset_px=offset))
    if not found:
        raise PoorWavelengthFit(
            f"the lines fit {grism.name} behind a vertical slit in no direction, "
            f"within {vertical.search_px:.0f} px of the middle"
        )
    # A wrong direction matches a handful of lines by chance; the right one matches them all.
    return max(found, key=lambda solution: solution.n_lines * solution.correlation)


def _correlation(
    frame: Frame,
    trial: tuple[Grism, float],
    lines: Sequence[ArcLine],
    lamps: Sequence[str],
) -> float:
    """Return how well the pattern of lines correlates with the middle of the slit."""
    guess, offset_px = trial
    listed = lines_of_lamps(reference_lines(guess, lines), lamps)
    predicted = guess_row(guess, np.array([line.wavelength_angstrom for line in listed]))
    inside = (predicted > guess.valid_px[0]) & (predicted < guess.valid_px[1])
    if not inside.any():
        return -1.0
    third = frame.shape[1] // 3
    profile = np.median(frame.data[:, third : frame.shape[1] - third], axis=1)
    signal = subtract_continuum(profile.astype(np.float64))
    rows = np.asarray(frame.geometry.detector_y(np.arange(frame.shape[0])), dtype=np.float64)
    peaks = find_arc_peaks(signal, np.ones(signal.size, bool), rows)
    best = find_patterns(
        signal,
        rows,
        predicted[inside] + offset_px,
        np.array([line.strength for line in listed])[inside],
        pivot_px=sum(guess.valid_px) / 2,
        fwhm_px=peaks.fwhm_px,
        at_most=1,
    )
    return best[0].correlation

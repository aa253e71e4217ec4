"""Put a standard star's spectrum where its own lines say that it fell."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import UNUSABLE
from reducers.spectroscopy.reference_misfit import reference_misfit
from reducers.spectroscopy.stellar_shift import measure_stellar_shift

if TYPE_CHECKING:
    from reducers.instrument import Standard
    from reducers.spectroscopy.longslit import Slit


#: A place that the published magnitudes fit this much worse is not the star's.
WORSE = 1.1


def place_by_star(slit: Slit, standard: Standard) -> Slit:
    """Return the slit with the wavelengths that the brightest star's lines ask for.

    The arc may have been taken through another slit or in another night, and a star in a wide slit
    stands where it likes: its lines, where they show, outrank lamp and sky. Where they do not show,
    or the star's published magnitudes fit worse there, the wavelengths stay as they were. All
    shifts are noted, in unbinned pixels.
    """
    brightest = int(np.argmax([np.nansum(item.flux) for item in slit.extractions]))
    trace, found = slit.traces[brightest], slit.extractions[brightest]
    error = np.sqrt(np.maximum(found.variance, 0.0))
    bad = (found.mask & np.uint16(UNUSABLE)) != 0
    good = ~bad & np.isfinite(found.flux) & (error > 0)
    geometry = slit.frame.geometry
    y = np.asarray(geometry.detector_y(trace.rows), dtype=np.float64)
    x = np.asarray(geometry.detector_x(trace.columns), dtype=np.float64)
    shift = measure_stellar_shift(
        y,
        x,
        found.flux,
        np.where(good, error, 1.0),
        good,
        slit.solution,
        radial_velocity_km_s=standard.radial_velocity_km_s,
    )
    if shift is None:
        return slit
    solution = shift.corrected(slit.solution)
    before, after = (
        reference_misfit(candidate.wavelength(y, x), found.flux, good, standard)
        for candidate in (slit.solution, solution)
    )
    doubted = shift.applied and after > WORSE * before
    applied = shift.applied and not doubted
    noted = {
        **slit.measurements,
        "flexure_unknown": float(doubted),
        "stellar_shift_px": shift.shift_px,
        "stellar_shift_error_px": shift.error_px,
        "stellar_shift_applied_px": abs(shift.shift_px) if applied else 0.0,
        "stellar_refraction_px": shift.refraction_px,
        "stellar_telluric_px": shift.telluric_px,
        "stellar_spread_px": shift.spread_px,
        "stellar_doubt_px": max(shift.spread_px, abs(shift.shift_px) if doubted else 0.0),
        "stellar_misfit_ratio": after / before if before > 0 else math.nan,
        "stellar_lines": float(len(shift.lines)),
    }
    if not applied:
        return replace(slit, measurements=noted)
    step = f"wavelengths: moved {shift.shift_px:+.2f} px to {len(shift.lines)} lines of the star"
    return replace(
        slit,
        frame=replace(slit.frame, history=(*slit.frame.history, step)),
        solution=solution,
        wavelengths=solution.map_for(slit.frame.shape, geometry),
        measurements=noted,
    )

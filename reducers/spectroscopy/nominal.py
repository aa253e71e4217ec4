"""The wavelengths a grism should give, for exposures without any arc."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.instrument import IN_PIXELS, Grism
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from reducers.instrument import Instrument


def pixel_scale(name: str, instrument: Instrument) -> Grism:
    """Return what stands in for a grism of unknown wavelengths: its "wavelength" is detector y."""
    longest = float(max(instrument.detector.rows, instrument.detector.columns))
    return Grism(
        name=name,
        first_guess=(0.0, 1.0),
        reference_px=0.0,
        scale_px=1.0,
        slit_reference_px=0.0,
        valid_px=(0.0, longest),
        range_angstrom=(-math.inf, math.inf),
        flat_floor_angstrom=-math.inf,
        degree=1,
        rms_limit_angstrom=math.inf,
        status=IN_PIXELS,
    )


def nominal_solution(grism: Grism, slit_offset_px: float) -> WavelengthSolution:
    """Return the profile's first guess, moved with the slit; no line supports it."""
    none = np.empty(0)
    return WavelengthSolution(
        grism=grism,
        # Ideal row = detector y + correction: a slit further up moves the pattern up.
        coefficients=np.array([[-slit_offset_px]]),
        domain_y_px=grism.valid_px,
        domain_x_px=(0.0, 2048.0),
        rms_angstrom=math.nan,
        rms_px=math.nan,
        n_lines=0,
        fwhm_px=math.nan,
        shift_px=0.0,
        correlation=0.0,
        line_wavelength=none,
        line_row=none,
        line_residual_angstrom=none,
        line_used=np.empty(0, bool),
        line_ion=(),
    )

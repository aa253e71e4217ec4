"""The wavelengths a grism should give, for exposures without any arc."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from reducers.instrument import Grism


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

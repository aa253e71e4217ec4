"""Grism 4 of ALFOSC and one wavelength solution of it, as plain values."""

from __future__ import annotations

import numpy as np

from reducers.instrument import Grism
from reducers.spectroscopy.wavelength import WavelengthSolution

GRISM = Grism(
    name="Grism_#4",
    first_guess=(5984.154, -3541.833, 207.814, 126.992, 108.758, 41.680),
    reference_px=1000.0,
    scale_px=1000.0,
    slit_reference_px=1057.37,
    valid_px=(100.0, 1650.0),
    range_angstrom=(3200.0, 9600.0),
    flat_floor_angstrom=4000.0,
    degree=5,
    rms_limit_angstrom=0.6,
)
SOLUTION = WavelengthSolution(
    grism=GRISM,
    coefficients=np.array([[0.0, 0.5]]),
    domain_y_px=(100.0, 1650.0),
    domain_x_px=(850.0, 1250.0),
    rms_angstrom=0.2,
    rms_px=0.06,
    n_lines=35,
    fwhm_px=4.6,
    shift_px=0.0,
    correlation=0.95,
    line_wavelength=np.array([3889.75, 9151.2]),
    line_row=np.array([1630.0, 138.0]),
    line_residual_angstrom=np.zeros(2),
    line_used=np.ones(2, bool),
    line_ion=("HeI", "NeI"),
    slit_px=4.6,
    blur_px=0.6,
)

"""The logarithmic wavelengths on which spectra and templates are compared."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from reducers.frame import Vector

#: Bins and range (Angstrom) of the templates that SNID keeps (Blondin & Tonry 2007, ApJ 666,
#: 1024, sect. 2.1); a step is 406 km/s.
BINS, FIRST_ANGSTROM, LAST_ANGSTROM = 1024, 2500.0, 10000.0
STEP = math.log(LAST_ANGSTROM / FIRST_ANGSTROM) / BINS


def edges() -> Vector:
    """Return the edges of the bins, (BINS + 1,) Angstrom."""
    return np.asarray(FIRST_ANGSTROM * np.exp(STEP * np.arange(BINS + 1)))


def centres() -> Vector:
    """Return the centres of the bins, (BINS,) Angstrom."""
    return np.asarray(FIRST_ANGSTROM * np.exp(STEP * (np.arange(BINS) + 0.5)))


def redshift_of(lag: Any) -> Any:
    """Return the redshift of a shift by `lag` bins to the red."""
    return np.expm1(np.asarray(lag) * STEP)


def lag_of(redshift: float) -> float:
    """Return by how many bins a redshift moves a spectrum."""
    return math.log1p(redshift) / STEP

"""The helium-argon arc of the second instrument is identified without a human."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from reducers.frame import Frame, Geometry, Mask
from reducers.profiles import load_instrument
from reducers.spectroscopy.wavelength import WavelengthSolution, solve_wavelength

if TYPE_CHECKING:
    from pathlib import Path

EFOSC2 = load_instrument("efosc2")


@pytest.fixture(scope="module")
def solved(realdata: Path) -> WavelengthSolution:
    """Return the solution of the only arc, its bias level taken off."""
    raw = fits.getdata(realdata / "efosc2_raw" / "EFOSC.2022-01-26T19:37:39.560.fits.gz")
    data = raw.astype(np.float64)[:1018, 6:1022] - 222.0
    frame = Frame(
        data=data,
        variance=np.maximum(data, 0) / 1.18 + 100.0,
        mask=np.where(data > 55_000, Mask.SATURATED, Mask.GOOD).astype(np.uint16),
        geometry=Geometry(x0=12, y0=0, x_binning=2, y_binning=2),
    )
    return solve_wavelength(frame, EFOSC2.grisms["Gr#3"], EFOSC2.lines, lamps=("He", "Ar"))


@pytest.mark.realdata
def test_the_arc_is_identified_to_a_tenth_of_a_pixel(solved: WavelengthSolution) -> None:
    assert solved.n_lines >= 6
    assert solved.rms_px < 0.1


@pytest.mark.realdata
def test_helium_falls_on_the_peaks_of_the_frame(solved: WavelengthSolution) -> None:
    """Rows of the two brightest peaks, read from the frame by eye."""
    rows = solved.row(np.array([3889.75, 4472.73, 5017.08, 5877.25]), 1014.0)
    assert rows == pytest.approx([645.8, 1037.0, 1388.7, 1930.6], abs=0.7)

"""Normalise a spectral flat: take the lamp's colour out, keep pixels, slit and fringes."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import LSQUnivariateSpline

from reducers.frame import Frame, Mask, Vector

#: Rows between the knots of the lamp's spectral shape (unbinned); fringes are far narrower.
KNOT_SPACING_PX = 70


def normalise_flat(
    stacked: Frame, row_wavelength: Vector, floor_angstrom: float
) -> tuple[Frame, dict[str, float]]:
    """Divide a combined flat by the lamp's spectrum.

    Parameters
    ----------
    stacked : Frame
        Combined flats in adu above the bias.
    row_wavelength : (ny,) Angstrom
        Approximate wavelength of every row.
    floor_angstrom
        Below this the lamp is too faint to divide by.

    Returns
    -------
    Frame
        Unit-free flat with its variance; 1 with the bit NO_FLAT where there is no light.
    dict
        'pixel_rms' of the flat and 'lit_fraction'.
    """
    lamp = _lamp_spectrum(stacked)
    lit = row_wavelength > floor_angstrom
    lit &= lamp > max(1500.0, 0.01 * float(lamp.max()))
    shape = np.where(lit, lamp, 1.0)[:, None]
    data = np.where(lit[:, None], stacked.data / shape, 1.0)
    variance = np.where(lit[:, None], stacked.variance / shape**2, 0.0)
    mask = stacked.mask.copy()
    mask[~lit] = Mask.NO_FLAT
    flat = stacked.after(
        "flat: divided by the lamp's spectrum", data=data, variance=variance, mask=mask, unit=""
    )
    inside = data[lit] if lit.any() else np.ones((1, 1))
    # Column medians are slit and dust; what is left is the pixels' own response.
    pixels = inside / np.median(inside, axis=0)
    rms = 1.4826 * float(np.median(np.abs(pixels - np.median(pixels))))
    return flat, {"pixel_rms": rms, "lit_fraction": float(lit.mean())}


def _lamp_spectrum(stacked: Frame) -> Vector:
    """Return the smooth spectrum of the lamp: a cubic spline through the row medians."""
    values = np.median(np.where(stacked.good, stacked.data, np.nan), axis=1).astype(np.float64)
    rows = np.arange(values.size, dtype=np.float64)
    known = np.isfinite(values)
    spacing = KNOT_SPACING_PX / stacked.geometry.y_binning
    knots = np.arange(spacing, values.size - spacing, spacing)
    keep = known
    for _ in range(3):
        spline = LSQUnivariateSpline(rows[keep], values[keep], knots)
        smooth = spline(rows)
        off = np.abs(values - smooth) / np.maximum(smooth, 1)
        keep = known & (off < 5 * max(1.4826 * float(np.median(off[keep])), 1e-4))
    return np.asarray(smooth)

"""The bands of oxygen and water: measured on the standard, taken out of the target."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from reducers.spectroscopy.bands import TELLURIC
from reducers.spectroscopy.reference import reference_magnitude
from reducers.spectroscopy.response import count_rate, extinction_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.instrument import Instrument, Standard
    from reducers.spectroscopy.bands import TelluricBand
    from reducers.spectroscopy.response import Response
    from reducers.spectrum import Spectrum

#: How the depth of saturated bands grows with airmass (Rigault et al. 2019, A&A 627, A115).
AIRMASS_POWER = 0.55
#: Water changes within hours; older bands of it are not used.
WATER_WITHIN_H = 6.0
#: Airmasses farther apart than this make the scaling a guess.
AIRMASS_WITHIN = 0.8
#: Median signal-to-noise beside a band from which depth and place are fitted on the target.
_FIT_SNR = 5.0
#: How well the scaled depth and the wavelengths (pixels) are known before the fit.
_DEPTH_PRIOR, _SHIFT_PRIOR_PX = {"O2": 0.15, "H2O": 0.7}, 0.5
#: Depth relative to the scaled one, and shift in pixels, that the fit may choose from.
_DEPTHS = {"O2": np.linspace(0.7, 1.4, 8), "H2O": np.linspace(0.0, 3.0, 16)}
_SHIFTS_PX = np.linspace(-1.2, 1.2, 9)
_BESIDE = 80.0
_DEEPEST = 0.03
#: A pixel beyond its neighbourhood whose depth differs from 0 by less is left alone.
_EDGE = 12.0


def with_telluric(
    response: Response,
    counts: Spectrum,
    standard: Standard,
    instrument: Instrument,
    exposure_s: float,
) -> Response:
    """Return the response with the transmission that the standard shows in its bands."""
    rate, _ = count_rate(counts, exposure_s)
    extinction = extinction_at(instrument, counts.wavelength) * response.airmass
    zero = response.zero_point_at(counts.wavelength)
    star = reference_magnitude(standard, counts.wavelength)
    ratio = rate * 10 ** (0.4 * (extinction + star - zero))
    usable = counts.good & np.isfinite(ratio)
    where, what = [], []
    for band in TELLURIC:
        inside = _within(counts.wavelength, band, _EDGE) & usable
        level = _level(counts.wavelength, ratio, usable, band)
        if inside.sum() < 3 or level is None:
            continue
        where.append(counts.wavelength[inside])
        what.append(np.clip(ratio[inside] / level[inside], _DEEPEST, 1.0))
    if not where:
        return response
    return replace(
        response,
        telluric_wavelength=np.concatenate(where),
        telluric_transmission=np.concatenate(what),
    )


def _within(wavelength: Vector, band: TelluricBand, margin: float) -> NDArray[np.bool_]:
    return np.asarray((wavelength > band.start - margin) & (wavelength < band.stop + margin))


def _level(
    wavelength: Vector, ratio: Vector, usable: NDArray[np.bool_], band: TelluricBand
) -> Vector | None:
    """Return the ratio without the band: a line through both sides; 1 where one is missing."""
    left = usable & (wavelength > band.start - _BESIDE) & (wavelength < band.start - _EDGE)
    right = usable & (wavelength < band.stop + _BESIDE) & (wavelength > band.stop + _EDGE)
    if left.sum() < 3:
        return None
    if right.sum() < 3:
        return np.ones_like(ratio)
    x = [float(wavelength[side].mean()) for side in (left, right)]
    y = [float(np.median(ratio[side])) for side in (left, right)]
    return np.asarray(np.interp(wavelength, x, y))


def transmission_for(
    spectrum: Spectrum, response: Response, airmass: float, age_h: float | None
) -> Vector:
    """Return the transmission of the air in the target's bands; 1 where none is corrected.

    Parameters
    ----------
    age_h
        Hours between standard and target; None when unknown.

    Notes
    -----
    Optical depths of the standard grow with (airmass ratio)^0.55. Where the target is bright
    enough its own band says how deep and where (sub-pixel) it is; water that is hours old is
    used only then.
    """
    result = np.ones(spectrum.wavelength.size)
    if response.telluric_wavelength.size == 0 or abs(airmass - response.airmass) > AIRMASS_WITHIN:
        return result
    depth = -np.log(response.telluric_transmission)
    depth = depth * (airmass / response.airmass) ** AIRMASS_POWER
    shifts = _SHIFTS_PX
    # Oxygen first, the deepest band before all: it says where the others stand.
    for band in sorted(TELLURIC, key=lambda band: (band.gas != "O2", -band.start)):
        known = _within(response.telluric_wavelength, band, _EDGE)
        if not known.any():
            continue
        own = (response.telluric_wavelength[known], depth[known])
        fresh = band.gas != "H2O" or (age_h is not None and age_h <= WATER_WITHIN_H)
        best = _fitted(spectrum, band, own, shifts)
        if best is not None and shifts.size > 1:
            shifts = np.array([best[1]])
        if best is None and not fresh:
            continue
        scale, shift_px = best or (1.0, float(shifts[0]) if shifts.size == 1 else 0.0)
        pixel = float(np.median(np.diff(spectrum.wavelength)))
        result *= np.exp(-scale * _depth_at(spectrum.wavelength - shift_px * pixel, own))
    return result


def _depth_at(wavelength: Vector, own: tuple[Vector, Vector]) -> Vector:
    """Return the optical depth between the standard's pixels; 0 beyond the band.

    What the spectrograph has blurred is the transmission, so that is interpolated.
    """
    x, depth = own
    if x.size < 4:
        return np.asarray(np.interp(wavelength, x, depth, left=0.0, right=0.0))
    values = CubicSpline(x, np.exp(-depth))(np.clip(wavelength, x[0], x[-1]))
    inside = (wavelength > x[0]) & (wavelength < x[-1])
    return np.where(inside, -np.log(np.clip(values, _DEEPEST, 1.0)), 0.0)


def _fitted(
    spectrum: Spectrum, band: TelluricBand, own: tuple[Vector, Vector], shifts: Vector
) -> tuple[float, float] | None:
    """Return (depth factor, shift in pixels) that leave the target smoothest; None if faint."""
    near = _within(spectrum.wavelength, band, _BESIDE) & spectrum.good
    near &= spectrum.wavelength < own[0].max() + _BESIDE
    beside = near & ~_within(spectrum.wavelength, band, _EDGE)
    if beside.sum() < 8 or near.sum() - beside.sum() < 4:
        return None
    wavelength, flux = spectrum.wavelength[near], spectrum.flux[near]
    error = spectrum.error[near]
    clear = beside[near]
    if np.median(flux[clear] / error[clear]) < _FIT_SNR:
        return None
    pixel = float(np.median(np.diff(spectrum.wavelength)))
    x = (wavelength - wavelength.mean()) / np.ptp(wavelength)
    design = np.vander(x, 3)
    # Systematic differences of 2 % keep the deepest pixels from deciding alone.
    weight = 1 / np.hypot(error, 0.02 * np.median(flux[clear]))

    def misfit(scale: float, shift_px: float) -> float:
        depth = _depth_at(wavelength - shift_px * pixel, own)
        model = design * (np.exp(-scale * depth) * weight)[:, None]
        solution, *_ = np.linalg.lstsq(model, flux * weight, rcond=None)
        off = float(np.sum((flux * weight - model @ solution) ** 2))
        prior = ((scale - 1) / _DEPTH_PRIOR[band.gas]) ** 2 + (shift_px / _SHIFT_PRIOR_PX) ** 2
        return off + prior

    coarse = [(misfit(s, d), s, d) for d in shifts for s in _DEPTHS[band.gas]]
    _, scale, shift = min(coarse)
    fine = [
        (misfit(s, d), s, d)
        for d in (shifts if shifts.size == 1 else shift + np.linspace(-0.15, 0.15, 7))
        for s in np.maximum(scale + np.linspace(-0.1, 0.1, 5), 0.0)
    ]
    _, scale, shift = min(fine)
    return float(scale), float(shift)

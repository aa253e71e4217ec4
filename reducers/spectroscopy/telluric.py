"""The bands of oxygen and water: measured on the standard, taken out of the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from reducers.frame import Vector
from reducers.spectroscopy.bands import TELLURIC
from reducers.spectroscopy.reference import reference_magnitude
from reducers.spectroscopy.response import count_rate, extinction_at

if TYPE_CHECKING:
    from collections.abc import Sequence

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
_O2_PRIOR, _FRESH_WATER_PRIOR, _OLD_WATER_PRIOR, _SHIFT_PRIOR_PX = 0.15, 0.25, 0.7, 0.5
#: Pixels that a feature of the target covers, and that therefore count as one.
_CORRELATED = {"O2": 1.0, "H2O": 8.0}
#: Depth relative to the scaled one, and shift in pixels, that the fit may choose from.
_DEPTHS = {"O2": np.linspace(0.7, 1.3, 5), "H2O": np.linspace(0.0, 3.0, 16)}
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
    pixel = float(np.median(np.diff(spectrum.wavelength)))
    shifts = _SHIFTS_PX
    # Oxygen first: its bands are the deepest, and say where the others stand.
    for gas in ("O2", "H2O"):
        found = [(band, _depth_of(response, depth, band)) for band in TELLURIC if band.gas == gas]
        known = [(band, own) for band, own in found if own is not None]
        fresh = gas != "H2O" or (age_h is not None and age_h <= WATER_WITHIN_H)
        water = _FRESH_WATER_PRIOR if fresh else _OLD_WATER_PRIOR
        prior = _O2_PRIOR if gas == "O2" else water
        best = _fitted([_piece(spectrum, *item) for item in known], gas, shifts, prior)
        if best is None and not fresh:
            continue
        scale, shift = best or (1.0, float(shifts[0]) if shifts.size == 1 else 0.0)
        if best is not None:
            shifts = np.array([shift])
        for _, own in known:
            result *= np.exp(-scale * own.at(spectrum.wavelength - shift * pixel))
    return result


@dataclass(frozen=True, slots=True)
class _Depth:
    """Optical depth between the standard's pixels of one band; 0 beyond it.

    What the spectrograph has blurred is the transmission, so that is interpolated.
    """

    start: float
    stop: float
    transmission: Callable[[Vector], Vector]

    def at(self, wavelength: Vector) -> Vector:
        values = self.transmission(np.clip(wavelength, self.start, self.stop))
        inside = (wavelength > self.start) & (wavelength < self.stop)
        return np.where(inside, -np.log(np.clip(values, _DEEPEST, 1.0)), 0.0)


def _depth_of(response: Response, depth: Vector, band: TelluricBand) -> _Depth | None:
    known = _within(response.telluric_wavelength, band, _EDGE)
    if known.sum() < 4:
        return None
    x = response.telluric_wavelength[known]
    return _Depth(float(x[0]), float(x[-1]), CubicSpline(x, np.exp(-depth[known])))


@dataclass(frozen=True, slots=True)
class _Piece:
    """One band of the target with what lies beside it, and the standard's depth there."""

    wavelength: Vector
    flux: Vector
    weight: Vector
    continuum: NDArray[np.float64]
    own: _Depth

    def misfit(self, scale: float, shift_angstrom: float) -> float:
        depth = self.own.at(self.wavelength - shift_angstrom)
        model = self.continuum * (np.exp(-scale * depth) * self.weight)[:, None]
        seen = self.flux * self.weight
        solution, *_ = np.linalg.lstsq(model, seen, rcond=None)
        return float(np.sum((seen - model @ solution) ** 2))


def _piece(spectrum: Spectrum, band: TelluricBand, own: _Depth) -> _Piece | None:
    """Return one band of the target; None where it is too faint or not all there."""
    near = _within(spectrum.wavelength, band, _BESIDE) & spectrum.good
    near &= spectrum.wavelength < own.stop + _BESIDE
    beside = near & ~_within(spectrum.wavelength, band, _EDGE)
    if beside.sum() < 8 or near.sum() - beside.sum() < 4:
        return None
    wavelength, flux, error = (
        column[near] for column in (spectrum.wavelength, spectrum.flux, spectrum.error)
    )
    clear = beside[near]
    if np.median(flux[clear] / error[clear]) < _FIT_SNR:
        return None
    x = (wavelength - wavelength.mean()) / np.ptp(wavelength)
    # Water bands are so broad that a bent continuum could take their place.
    terms = 3 if band.gas == "O2" else 2
    return _Piece(
        wavelength,
        flux,
        # Systematic differences of 2 % keep the deepest pixels from deciding alone.
        1 / np.hypot(error, 0.02 * np.median(flux[clear])),
        np.vander(x, terms),
        own,
    )


def _fitted(
    pieces: Sequence[_Piece | None], gas: str, shifts: Vector, prior: float
) -> tuple[float, float] | None:
    """Return (depth factor, shift in pixels) that leave the target smoothest; None if faint."""
    seen = [piece for piece in pieces if piece is not None]
    if not seen:
        return None
    pixel = float(np.median([np.median(np.diff(piece.wavelength)) for piece in seen]))

    def misfit(scale: float, shift: float) -> float:
        off = sum(piece.misfit(scale, shift * pixel) for piece in seen) / _CORRELATED[gas]
        return off + ((scale - 1) / prior) ** 2 + (shift / _SHIFT_PRIOR_PX) ** 2

    coarse = [(misfit(s, d), s, d) for d in shifts for s in _DEPTHS[gas]]
    _, scale, shift = min(coarse)
    fine = [
        (misfit(s, d), s, d)
        for d in (shifts if shifts.size == 1 else shift + np.linspace(-0.15, 0.15, 7))
        for s in np.maximum(scale + np.linspace(-0.1, 0.1, 5), 0.0)
    ]
    _, scale, shift = min(fine)
    return float(scale), float(shift)

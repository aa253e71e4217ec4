"""A spectrum over its continuum, and how much of its structure a few groups of lines explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from reducers.classification.features import BLUER_BINS, at_lag, rest_profile
from reducers.classification.grid import BINS, LAST_ANGSTROM, STEP, edges
from reducers.classification.host_lines import usable_for_lines
from reducers.classification.preparation import continuum, rebin, with_signal, without_narrow_lines
from reducers.frame import Vector, read_only
from reducers.spectroscopy.lines import vacuum_to_air

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.spectrum import Spectrum

#: What is smoother than this (natural logarithm of wavelength) belongs to the continuum.
_SMOOTH = 0.1
#: Calibration and line lists are no better than this, relative to the continuum.
_FLOOR = 0.015
_FEW_BINS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Flat:
    """Flux over continuum less one, its errors, and what counts as smooth.

    Attributes
    ----------
    start, stop
        The bins of `grid` that hold light.
    values, weights : (stop - start,)
        Weights are inverse variances; 0 under strong sky lines, telluric bands and gaps.
    smooth : (stop - start, k)
        Functions that are taken out of spectrum and models alike.
    solve : (k, stop - start)
        Gives their coefficients.
    continuum : (stop - start,)
        In the unit of the spectrum.
    """

    start: int
    stop: int
    values: Vector
    weights: Vector
    smooth: NDArray[np.float64]
    solve: NDArray[np.float64]
    continuum: Vector
    resolution_angstrom: float

    @property
    def sharp(self) -> Vector:
        """The values less what is smooth."""
        return np.asarray(self.sharpened(self.values[None])[0])

    def sharpened(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return rows (n, stop - start) less what is smooth in them."""
        return np.asarray(rows - (rows @ self.solve.T) @ self.smooth.T)

    def profile(self, key: str, lag: float) -> Vector:
        """Return a group of lines on the bins of this spectrum."""
        whole = at_lag(rest_profile(key, self.resolution_angstrom), lag)
        return np.asarray(whole[self.start : self.stop])

    def covers(self, key: str, lag: float) -> bool:
        """Return whether the spectrum reaches at least one feature of a group."""
        own = self.profile(key, lag) * (self.weights > 0)
        whole = rest_profile(key, self.resolution_angstrom)
        return bool(np.abs(own).max() > 0.3 * np.abs(whole).max())


def flat_spectrum(
    spectrum: Spectrum, resolution_angstrom: float, *, cut_lines: bool = False
) -> Flat | None:
    """Return the spectrum over its continuum; None where too little of it holds light.

    Parameters
    ----------
    cut_lines
        Whether narrow emission lines are cut off.
    """
    flux, error = rebin(spectrum)
    start, stop = with_signal(flux, error)
    if stop - start < _FEW_BINS:
        return None
    inside = slice(start, stop)
    if cut_lines:
        flux[inside] = without_narrow_lines(flux[inside], error[inside])
    level = continuum(flux, start, stop)
    values = flux[inside] / level - 1
    weights = 1 / ((error[inside] / level) ** 2 + _FLOOR**2)
    weights[~np.isfinite(values) | ~np.isfinite(weights) | _hidden(spectrum)[inside]] = 0.0
    values = np.where(weights > 0, values, 0.0)
    if np.count_nonzero(weights) < _FEW_BINS:
        return None
    smooth = _smooth(stop - start)
    weighted = smooth * weights[:, None]
    solve = np.linalg.pinv(smooth.T @ weighted) @ weighted.T
    return Flat(
        start=start, stop=stop, values=read_only(values, np.float64),
        weights=read_only(weights, np.float64), smooth=smooth, solve=solve,
        continuum=read_only(level, np.float64), resolution_angstrom=resolution_angstrom,
    )  # fmt: skip


def _hidden(spectrum: Spectrum) -> NDArray[np.bool_]:
    """Return true for bins, (BINS,), that hold a pixel which no line may be looked for in."""
    places = np.asarray(vacuum_to_air(spectrum.wavelength[~usable_for_lines(spectrum)]))
    places = places[(places > edges()[0]) & (places < LAST_ANGSTROM)]
    hidden = np.zeros(BINS, dtype=bool)
    hidden[np.clip(np.searchsorted(edges(), places) - 1, 0, BINS - 1)] = True
    return hidden


def _smooth(size: int) -> NDArray[np.float64]:
    """Return cosines down to the length that counts as smooth, (size, k)."""
    count = max(3, round(size * STEP / _SMOOTH) + 2)
    place = (np.arange(size) + 0.5) / size
    return np.cos(np.pi * place[:, None] * np.arange(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """How well one model stands in a spectrum at every redshift that was tried.

    Attributes
    ----------
    lags, snr : (n,)
        Bins, and the amplitude of the model over its error (negative where it is upside down).
    """

    lags: NDArray[np.int64]
    snr: Vector


def scan(flat: Flat, model: Vector, lags: NDArray[np.int64]) -> Scan:
    """Return the significance of a rest profile (BLUER_BINS + BINS,) at each whole lag."""
    index = BLUER_BINS + np.arange(flat.start, flat.stop)[None] - lags[:, None]
    rows = model[np.clip(index, 0, model.size - 1)] * (index >= 0)
    rows = flat.sharpened(rows)
    power = (rows**2) @ flat.weights
    signal = rows @ (flat.weights * flat.sharp)
    # Where next to nothing of the model is within reach there is nothing to be found.
    least = 0.02 * float(power.max(initial=0.0)) + 1e-12
    return Scan(
        lags=lags, snr=np.where(power > least, signal / np.sqrt(np.maximum(power, least)), 0)
    )


def share_of_template(flat: Flat, template: Vector, lag: float) -> tuple[float, float]:
    """Return how deep a template's features are in a spectrum, and their share of its structure.

    Parameters
    ----------
    template : (BINS,)
        Flux over continuum less one; 0 where it was not observed.
    lag
        Bins by which it is moved to the red.

    Returns
    -------
    tuple of float
        1 where the features are as deep as the template's; and a part between 0 and 1.
    """
    index = np.arange(flat.start, flat.stop) - lag
    seen = np.interp(index, np.arange(BINS), template != 0, left=0, right=0) > 0.99
    weights, smooth = flat.weights * seen, flat.smooth
    solve = np.linalg.pinv((smooth * weights[:, None]).T @ smooth) @ (smooth * weights[:, None]).T
    model = np.interp(index, np.arange(BINS), template, left=0, right=0)
    model, own = (values - smooth @ (solve @ values) for values in (model, flat.values))
    power = float(np.sum(weights * model**2))
    if power <= 0:
        return 0.0, 0.0
    depth = float(np.sum(weights * model * own)) / power
    count = max(int(np.count_nonzero(weights)) - smooth.shape[1], 1)
    total, rest = (float(np.sum(weights * values**2)) for values in (own, own - depth * model))
    beyond = total - count
    share = np.clip((total - max(rest, count)) / beyond, 0, 1) if beyond > 0 else 0.0
    return depth, float(share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What groups of lines at one redshift explain of a spectrum.

    Attributes
    ----------
    strengths, snr
        By group: depth of its deepest line over the continuum, and that over its error.
    share
        Part of the structure beyond the noise that they explain; 0 where there is none.
    structure_sigma
        How sure it is that the spectrum has structure at all.
    """

    strengths: dict[str, float]
    snr: dict[str, float]
    share: float
    structure_sigma: float


def explained(flat: Flat, keys: Sequence[str], lag: float) -> Explained:
    """Return how far groups of lines, each with a strength of its own, explain a spectrum."""
    root = np.sqrt(flat.weights)
    own = [key for key in keys if flat.covers(key, lag)]
    count = max(int(np.count_nonzero(root)) - flat.smooth.shape[1], 1)
    seen = root * flat.sharp
    total = float(seen @ seen)
    sure = (total / count - 1) * float(np.sqrt(count / 2))
    if not own:
        return Explained(strengths={}, snr={}, share=0.0, structure_sigma=sure)
    rows = flat.sharpened(np.array([flat.profile(key, lag) for key in own])) * root
    strengths, left = nnls(rows.T, seen)
    used = strengths > 0
    errors = np.full(len(own), np.inf)
    if used.any():
        normal: Any = rows[used] @ rows[used].T
        errors[used] = np.sqrt(np.maximum(np.diag(np.linalg.pinv(normal)), 0))
    rest = left**2
    beyond = total - count
    return Explained(
        strengths=dict(zip(own, strengths.tolist(), strict=True)),
        snr={key: float(s / e) if e > 0 else 0.0
             for key, s, e in zip(own, strengths, errors, strict=True)},
        share=float(np.clip((total - max(rest, count)) / beyond, 0, 1)) if beyond > 0 else 0.0,
        structure_sigma=sure,
    )  # fmt: skip

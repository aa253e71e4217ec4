"""Make a spectrum comparable with templates: bins, continuum, taper, band-pass.

Blondin & Tonry 2007, ApJ 666, 1024, sect. 2.1-2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import label, median_filter

from reducers.classification.grid import BINS, STEP, edges
from reducers.frame import Vector, read_only
from reducers.spectroscopy.lines import vacuum_to_air

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.spectrum import Spectrum

#: Knots of the continuum over the whole range of the bins.
KNOTS = 13
#: Share of the range that is tapered at either end.
TAPER = 0.05
#: Wave numbers between which the band-pass rises, and falls: what is left of the continuum,
#: and what is narrower than any feature of a supernova (3000 km/s).
RISE, FALL = (1.0, 4.0), (BINS / 12, BINS / 10)
#: An end is left out up to where the mean over one knot's bins is this many sigma above zero.
_LEAST_SIGNAL = 5.0
#: Lines at most this many bins wide and this many sigma high are the host's, and are cut off.
_NARROW_BINS, _NARROW_SIGMA = 6, 4.0
_BROAD_BINS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A spectrum over its continuum less one.

    Attributes
    ----------
    values : (BINS,)
        On the bins of `grid`; 0 outside `start` to `stop`.
    start, stop : int
        The bins that were observed.
    snr : float
        Median signal-to-noise per bin.
    """

    values: Vector
    start: int
    stop: int
    snr: float

    @property
    def length(self) -> float:
        """Logarithm of last over first wavelength."""
        return (self.stop - self.start) * STEP


def prepare(spectrum: Spectrum, *, cut_lines: bool = True) -> Prepared:
    """Return the spectrum as the correlation takes it.

    Parameters
    ----------
    spectrum
        Vacuum Angstrom, flux-calibrated or not; unusable pixels are bridged.
    cut_lines
        Whether narrow emission lines (of the host) are cut off.

    Notes
    -----
    The templates were observed in air, so the wavelengths are turned into air here. Ends whose
    light cannot be told from nothing are left out.
    """
    flux, error = rebin(spectrum)
    start, stop = with_signal(flux, error)
    values = np.zeros(BINS)
    if stop - start < BINS // KNOTS:
        return Prepared(values=read_only(values, np.float64), start=start, stop=start, snr=0.0)
    inside = slice(start, stop)
    if cut_lines:
        flux[inside] = without_narrow_lines(flux[inside], error[inside])
    values[inside] = flux[inside] / continuum(flux, start, stop) - 1
    snr = float(np.median(flux[inside] / error[inside]))
    return Prepared(values=read_only(values, np.float64), start=start, stop=stop, snr=snr)


def rebin(spectrum: Spectrum) -> tuple[Vector, Vector]:
    """Return mean flux and its error in every bin, NaN where the spectrum does not reach."""
    good = spectrum.good & (spectrum.wavelength > 0)
    flux, error = np.full(BINS, np.nan), np.full(BINS, np.nan)
    if good.sum() < 10:
        return flux, error
    wave = np.asarray(vacuum_to_air(spectrum.wavelength))
    signal = np.interp(wave, wave[good], spectrum.flux[good])
    variance = np.interp(wave, wave[good], spectrum.error[good]) ** 2
    pixel_edges = np.concatenate(
        [[1.5 * wave[0] - 0.5 * wave[1]], 0.5 * (wave[1:] + wave[:-1]),
         [1.5 * wave[-1] - 0.5 * wave[-2]]]
    )  # fmt: skip
    widths = np.diff(pixel_edges)
    bins = edges()
    for values, out, power in ((signal, flux, 1), (variance, error, 2)):
        total = np.concatenate([[0.0], np.cumsum(values * widths**power)])
        out[:] = np.diff(np.interp(bins, pixel_edges, total)) / np.diff(bins) ** power
    # An unusable end is not bridged.
    first, last = wave[good][[0, -1]]
    outside = (bins[:-1] < first) | (bins[1:] > last)
    flux[outside], error[outside] = np.nan, np.nan
    return flux, np.sqrt(error)


def with_signal(flux: Vector, error: Vector) -> tuple[int, int]:
    """Return first bin and the one after the last between ends that hold light."""
    known = np.flatnonzero(np.isfinite(flux) & (error > 0))
    if known.size == 0:
        return 0, 0
    start, stop, run = int(known[0]), int(known[-1]) + 1, BINS // KNOTS // 2

    def lit(part: slice) -> bool:
        noise = float(np.sqrt(np.nansum(error[part] ** 2)))
        return bool(np.nansum(flux[part]) > _LEAST_SIGNAL * noise)

    while stop - start >= run and not lit(slice(start, start + run)):
        start += run // 2
    while stop - start >= run and not lit(slice(stop - run, stop)):
        stop -= run // 2
    return start, max(start, stop)


def without_narrow_lines(flux: Vector, error: Vector) -> Vector:
    """Return the flux with narrow emission lines replaced by a running median."""
    broad = np.asarray(median_filter(flux, _BROAD_BINS, mode="nearest"))
    excess = flux - broad
    noise = np.maximum(error, 1.4826 * np.median(np.abs(np.diff(flux))) / np.sqrt(2))
    runs, count = label(excess > 2 * noise)
    cleaned = flux.copy()
    for number in range(1, count + 1):
        members = np.flatnonzero(runs == number)
        high = np.max(excess[members] / noise[members]) > _NARROW_SIGMA
        if high and members.size <= _NARROW_BINS:
            cleaned[members] = broad[members]
    return cleaned


def continuum(flux: Vector, start: int, stop: int) -> Vector:
    """Return a spline through mean fluxes (logarithmic), (stop - start,), always positive."""
    run = BINS / KNOTS
    index = np.arange(start, stop)
    which = np.floor(index / run).astype(int)
    inside = flux[start:stop]
    floor = 0.02 * float(np.nanmedian(np.abs(inside)))
    places, levels = [], []
    for knot in range(KNOTS):
        own = which == knot
        # A knot at an end that holds few bins would follow their noise.
        if own.sum() >= run / 3:
            places.append(float(index[own].mean()))
            levels.append(np.log(max(float(inside[own].mean()), floor)))
    if len(places) < 3:
        return np.full(stop - start, max(float(inside.mean()), floor))
    spline = CubicSpline(places, levels, bc_type="natural")
    # Beyond the outer knots the line goes on as it leaves them.
    held = np.clip(index, places[0], places[-1])
    slope = spline(held, 1) * (index - held)
    return np.asarray(np.exp(spline(held) + np.clip(slope, -1, 1)))


def taper(start: NDArray[np.float64], stop: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return windows that fall as a cosine at both ends, (m, BINS), for (m,) ranges of bins."""
    index = np.arange(BINS, dtype=np.float32) + 0.5
    first, last = np.asarray(start, np.float32)[:, None], np.asarray(stop, np.float32)[:, None]
    edge = np.maximum(TAPER * (last - first), 1.0)
    depth = np.clip(np.minimum(index - first, last - index) / edge, 0, 1)
    return np.asarray(0.5 * (1 - np.cos(np.pi * depth)), dtype=np.float32)


def band_pass() -> NDArray[np.float32]:
    """Return the filter, (BINS // 2 + 1,) wave numbers, each side half a cosine."""
    wave = np.arange(BINS // 2 + 1, dtype=np.float64)
    rise = np.clip((wave - RISE[0]) / (RISE[1] - RISE[0]), 0, 1)
    fall = np.clip((FALL[1] - wave) / (FALL[1] - FALL[0]), 0, 1)
    return np.asarray(0.25 * (1 - np.cos(np.pi * rise)) * (1 - np.cos(np.pi * fall)), np.float32)

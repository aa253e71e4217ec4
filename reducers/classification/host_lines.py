"""The redshift of a host galaxy from its narrow emission lines."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter

from reducers.frame import Mask, Vector

if TYPE_CHECKING:
    from reducers.spectrum import Spectrum

#: A line is believed above this signal-to-noise; one of a redshift must reach the higher one.
LEAST_SNR, SURE_SNR = 5.0, 8.0
#: Lines of one galaxy agree within this share of the resolution.
_AGREE = 0.4
#: Beyond this H-alpha leaves for the red: fewer lines are left, among more of the night sky's, and
#: three of them have to agree.
_FAR, _FAR_LINES = 0.5, 3
#: [O III] 5007 over 4959 (Storey & Zeippen 2000, MNRAS 312, 813), and how far noise may take it.
_DOUBLET, _DOUBLET_FACTOR = 2.98, 2.0
#: The next best redshift must fall below this share of the best one's score.
_UNRIVALLED = 0.75
_MOST_SNR = 20.0
#: The continuum is a running median this many resolution elements wide.
_BROAD = 8
#: Wavelengths of two exposures agree no better than this (1 sigma, relative).
_SYSTEMATIC = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class GalaxyLine:
    """A line of galaxies, vacuum Angstrom."""

    vacuum_angstrom: float
    name: str
    strong: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRedshift:
    """What narrow emission lines say.

    Attributes
    ----------
    redshift, error
        NaN without two lines that agree.
    lines
        Names of the lines, blue to red.
    """

    redshift: float = math.nan
    error: float = math.nan
    lines: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """True where the lines settle a redshift."""
        return math.isfinite(self.redshift)

    @property
    def words(self) -> str:
        """For people."""
        if not self.known:
            return "no redshift from narrow lines of a host"
        return (
            f"host lines at z = {self.redshift:.4f} +- {self.error:.4f} ({', '.join(self.lines)})"
        )


@cache
def galaxy_lines() -> tuple[GalaxyLine, ...]:
    """Return the table of lines."""
    text = resources.files(__package__).joinpath("galaxy_lines.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        GalaxyLine(
            vacuum_angstrom=float(row["vacuum_angstrom"]),
            name=row["name"],
            strong=row["strong"] == "1",
        )
        for row in rows
    )


def host_redshift(
    spectrum: Spectrum,
    resolution_angstrom: float,
    redshifts: tuple[float, float] = (-0.005, 1.6),
) -> HostRedshift:
    """Return the redshift on which narrow emission lines agree: two, and three beyond 0.5.

    Parameters
    ----------
    resolution_angstrom
        Full width at half maximum of an unresolved line.

    Notes
    -----
    Every pair of a peak and a line of the table proposes a redshift; its score is the sum of the
    signal-to-noise of all lines found there. Two strong lines are asked for, one of them sure,
    and no rival. One line alone is never given a redshift. Beyond 0.5 three lines are asked for, a
    strong and sure one among them, and [O III] 4959 must be a third of 5007 where both are seen.
    """
    places, snr = narrow_peaks(spectrum, resolution_angstrom)
    table = galaxy_lines()
    tried = [
        _at(places / line.vacuum_angstrom - 1, number, places, snr, resolution_angstrom)
        for line in table
        if line.strong
        for number in range(places.size)
    ]
    within = [item for item in tried if redshifts[0] <= item[1] <= redshifts[1]]
    seen = _Covered(spectrum.wavelength, usable_for_lines(spectrum))
    proven = [item for item in within if _is_proven(item, snr, seen)]
    if not proven:
        return HostRedshift()
    score, redshift, matched = max(proven, key=lambda item: item[0])
    rival = max((s for s, z, _ in within if abs(z - redshift) > 0.003), default=0.0)
    if rival > _UNRIVALLED * score:
        return HostRedshift()
    errors = [0.425 * resolution_angstrom / snr[peak] / places[peak] for _, peak in matched]
    own = [places[peak] / line.vacuum_angstrom - 1 for line, peak in matched]
    weights = 1 / np.square(errors)
    mean = float(np.average(own, weights=weights))
    spread = float(np.std(own)) / math.sqrt(len(own))
    error = max(math.hypot(1 / math.sqrt(weights.sum()), _SYSTEMATIC) * (1 + mean), spread)
    return HostRedshift(redshift=mean, error=error, lines=tuple(line.name for line, _ in matched))


_Found = tuple[float, float, list[tuple[GalaxyLine, int]]]


def _at(redshifts: Vector, number: int, places: Vector, snr: Vector, resolution: float) -> _Found:
    """Return score, redshift and the lines found at the redshift that one peak proposes."""
    redshift = float(redshifts[number])
    matched: list[tuple[GalaxyLine, int]] = []
    for line in galaxy_lines():
        off = np.abs(places - line.vacuum_angstrom * (1 + redshift))
        nearest = int(off.argmin())
        if off[nearest] < _AGREE * resolution and all(nearest != peak for _, peak in matched):
            matched.append((line, nearest))
    return sum(min(float(snr[peak]), _MOST_SNR) for _, peak in matched), redshift, matched


@dataclass(frozen=True, slots=True)
class _Covered:
    """Which wavelengths a spectrum shows."""

    wavelength: Vector
    usable: NDArray[np.bool_]

    def at(self, vacuum_angstrom: float) -> bool:
        if not self.wavelength[0] < vacuum_angstrom < self.wavelength[-1]:
            return False
        return bool(self.usable[int(np.abs(self.wavelength - vacuum_angstrom).argmin())])


def _is_proven(found: _Found, snr: Vector, seen: _Covered) -> bool:
    _, redshift, matched = found
    strong = [float(snr[peak]) for line, peak in matched if line.strong]
    if max(strong, default=0.0) < SURE_SNR:
        return False
    if redshift <= _FAR:
        return len(strong) >= 2
    return len(matched) >= _FAR_LINES and _is_doublet(found, snr, seen)


def _is_doublet(found: _Found, snr: Vector, seen: _Covered) -> bool:
    """Tell whether [O III] 4959 and 5007 are as strong as each other allows."""
    _, redshift, matched = found
    own = {line.name: float(snr[peak]) for line, peak in matched}
    faint, strong = own.get("[O III] 4959", 0.0), own.get("[O III] 5007", 0.0)
    places = [
        line.vacuum_angstrom * (1 + redshift)
        for line in galaxy_lines()
        if line.name.startswith("[O III]")
    ]
    if not (faint or strong) or not all(seen.at(place) for place in places):
        return True
    # A line below the threshold has any strength below it.
    least = max(faint, LEAST_SNR) if strong else 0.0
    ratio = strong / _DOUBLET
    return faint * _DOUBLET <= max(strong, LEAST_SNR) * _DOUBLET_FACTOR and (
        ratio <= least * _DOUBLET_FACTOR
    )


def narrow_peaks(spectrum: Spectrum, resolution_angstrom: float) -> tuple[Vector, Vector]:
    """Return places (vacuum Angstrom) and signal-to-noise of unresolved emission lines."""
    usable = usable_for_lines(spectrum)
    wave = spectrum.wavelength
    if usable.sum() < 50:
        return np.zeros(0), np.zeros(0)
    pixel = float(np.median(np.diff(wave)))
    flux = np.interp(wave, wave[usable], spectrum.flux[usable])
    error = np.interp(wave, wave[usable], spectrum.error[usable])
    broad = max(5, 2 * round(_BROAD * resolution_angstrom / pixel / 2) + 1)
    excess = flux - median_filter(flux, broad, mode="nearest")
    noise = _noise(excess, error, broad)
    sigma = resolution_angstrom / 2.355 / pixel
    # The matched filter: the signal-to-noise of an unresolved line at every pixel.
    signal = gaussian_filter1d(np.where(usable, excess, 0) / noise**2, sigma)
    weight = gaussian_filter1d(np.where(usable, 1.0, 0.0) / noise**2, sigma / math.sqrt(2))
    snr = signal / np.sqrt(np.maximum(weight, 1e-300)) * math.sqrt(2 * math.sqrt(math.pi) * sigma)
    inner = snr[1:-1]
    at = 1 + np.flatnonzero((inner > snr[:-2]) & (inner >= snr[2:]) & (inner > LEAST_SNR))
    at = at[usable[at] & _is_narrow(excess, at, sigma)]
    bend = np.minimum(snr[at - 1] + snr[at + 1] - 2 * snr[at], -1e-9)
    step = np.clip(0.5 * (snr[at - 1] - snr[at + 1]) / bend, -0.5, 0.5)
    return np.asarray(np.interp(at + step, np.arange(wave.size), wave)), np.asarray(snr[at])


def usable_for_lines(spectrum: Spectrum) -> NDArray[np.bool_]:
    """Return true away from unusable pixels, strong sky lines and telluric bands."""
    sky = (spectrum.mask & np.uint16(Mask.STRONG_SKY_LINE | Mask.TELLURIC)) != 0
    return np.asarray(spectrum.good & ~sky)


def _noise(excess: Vector, error: Vector, broad: int) -> Vector:
    """Return the errors, raised where the residuals scatter more than they say."""
    scatter = 1.4826 * median_filter(np.abs(excess), 3 * broad, mode="nearest")
    return np.asarray(np.maximum(np.maximum(error, scatter), 1e-300))


def _is_narrow(excess: Vector, at: NDArray[np.intp], sigma: float) -> NDArray[np.bool_]:
    """Return true for peaks that have all but gone one resolution element and a bit away."""
    away = max(2, round(1.3 * 2.355 * sigma))
    smooth = gaussian_filter1d(excess, max(sigma / 2, 0.5))
    left, right = np.clip(at - away, 0, None), np.clip(at + away, None, excess.size - 1)
    low = 0.35 * smooth[at]
    return np.asarray((smooth[left] < low) & (smooth[right] < low))

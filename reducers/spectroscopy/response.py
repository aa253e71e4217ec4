"""From counts to flux: the response of telescope, instrument and detector."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre

from reducers.errors import PoorResponse
from reducers.frame import Mask, Vector, read_only
from reducers.spectroscopy.lines import air_to_vacuum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.instrument import Instrument, Standard
    from reducers.spectrum import Spectrum

#: AB magnitude of 1 erg/s/cm2/Hz (Oke & Gunn 1983).
AB_ZERO = 48.6
SPEED_OF_LIGHT_A_S = 2.99792458e18
FLUX_UNIT = "erg / (s cm2 Angstrom)"

#: Vacuum Angstrom, half width: stellar and telluric features that a response must step over.
AVOIDED = (
    (3798.0, 12.0),
    (3836.0, 14.0),
    (3890.0, 16.0),
    (3934.8, 12.0),
    (3970.0, 22.0),
    (4102.9, 30.0),
    (4341.7, 32.0),
    (4862.7, 35.0),
    (5891.0, 20.0),
    (6564.6, 35.0),
    (6880.0, 40.0),
    (7230.0, 100.0),
    (7640.0, 70.0),
    (8190.0, 110.0),
    (9350.0, 350.0),
)
#: Telluric bands, vacuum Angstrom (start, stop).
TELLURIC = (
    (6868.0, 6950.0),
    (7160.0, 7340.0),
    (7594.0, 7700.0),
    (8130.0, 8350.0),
    (8940.0, 9850.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """AB magnitude that gives one electron per second and Angstrom outside the atmosphere.

    Attributes
    ----------
    wavelength : (n,) float64
        Vacuum Angstrom, rising.
    ab_zero_point : (n,) float64
        Magnitudes; NaN outside the range that the standard covers.
    error : (n,) float64
        Standard error in magnitudes.
    rms_mag : float
        Scatter of the reference points about the fit.
    """

    wavelength: Vector
    ab_zero_point: Vector
    error: Vector
    standard: str
    rms_mag: float
    airmass: float
    slit: str
    grism: str
    points_wavelength: Vector
    points_zero_point: Vector

    def __post_init__(self) -> None:
        for name in (
            "wavelength",
            "ab_zero_point",
            "error",
            "points_wavelength",
            "points_zero_point",
        ):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))


def extinction_at(instrument: Instrument, wavelength: Vector) -> Vector:
    """Return the extinction (mag per airmass) at vacuum wavelengths in Angstrom."""
    known = air_to_vacuum(np.array(instrument.extinction_angstrom))
    return np.asarray(np.interp(wavelength, known, np.array(instrument.extinction_mag_per_airmass)))


def count_rate(counts: Spectrum, exposure_s: float) -> tuple[Vector, Vector]:
    """Return electrons per second and Angstrom, and their error."""
    width = np.abs(np.gradient(counts.wavelength))
    return counts.flux / exposure_s / width, counts.error / exposure_s / width


def fit_response(
    counts: Spectrum,
    standard: Standard,
    instrument: Instrument,
    *,
    exposure_s: float,
    airmass: float,
    slit: str,
    grism: str,
) -> Response:
    """Compare a standard's counts with its reference and fit a smooth zero point.

    Notes
    -----
    Counts are averaged over the bandpass of each reference point, as the reference was
    measured (Oke 1990, AJ 99, 1621). The Legendre degree is the one that predicts blocks
    of left-out points best.

    Raises
    ------
    PoorResponse
        If fewer than 12 reference points are usable, or their scatter exceeds 0.25 mag.
    """
    rate, error = count_rate(counts, exposure_s)
    outside = 10 ** (0.4 * extinction_at(instrument, counts.wavelength) * airmass)
    where, magnitude, _sigma = _zero_points(
        counts.wavelength, rate * outside, error * outside, counts.good, standard
    )
    if where.size < 12:
        raise PoorResponse(f"{standard.name}: only {where.size} usable reference points")
    scaled = 2 * (where - where.min()) / np.ptp(where) - 1
    degree = _best_degree(scaled, magnitude)
    fit, kept = _robust_legendre(scaled, magnitude, degree)
    scatter = float(np.std(magnitude[kept] - legendre.legval(scaled[kept], fit)))
    if scatter > 0.25:
        raise PoorResponse(f"{standard.name}: reference points scatter by {scatter:.2f} mag")
    grid = np.linspace(where.min(), where.max(), 600)
    curve = legendre.legval(2 * (grid - where.min()) / np.ptp(where) - 1, fit)
    design = legendre.legvander(2 * (grid - where.min()) / np.ptp(where) - 1, degree)
    known = legendre.legvander(scaled[kept], degree)
    covariance = np.linalg.inv(known.T @ known) * scatter**2
    formal = np.sqrt(np.einsum("ij,jk,ik->i", design, covariance, design))
    return Response(
        wavelength=grid, ab_zero_point=curve, error=formal, standard=standard.name,
        rms_mag=scatter, airmass=airmass, slit=slit, grism=grism,
        points_wavelength=where, points_zero_point=magnitude,
    )  # fmt: skip


def _zero_points(
    wavelength: Vector, rate: Vector, error: Vector, good: NDArray[np.bool_], standard: Standard
) -> tuple[Vector, Vector, Vector]:
    """Return wavelength, zero point and error of every usable reference point."""
    reference = air_to_vacuum(np.array(standard.wavelength_angstrom))
    found: list[tuple[float, float, float]] = []
    for centre, magnitude, band in zip(
        reference, standard.ab_magnitude, standard.bandpass_angstrom, strict=True
    ):
        half = max(band, 2 * float(np.median(np.diff(wavelength)))) / 2
        inside = np.abs(wavelength - centre) <= half
        crowded = any(abs(centre - line) < width + half / 2 for line, width in AVOIDED)
        if crowded or inside.sum() < 2 or not good[inside].all():
            continue
        mean = float(rate[inside].mean())
        noise = float(np.sqrt((error[inside] ** 2).sum()) / inside.sum())
        if mean > 5 * noise:
            found.append((centre, magnitude + 2.5 * np.log10(mean), 1.0857 * noise / mean))
    table = np.array(found, dtype=np.float64).reshape(-1, 3)
    # Finely sampled tables weigh in at most every 15 A, or their noise is taken for shape.
    picked = _thin(table[:, 0], 15.0)
    return table[picked, 0], table[picked, 1], table[picked, 2]


def _thin(wavelength: Vector, spacing: float) -> NDArray[np.int64]:
    picked: list[int] = []
    for index, value in enumerate(wavelength):
        if not picked or value - wavelength[picked[-1]] >= spacing:
            picked.append(index)
    return np.array(picked, dtype=np.int64)


def _robust_legendre(x: Vector, y: Vector, degree: int) -> tuple[Vector, NDArray[np.bool_]]:
    keep = np.ones(x.size, bool)
    for _ in range(5):
        fit = legendre.legfit(x[keep], y[keep], degree)
        off = np.abs(y - legendre.legval(x, fit))
        inside = off < 4 * max(1.4826 * float(np.median(off[keep])), 0.01)
        if (inside == keep).all() or inside.sum() < degree + 4:
            break
        keep = inside
    return np.asarray(fit, dtype=np.float64), keep


def _best_degree(x: Vector, y: Vector) -> int:
    """Return the degree with the least cross-validation error over six contiguous blocks."""
    blocks = np.array_split(np.arange(x.size), 6)
    scores = {}
    for degree in range(3, min(9, x.size // 3) + 1):
        errors = []
        for block in blocks[1:-1]:
            rest = np.setdiff1d(np.arange(x.size), block)
            fit, _ = _robust_legendre(x[rest], y[rest], degree)
            errors.append(np.abs(y[block] - legendre.legval(x[block], fit)))
        scores[degree] = float(np.median(np.concatenate(errors)))
    return min(scores, key=lambda d: scores[d] * (1 + 0.02 * d))


def calibrate_flux(
    counts: Spectrum,
    response: Response,
    instrument: Instrument,
    *,
    exposure_s: float,
    airmass: float,
) -> Spectrum:
    """Turn electrons into flux per Angstrom, corrected for extinction.

    Pixels outside the response's range keep flux NaN and the bit NO_FLUX_CALIBRATION;
    the response's own error is common to all pixels and is not added to each.
    """
    zero = np.interp(
        counts.wavelength, response.wavelength, response.ab_zero_point, left=np.nan, right=np.nan
    )
    magnitude = zero - extinction_at(instrument, counts.wavelength) * airmass
    per_count = 10 ** (-0.4 * (magnitude + AB_ZERO)) * SPEED_OF_LIGHT_A_S / counts.wavelength**2
    width = np.abs(np.gradient(counts.wavelength))
    factor = per_count / exposure_s / width
    mask = counts.mask.copy()
    mask[~np.isfinite(factor)] |= np.uint16(Mask.NO_FLUX_CALIBRATION)
    return counts.after(
        f"flux: response of {response.standard}, airmass {airmass:.3f}",
        flux=counts.flux * factor,
        error=counts.error * factor,
        sky=counts.sky * factor,
        mask=mask,
        unit=FLUX_UNIT,
    )


def mark_telluric(spectrum: Spectrum) -> Spectrum:
    """Mark pixels inside telluric bands."""
    mask = spectrum.mask.copy()
    for start, stop in TELLURIC:
        mask[(spectrum.wavelength > start) & (spectrum.wavelength < stop)] |= np.uint16(
            Mask.TELLURIC
        )
    return replace(spectrum, mask=mask)

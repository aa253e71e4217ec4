"""The response of telescope, instrument and detector, from a standard star."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from reducers.errors import PoorResponse
from reducers.frame import Mask, Vector, read_only
from reducers.spectroscopy.lines import air_to_vacuum
from reducers.spectroscopy.reference import measure_points
from reducers.spectroscopy.smoothing import smooth_curve

if TYPE_CHECKING:
    from reducers.instrument import Instrument, Standard
    from reducers.spectroscopy.reference import ReferencePoints
    from reducers.spectroscopy.smoothing import SmoothCurve
    from reducers.spectrum import Spectrum

_FEWEST_POINTS = 12
_LARGEST_SCATTER = 0.25
#: A response that covers less of the grism's range than this is no response.
_LEAST_COVERAGE = 0.3
#: Below the peak by more than this, scattered light is as strong as the star.
_DEEPEST_MAG = 5.5
#: A curve that misses its outermost bands by more ends before them.
_LOOSEST_END_MAG = 0.1
_KNOT_SPACING = 60.0


def _nothing() -> Vector:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """AB magnitude that gives one electron per second and Angstrom outside the atmosphere.

    Attributes
    ----------
    wavelength : (n,) float64
        Vacuum Angstrom, rising.
    ab_zero_point : (n,) float64
        Magnitudes, between the first and the last band on which the star gave light.
    error : (n,) float64
        Standard error in magnitudes; common to neighbouring wavelengths.
    rms_mag : float
        Robust scatter of the reference points about the fit.
    cross_validation_mag : float
        The same about fits that did not know the points.
    coverage : float
        Share of the grism's range (as far as it was read out) that the response covers.
    slit, grism, filter : str
        As in the standard's set-up.
    seeing_arcsec : float
        FWHM of the standard along the slit; NaN when not measured.
    telluric_wavelength, telluric_transmission : (m,) float64
        Transmission of the air in the standard's own bands, at its airmass; empty when none.
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
    filter: str = ""
    cross_validation_mag: float = float("nan")
    coverage: float = 1.0
    seeing_arcsec: float = float("nan")
    telluric_wavelength: Vector = field(default_factory=_nothing)
    telluric_transmission: Vector = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        for name in (
            "wavelength",
            "ab_zero_point",
            "error",
            "points_wavelength",
            "points_zero_point",
            "telluric_wavelength",
            "telluric_transmission",
        ):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))

    def zero_point_at(self, wavelength: Vector) -> Vector:
        """Return the AB zero point at vacuum wavelengths; NaN where the star gave no light."""
        return np.asarray(
            np.interp(wavelength, self.wavelength, self.ab_zero_point, left=np.nan, right=np.nan)
        )

    def error_at(self, wavelength: Vector) -> Vector:
        """Return the standard error (mag) at vacuum wavelengths; NaN outside the range."""
        return np.asarray(
            np.interp(wavelength, self.wavelength, self.error, left=np.nan, right=np.nan)
        )


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
    filter_name: str = "",
    seeing_arcsec: float = float("nan"),
) -> Response:
    """Compare a standard's counts with its reference and fit a smooth zero point.

    Notes
    -----
    Counts are averaged over the bandpass of each reference point, as the reference was
    measured (Oke 1990, AJ 99, 1621); a second round takes out the bend of star and response
    inside the band. The curve is a penalised spline whose stiffness predicts blocks of
    left-out points best. Nothing is extrapolated beyond the outermost lit band.

    Raises
    ------
    PoorResponse
        If fewer than 12 reference points are usable, their scatter exceeds 0.25 mag, or they
        cover less than a third of the grism's range.
    """
    points, curve = _fit(counts, standard, instrument, exposure_s=exposure_s, airmass=airmass)
    if curve.scatter > _LARGEST_SCATTER:
        raise PoorResponse(f"{standard.name}: reference points scatter by {curve.scatter:.2f} mag")
    grid = np.linspace(curve.start, curve.stop, 1200)
    zero = curve.at(grid)
    start, stop = _lit_range(grid, zero, points)
    coverage = _coverage(start, stop, counts, instrument, grism)
    if coverage < _LEAST_COVERAGE:
        raise PoorResponse(
            f"{standard.name}: light only from {start:.0f} to {stop:.0f} A, "
            f"{100 * coverage:.0f} % of the range of {grism}"
        )
    kept = (grid >= start) & (grid <= stop)
    return Response(
        wavelength=grid[kept], ab_zero_point=zero[kept], error=curve.error(grid)[kept],
        standard=standard.name, rms_mag=curve.scatter, airmass=airmass, slit=slit, grism=grism,
        points_wavelength=points.wavelength, points_zero_point=points.zero_point,
        filter=filter_name, cross_validation_mag=curve.cross_validation, coverage=coverage,
        seeing_arcsec=seeing_arcsec,
    )  # fmt: skip


def _fit(
    counts: Spectrum, standard: Standard, instrument: Instrument, *, exposure_s: float,
    airmass: float,
) -> tuple[ReferencePoints, SmoothCurve]:  # fmt: skip
    rate, error = count_rate(counts, exposure_s)
    outside = 10 ** (0.4 * extinction_at(instrument, counts.wavelength) * airmass)
    above = (counts.wavelength, rate * outside, error * outside, counts.good, standard)
    points = measure_points(*above)
    for _ in range(2):
        if points.wavelength.size < _FEWEST_POINTS:
            raise PoorResponse(
                f"{standard.name}: only {points.wavelength.size} usable reference points"
                f"{_why_few(counts)}"
            )
        curve = smooth_curve(points.wavelength, points.zero_point, points.sigma, _KNOT_SPACING)
        if points.bent:
            break
        points = measure_points(*above, shape=curve.at)
    return points, curve


def _why_few(counts: Spectrum) -> str:
    share = float(((counts.mask & np.uint16(Mask.SATURATED)) != 0).mean())
    return f": {100 * share:.0f} % of the star is saturated, expose shorter" if share > 0.1 else ""


def _lit_range(grid: Vector, zero: Vector, points: ReferencePoints) -> tuple[float, float]:
    """Return the run about the peak in which the curve holds: lit, and at its ends as measured."""
    top = int(np.nanargmax(zero))
    off = np.abs(points.zero_point - np.interp(points.wavelength, grid, zero))
    near = np.flatnonzero(off < _LOOSEST_END_MAG)
    held = (grid >= points.wavelength[near[0]]) & (grid <= points.wavelength[near[-1]])
    lost = np.flatnonzero((zero < zero[top] - _DEEPEST_MAG) | ~held)
    low = lost[lost < top].max() + 1 if (lost < top).any() else 0
    high = lost[lost > top].min() - 1 if (lost > top).any() else grid.size - 1
    return float(grid[low]), float(grid[high])


def _coverage(
    start: float, stop: float, counts: Spectrum, instrument: Instrument, grism: str
) -> float:
    low, high = float(counts.wavelength.min()), float(counts.wavelength.max())
    known = instrument.grisms.get(grism)
    if known is not None:
        low, high = max(low, known.range_angstrom[0]), min(high, known.range_angstrom[1])
    return (stop - start) / max(high - low, 1.0)

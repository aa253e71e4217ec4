"""Where the target stands on the slit, by an image taken through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from scipy.optimize import least_squares

from reducers.detector.start import mask_settling, start_frame, trim
from reducers.identity import FrameKind
from reducers.imaging.slit_stripe import SlitImage, Stripe, find_stripe, sky_along

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Frame, Vector
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

#: Stars on the slit: threshold in sigma, and what a target may be away from its usual place.
_STAR_SIGMA = 7.0
_USUAL_ARCSEC = 15.0
_CANDIDATES = 6
#: Cosmic rays fit the rows of a star far worse than so (chi squared per degree of freedom).
_WORST_MISFIT = 100.0
#: Widths of stars that are believed, arcsec.
_FWHM_RANGE = (0.4, 5.0)
_SIGMA = 2.3548
#: Half of the stretch of slit that is fitted around a star, in FWHM.
_HALF_FWHM = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class OnSlit:
    """Where a star stands on the slit; NaN where not measured.

    Attributes
    ----------
    along_px, along_error_px : float
        On the detector along the slit (unbinned, 0-based).
    across_arcsec, across_error_arcsec : float
        From the slit's middle, towards higher detector pixels.
    slit_px : float
        Middle of the slit there, across it, on the detector.
    slit_arcsec : float
        Width of the stripe of sky (half of its maximum).
    fwhm_arcsec : float
        Of the star, along the slit.
    snr : float
        Of its light.
    why : str
        Why nothing was measured, or '' .
    """

    along_px: float = math.nan
    along_error_px: float = math.nan
    across_arcsec: float = math.nan
    across_error_arcsec: float = math.nan
    slit_px: float = math.nan
    slit_arcsec: float = math.nan
    fwhm_arcsec: float = math.nan
    snr: float = math.nan
    why: str = ""

    @property
    def measurements(self) -> dict[str, float]:
        """'target_across_slit' and the numbers behind it; nothing where nothing was measured.

        In units of half the slit plus half the FWHM, and at least so far: two errors are taken
        off, for a star of which the slit shows little may be anywhere.
        """
        if self.why:
            return {}
        reach = (self.slit_arcsec + self.fwhm_arcsec) / 2
        surely = max(0.0, abs(self.across_arcsec) - 2 * self.across_error_arcsec)
        return {
            "target_across_slit": surely / reach,
            "target_across_arcsec": self.across_arcsec,
            "target_across_error_arcsec": self.across_error_arcsec,
            "target_along_px": self.along_px,
            "acquisition_fwhm_arcsec": self.fwhm_arcsec,
        }


def measure_slit_image(exposure: Exposure, instrument: Instrument) -> OnSlit:
    """Return where the target stands on the slit in a raw exposure.

    No bias is needed: rows that the slit leaves dark show the level.

    Raises
    ------
    SetupMismatch
        If the image is not of the size that its header declares.
    """
    identity, detector = exposure.identity, instrument.detector
    frame = start_frame(exposure.raw.data, identity.setup, detector)
    frame = trim(mask_settling(frame), detector.image)
    gain = identity.gain_e_per_adu or detector.gain_e_per_adu
    light = (frame.data - np.median(frame.data)) * np.float32(gain)
    variance = np.maximum(light, 0.0) + np.float32((detector.read_noise_adu * gain) ** 2)
    frame = frame.after("above the dark rows", data=light, variance=variance, unit="electron")
    return measure_on_slit(frame, identity, instrument)


def measure_on_slit(frame: Frame, identity: Identity, instrument: Instrument) -> OnSlit:
    """Return where the target stands on the slit.

    Parameters
    ----------
    frame : Frame
        Image through the slit without a grism: electrons, sky included.
    identity : Identity
        Kind SLIT_IMAGE; names the slit and, where the header has it, its place.

    Returns
    -------
    OnSlit
        With a sentence `why` where there is nothing to measure.

    Notes
    -----
    The sky shows the slit as a stripe, and how much of each row it lets through. A star's light in
    those rows is that share times the star's own profile, whose width is seen along the slit: so
    the place across follows though the slit cuts the star, with an error that grows as less of it
    is seen.
    """
    if identity.kind is not FrameKind.SLIT_IMAGE:
        return OnSlit(why="Only an image through the slit shows where the target came to stand.")
    width = instrument.slits_arcsec.get(identity.setup.slit, math.nan)
    if not width > 0:
        return OnSlit(why=f"The width of slit {identity.setup.slit!r} is not known.")
    turned = identity.setup.dispersion_axis == "x"
    image = SlitImage.of(frame, instrument, turned=turned)
    stripe = find_stripe(image, width, _expected_row(image, identity))
    if stripe is None:
        return OnSlit(why="No stripe of sky marks the slit: the exposure is too short for it.")
    usual = None if turned else instrument.target_x_px
    return _measure_star(image, stripe, usual)


def _expected_row(image: SlitImage, identity: Identity) -> float | None:
    if identity.aperture_y_px is None or image.geometry.turned:
        return None
    return float(image.geometry.row(identity.aperture_y_px))


def _measure_star(image: SlitImage, stripe: Stripe, usual_px: float | None) -> OnSlit:
    rows = image.data[stripe.rows]
    sky = sky_along(rows)
    light = np.nansum(rows - sky, axis=0)
    noise = np.sqrt(np.nansum(image.variance[stripe.rows], axis=0))
    slit = OnSlit(
        slit_px=float(image.geometry.detector_y(stripe.middle)),
        slit_arcsec=(stripe.high - stripe.low) * image.across_arcsec,
    )
    candidates = _find_stars(image, light, noise, usual_px)
    for column in candidates:
        along = _fit_along(light, noise, column, 1.0 / image.along_arcsec)
        across = _fit_across(image, stripe, sky, along.centre, along.sigma) if along else None
        if along is not None and across is not None:
            return replace(
                slit,
                along_px=float(image.geometry.detector_x(along.centre)),
                along_error_px=along.centre_error * image.geometry.x_binning,
                across_arcsec=(across[0] - stripe.middle) * image.across_arcsec,
                across_error_arcsec=across[1] * image.across_arcsec,
                fwhm_arcsec=_SIGMA * along.sigma * image.along_arcsec,
                snr=along.snr,
            )
    if candidates:
        return replace(slit, why="What is seen on the slit has not the shape of a star.")
    return replace(slit, why="No star is seen on the slit.")


def _find_stars(
    image: SlitImage, light: Vector, noise: Vector, usual_px: float | None
) -> list[int]:
    """Return columns of what stands out, brightest first, those at the usual place in front."""
    sigma = 0.45 / image.along_arcsec  # of a star of 1.1 arcsec
    smooth = gaussian_filter1d(light, sigma)
    gain = 1 / math.sqrt(2 * math.sqrt(math.pi) * sigma)
    significant = smooth > _STAR_SIGMA * gain * np.maximum(noise, 1e-9)
    highest = smooth == maximum_filter1d(smooth, 2 * math.ceil(2 * sigma) + 1)
    columns = np.flatnonzero(significant & highest)
    far = np.zeros(len(columns), bool)
    if usual_px is not None:
        usual = float(image.geometry.column(usual_px))
        far = np.abs(columns - usual) * image.along_arcsec > _USUAL_ARCSEC
    order = np.lexsort((-smooth[columns], far))
    return [int(column) for column in columns[order][:_CANDIDATES]]


@dataclass(frozen=True, slots=True)
class _Along:
    """A star along the slit: place, its error and width (pixels), signal to noise."""

    centre: float
    centre_error: float
    sigma: float
    snr: float


def _fit_along(light: Vector, noise: Vector, column: int, arcsec_px: float) -> _Along | None:
    """Return the Gaussian (with a base) at a column; None where there is nothing like a star."""
    half = math.ceil(4 * arcsec_px)
    low, high = max(0, column - half), min(len(light), column + half + 1)
    x, values, errors = np.arange(low, high), light[low:high], np.maximum(noise[low:high], 1e-9)
    limits = np.array(_FWHM_RANGE) * arcsec_px / _SIGMA

    def misfit(p: Vector) -> Vector:
        model = p[0] * np.exp(-0.5 * ((x - p[1]) / p[2]) ** 2) + p[3]
        return np.asarray((values - model) / errors)

    start = [max(values.max(), 1.0), float(column), 0.45 * arcsec_px, 0.0]
    bounds = ([0.0, low, limits[0], -np.inf], [np.inf, high, limits[1], np.inf])
    fit = least_squares(misfit, start, bounds=bounds, x_scale=[start[0], 1.0, 1.0, start[0]])
    inverse = np.linalg.pinv(fit.jac.T @ fit.jac)
    excess = max(1.0, 2 * float(fit.cost) / max(1, len(x) - 4))
    height, centre, sigma, _ = fit.x
    error = math.sqrt(inverse[0, 0])
    at_limit = not 1.02 * limits[0] < sigma < 0.98 * limits[1]
    if at_limit or not height > 5 * error:
        return None
    centre_error = math.sqrt(inverse[1, 1] * excess)
    return _Along(float(centre), centre_error, float(sigma), float(height / error))


def _fit_across(
    image: SlitImage, stripe: Stripe, sky: NDArray[np.float64], centre: float, sigma_x: float
) -> tuple[float, float] | None:
    """Return row and its error of a star of which the slit shows a part; None if it is no star."""
    half = _HALF_FWHM / 2 * _SIGMA * sigma_x
    low, high = max(0, round(centre - half)), round(centre + half) + 1
    box = (image.data[stripe.rows] - sky)[:, low:high]
    weight = np.exp(-0.5 * ((np.arange(low, low + box.shape[1]) - centre) / sigma_x) ** 2)
    good = np.isfinite(box)
    total = np.sum(np.where(good, weight**2, 0.0), axis=1)
    seen = np.sum(np.where(good, box * weight, 0.0), axis=1) / np.maximum(total, 1e-9)
    variance = image.variance[stripe.rows, low:high]
    error = np.sqrt(np.sum(np.where(good, variance * weight**2, 0.0), axis=1))
    error = error / np.maximum(total, 1e-9) + 0.02 * max(float(seen.max()), 0.0)
    sigma = sigma_x * image.along_arcsec / image.across_arcsec
    row = np.arange(stripe.first, stripe.first + len(stripe.sky))

    def misfit(p: Vector) -> Vector:
        model = p[0] * np.exp(-0.5 * ((row - p[1]) / sigma) ** 2) * stripe.sky
        return np.asarray((seen - model) / np.maximum(error, 1e-9))

    reach = 3 * sigma + (stripe.high - stripe.low)
    start = [max(float(seen.max()), 1.0), float(np.sum(row * seen.clip(0)) / seen.clip(0).sum())]
    bounds = ([0.0, stripe.middle - reach], [np.inf, stripe.middle + reach])
    start[1] = float(np.clip(start[1], stripe.low, stripe.high))
    fit = least_squares(misfit, start, bounds=bounds, x_scale=[start[0], 1.0])
    inverse = np.linalg.pinv(fit.jac.T @ fit.jac)
    excess = max(1.0, 2 * float(fit.cost) / max(1, len(row) - 2))
    if excess > _WORST_MISFIT:
        return None
    return float(fit.x[1]), math.sqrt(inverse[1, 1] * excess)

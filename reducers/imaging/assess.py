"""Measure an image: the numbers that the limits of `quality_images.toml` are held against."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask
from reducers.imaging.astrometry_cards import SkyStatus, sky_status
from reducers.imaging.background import NO_SKY
from reducers.imaging.focus import clear_stars, common_ellipticity, donut_fraction
from reducers.imaging.sources import NO_STAR
from reducers.instrument import shows_fringes
from reducers.spectroscopy.circumstances import measure_circumstances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Frame, Image
    from reducers.identity import Identity
    from reducers.imaging.background import Background
    from reducers.imaging.reduced_image import ImageCalibrations, ImageSettings
    from reducers.imaging.references import References
    from reducers.imaging.seeing import Seeing
    from reducers.imaging.sky_map import Astrometry, SkyMap
    from reducers.imaging.sources import Detections
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

#: Pixels that give the noise of the sky to 0.3 %.
PIXELS_FOR_NOISE = 200_000
#: A star: this much above its error, and nothing masked at its place.
STAR_SNR = 10.0
#: Fewest stars whose shapes tell something.
FEWEST_SHAPES = 3
#: Stars more oblong than this are no longer what the fit of a round profile takes them for.
LONG = 0.15


def measure_calibrations(
    given: ImageCalibrations, identity: Identity, instrument: Instrument
) -> dict[str, float]:
    """Return how old the masters are, and which are missing where they matter."""
    measured = {key: value for key, value in given.facts.items() if key.endswith("_age_h")}
    measured["no_bias"] = float(given.bias is None)
    measured["no_flat"] = float(given.flat is None)
    red = shows_fringes(identity.setup.filter, instrument)
    if given.dark is None:
        measured["dark_over_noise"] = dark_over_noise(identity, instrument)
    if given.flat is not None and given.star_flat is not None:
        measured["star_flat_rms_mag"] = given.facts.get("star_flat_rms_mag", math.nan)
        measured["star_flat_error_mag"] = given.facts.get("star_flat_error_mag", math.nan)
    measured["fringes_left"] = float(red and given.fringe is None)
    return measured


def dark_over_noise(identity: Identity, instrument: Instrument) -> float:
    """Return the dark signal of a pixel in units of its read noise, by the profile."""
    detector, setup = instrument.detector, identity.setup
    rate = detector.dark_e_per_hour * setup.x_binning * setup.y_binning
    noise_e = detector.read_noise_adu * detector.gain_e_per_adu
    return rate * identity.exposure_s / 3600 / noise_e


def measure_raw(exposure: Exposure) -> dict[str, float]:
    """Return which part of the rows and columns of the raw image holds one number only."""
    data = exposure.raw.data
    rows = (data == data[:, :1]).all(axis=1)
    columns = (data == data[:1]).all(axis=0)
    return {"dead_fraction": float(max(rows.mean(), columns.mean()))}


def measure_sky(frame: Frame, background: Background, full_e: float) -> dict[str, float]:
    """Return level, noise and evenness of the sky; NaN where no sky was seen.

    Parameters
    ----------
    full_e
        Electrons that fill a pixel.
    """
    empty = ((frame.mask & NO_SKY) == 0) & ~background.sources
    step = max(1, math.isqrt(frame.data.size // PIXELS_FOR_NOISE))
    some = (slice(None, None, step), slice(None, None, step))
    seen = empty[some]
    if np.count_nonzero(seen) < 100:
        return {"sky_e": math.nan, "sky_sigma_e": math.nan, "noise_ratio": math.nan}
    level = background.level[some][seen]
    pull = (frame.data[some][seen] - level) / np.sqrt(frame.variance[some][seen])
    sky = float(np.median(level))
    low, high = np.percentile(level, (5, 95))
    sigma = float(np.median(background.rms[some][seen]))
    return {
        "sky_e": sky,
        "sky_sigma_e": sigma,
        "sky_unevenness": float(high - low) / sky if sky > 5 * sigma / 64 else math.nan,
        "sky_over_full": sky / full_e,
        "noise_ratio": 1.4826 * float(np.median(np.abs(pull - np.median(pull)))),
        "sources_fraction": float(background.sources.mean()),
    }


def measure_marked(frame: Frame) -> dict[str, float]:
    """Return which part of the lit pixels cosmic rays and trails have taken."""
    lit = (frame.mask & np.uint16(Mask.VIGNETTED)) == 0
    number = max(float(lit.sum()), 1.0)
    return {
        name: float((((frame.mask & np.uint16(bit)) != 0) & lit).sum()) / number
        for name, bit in (("cosmic_fraction", Mask.COSMIC), ("trail_fraction", Mask.TRAIL))
    }


def measure_stars(
    light: Image,
    rms: Image,
    detections: Detections,
    segmentation: NDArray[np.int32],
    seeing: Seeing | None = None,
) -> dict[str, float]:
    """Return number, width and roundness of the stars.

    Parameters
    ----------
    light, rms : (ny, nx) electrons
        Image above the sky, and the scatter of the sky.
    detections, segmentation
        As `detect` gave them.
    seeing
        The shape of the single stars, where it was measured.
    """
    clear = (detections.mask_bits & NO_STAR) == 0
    sure = clear & (detections.flux > STAR_SNR * detections.flux_error)
    shapes = clear_stars(light, detections, segmentation)
    measured = {
        "sources": float(len(detections)),
        "stars": float(sure.sum()),
        "flooded_fraction": detections.flooded,
        "fwhm_px": detections.fwhm_px,
        "donut_fraction": donut_fraction(light, float(np.median(rms[::8, ::8])), shapes),
        "ellipticity": common_ellipticity(shapes),
    }
    if seeing is not None and seeing.stars >= FEWEST_SHAPES:
        measured |= {"fwhm_px": seeing.fwhm_px, "fwhm_error_px": seeing.fwhm_error_px}
        # Single stars are measured better one by one, as long as they are near to round.
        if not measured["ellipticity"] > LONG:
            measured["ellipticity"] = seeing.ellipticity
    return measured


def measure_astrometry(
    astrometry: Astrometry, references: References, identity: Identity, shape: tuple[int, int]
) -> dict[str, float]:
    """Return how well the place on the sky is known, and whether the pointing lies on the image.

    Without a catalogue nothing has failed: the place is unchecked.
    """
    status = sky_status(astrometry, references)
    measured = {
        "astrometry_unchecked": float(status is SkyStatus.NO_CATALOGUE),
        "astrometry_failed": float(status is SkyStatus.NOT_MATCHED),
        "catalogue_uncovered": _uncovered(references),
    }
    if not astrometry.solved:
        return measured
    return measured | {
        "astrometry_rms_mas": max(astrometry.ra_rms_mas, astrometry.dec_rms_mas),
        "astrometry_matched": float(astrometry.matched),
        "astrometry_systematic_mas": astrometry.systematic_mas,
        "astrometry_log_odds": astrometry.log_odds,
        "pointing_off_arcsec": astrometry.facts.get("offset_arcsec", math.nan),
        "pixel_scale_arcsec": astrometry.sky_map.pixel_scale_arcsec,
        "target_off_field": _off_field(astrometry.sky_map, identity, shape),
    }


def _uncovered(references: References) -> float:
    """Return which part of the field the catalogue of positions leaves out; NaN without one."""
    known = references.astrometric
    if known is None:
        return math.nan
    return 1.0 if known.truncated else 1.0 - known.covered


def _off_field(sky_map: SkyMap, identity: Identity, shape: tuple[int, int]) -> float:
    """Return 1 where the position of the header lies off the image; NaN where there is none."""
    if identity.ra_deg is None or identity.dec_deg is None:
        return math.nan
    x, y = sky_map.pixels(identity.ra_deg, identity.dec_deg)
    return float(not (-0.5 <= float(x) < shape[1] - 0.5 and -0.5 <= float(y) < shape[0] - 0.5))


def measure_circumstance(
    identity: Identity, instrument: Instrument, settings: ImageSettings
) -> dict[str, float]:
    """Return what header, time and the user's choices say."""
    around = measure_circumstances(identity, instrument)
    left_out = not (
        settings.subtract_sky
        and settings.divide_flat
        and settings.find_cosmics
        and settings.find_trails
        and settings.use_catalogues
    )
    return {
        "header_missing": around["header_missing"],
        "sun_altitude_deg": around.get("sun_altitude_deg", math.nan),
        "airmass": identity.airmass if identity.airmass is not None else math.nan,
        "airmass_mean": around["airmass_mean"],
        "human_choice": float(left_out or bool(settings.stop_after)),
    }

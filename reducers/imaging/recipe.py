"""The recipe of an image, which reads like its description."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reducers.imaging.assess import (
    measure_astrometry,
    measure_calibrations,
    measure_circumstance,
    measure_marked,
    measure_raw,
    measure_sky,
    measure_stars,
)
from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.background import (
    FRINGED_SIGMA,
    estimate_background,
    no_background,
    one_level,
)
from reducers.imaging.bad_columns import mask_bad_columns
from reducers.imaging.bleeding import mask_bleeding
from reducers.imaging.cosmic_rays import find_cosmic_rays
from reducers.imaging.detection import detect, measure_seeing
from reducers.imaging.focus import assumed_fwhm_px
from reducers.imaging.fringe import fringe_residue, subtract_fringe
from reducers.imaging.header_place import header_place
from reducers.imaging.magnitudes import (
    depth_of,
    doubt_mag,
    find_zero_point,
    measure_limits,
    measure_psf,
    measure_zero_point,
)
from reducers.imaging.photometry import measure_sources
from reducers.imaging.preparation import image_electrons
from reducers.imaging.reduced_image import ImageSettings, ReducedImage
from reducers.imaging.references import References
from reducers.imaging.sky_noise import sky_noise
from reducers.imaging.star_correction import with_applied, with_star_flat_error
from reducers.imaging.trails import find_trails
from reducers.quality import judge, load_limits

if TYPE_CHECKING:
    from reducers.frame import Frame
    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.imaging.sky_map import Astrometry
    from reducers.imaging.sources import Detections
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure


def reduce_image(
    exposure: Exposure,
    given: ImageCalibrations,
    instrument: Instrument,
    settings: ImageSettings | None = None,
    references: References | None = None,
) -> ReducedImage:
    """Reduce one image of the sky: electrons, mask, sky, sources, positions, magnitudes.

    Parameters
    ----------
    references
        The catalogues of this field; without them the place is the header's and magnitudes are
        instrumental.

    Raises
    ------
    SetupMismatch, NoOverscan
        If the frame cannot be placed on the detector. Whatever else is missing is a flag.
    """
    how = settings or ImageSettings()
    known = references if references is not None and how.use_catalogues else References()
    given = given if how.divide_flat else replace(given, flat=None, star_flat=None)
    image = in_electrons(exposure, given, instrument, how)
    given = given.after_detector()
    if how.reaches("cosmics"):
        image = with_blemishes_masked(image, how)
    if how.reaches("sky"):
        image = with_sky(image, given.fringe, how)
    if how.reaches("detect"):
        image = with_sources(image, instrument)
    if how.reaches("astrometry"):
        image = with_place(image, exposure, known, instrument)
    if how.reaches("photometry"):
        image = with_fluxes(image, given.star_flat)
    if how.reaches("zeropoint"):
        image = with_magnitudes(image, exposure, given, known, instrument)
    flags, quality = judge(image.measurements, load_limits("images"))
    return replace(image, flags=flags, quality=quality)


def in_electrons(
    exposure: Exposure, given: ImageCalibrations, instrument: Instrument, how: ImageSettings
) -> ReducedImage:
    """Return the flat-fielded electrons of an exposure, and what is known before its sky is."""
    frame, facts = image_electrons(exposure, given, instrument)
    nothing = no_background(frame)
    measurements = {
        **facts,
        **measure_raw(exposure),
        **measure_calibrations(given, exposure.identity, instrument),
        **measure_circumstance(exposure.identity, instrument, how),
    }
    return ReducedImage(
        image=frame,
        background=nothing.level,
        background_rms=nothing.rms,
        measurements=measurements,
    )


def with_blemishes_masked(image: ReducedImage, how: ImageSettings) -> ReducedImage:
    """Mask bled columns and cosmic rays; no pixel is changed."""
    frame = mask_bleeding(image.image)
    if how.find_cosmics:
        read_noise_e = image.measurements["read_noise_e"]
        frame = find_cosmic_rays(frame, read_noise_e, sigma=how.cosmic_sigma)
    return image.adding(image=frame)


def with_sky(image: ReducedImage, fringe: Frame | None, how: ImageSettings) -> ReducedImage:
    """Subtract the fringes, estimate the sky beside the sources, and mask what crosses it."""
    frame, fringes = without_fringes(image.image, fringe)
    sky = estimate_background(frame)
    frame = mask_bad_columns(frame, sky)
    sky = sky if how.subtract_sky else one_level(sky)
    frame, trails = find_trails(frame, sky.level, sky.rms) if how.find_trails else (frame, ())
    return image.adding(
        image=frame,
        background=sky.level,
        background_rms=sky.rms,
        trails=trails,
        measurements={
            **fringes,
            **measure_marked(frame),
            **measure_sky(frame, sky, image.measurements["full_e"]),
            "trails": float(len(trails)),
        },
    )


def without_fringes(frame: Frame, fringe: Frame | None) -> tuple[Frame, dict[str, float]]:
    """Return the image without its fringes, as far as there is a pattern, and their strength."""
    if fringe is None:
        return frame, {}
    sky = estimate_background(frame, source_sigma=FRINGED_SIGMA)
    frame, amplitude, error = subtract_fringe(frame, sky, fringe)
    return frame, {
        "fringe_amplitude_e": amplitude,
        "fringe_error_e": error,
        "fringe_residue": fringe_residue(frame, estimate_background(frame), fringe),
    }


def with_sources(image: ReducedImage, instrument: Instrument) -> ReducedImage:
    """Find everything that shines, and how wide and round the stars are."""
    frame, level, rms = image.image, image.background, image.background_rms
    noise = sky_noise(frame, level)
    sources, segmentation = detect(frame, level, rms, noise=noise)
    seeing = measure_seeing(frame, level, rms, sources)
    stars = measure_stars(frame.data - level, rms, sources, segmentation, seeing)
    stars["seeing_arcsec"] = stars["fwhm_px"] * image_scale_arcsec(frame, instrument)
    return image.adding(
        noise=noise,
        detections=sources,
        segmentation=segmentation,
        seeing=seeing,
        measurements=stars,
    )


def with_place(
    image: ReducedImage, exposure: Exposure, known: References, instrument: Instrument
) -> ReducedImage:
    """Place the image on the sky by its stars, or say why it cannot be done."""
    if image.detections is None:
        return image
    astrometry = place_on_sky(image.detections, image.image, exposure, known, instrument)
    if astrometry is None:
        return image.adding(measurements={"astrometry_unchecked": 1.0})
    measured = measure_astrometry(astrometry, known, exposure.identity, image.image.shape)
    return image.adding(astrometry=astrometry, measurements=measured)


def place_on_sky(
    sources: Detections,
    frame: Frame,
    exposure: Exposure,
    references: References,
    instrument: Instrument,
) -> Astrometry | None:
    """Return where an image lies on the sky; None where header and profile give no first guess."""
    identity, header = exposure.identity, exposure.raw.header
    place = header_place(identity, frame.shape, frame.geometry, instrument, header)
    if place is None:
        return None
    return solve_astrometry(sources, place, references, instrument, exposure_s=identity.exposure_s)


def with_fluxes(image: ReducedImage, star_flat: Frame | None = None) -> ReducedImage:
    """Measure every source: point spread, blends, apertures, kind.

    The error of the star flat by which the image was divided enters those of the fluxes.
    """
    if image.detections is None or image.segmentation is None or image.seeing is None:
        return image
    if not len(image.detections):
        return image
    found, seeing = image.detections, image.seeing
    if not seeing.fwhm_px > 0:  # NaN: no star was fit to be measured
        width = assumed_fwhm_px(found)
        found, seeing = replace(found, fwhm_px=width), replace(seeing, fwhm_px=width)
    photometry = measure_sources(
        image.image, image.background, found, image.segmentation, seeing, noise=image.noise
    )
    photometry = with_star_flat_error(photometry, star_flat)
    return image.adding(photometry=photometry, measurements=measure_psf(photometry))


def with_magnitudes(
    image: ReducedImage,
    exposure: Exposure,
    given: ImageCalibrations,
    known: References,
    instrument: Instrument,
) -> ReducedImage:
    """Turn electrons into magnitudes by the catalogue's stars, and say how deep the image goes."""
    if image.photometry is None:
        return image.adding(measurements={"no_zero_point": 1.0})
    identity = exposure.identity
    zero = find_zero_point(image.photometry, image.astrometry, known, identity, instrument)
    zero = with_applied(zero, image.photometry, given.star_flat)
    scale_arcsec = image_scale_arcsec(image.image, instrument)
    depth = depth_of(image.photometry, image.background, zero, identity, scale_arcsec)
    return image.adding(
        zero_point=zero,
        depth=depth,
        measurements={
            **measure_zero_point(zero, known, given.facts, doubt_mag(identity, instrument)),
            **measure_limits(depth),
        },
    )


def image_scale_arcsec(frame: Frame, instrument: Instrument) -> float:
    """Return the arcseconds of an image pixel, mean of both axes."""
    binning = (frame.geometry.x_binning + frame.geometry.y_binning) / 2
    return instrument.detector.pixel_scale_arcsec * binning

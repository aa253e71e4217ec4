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
from reducers.imaging.bleeding import mask_bleeding
from reducers.imaging.cosmic_rays import find_cosmic_rays
from reducers.imaging.detection import detect, measure_seeing
from reducers.imaging.fringe import fringe_residue, subtract_fringe
from reducers.imaging.header_place import header_place
from reducers.imaging.preparation import image_electrons
from reducers.imaging.reduced_image import ImageSettings, ReducedImage
from reducers.imaging.references import References
from reducers.imaging.trails import find_trails
from reducers.quality import judge, load_limits

if TYPE_CHECKING:
    from reducers.frame import Frame
    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.imaging.sky_map import Astrometry
    from reducers.imaging.sources import Detections
    from reducers.imaging.trails import Trail
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
    identity = exposure.identity
    given = given if how.divide_flat else replace(given, flat=None)
    frame, facts = image_electrons(exposure, given, instrument)
    frame = mask_bleeding(frame)
    if how.find_cosmics and how.reaches("cosmics"):
        frame = find_cosmic_rays(frame, facts["read_noise_e"], sigma=how.cosmic_sigma)
    sky = no_background(frame)
    fringes: dict[str, float] = {}
    trails: tuple[Trail, ...] = ()
    if how.reaches("sky"):
        frame, fringes = without_fringes(frame, given.fringe)
        sky = estimate_background(frame)
        sky = sky if how.subtract_sky else one_level(sky)
        if how.find_trails:
            frame, trails = find_trails(frame, sky.level, sky.rms)
    sources = segmentation = seeing = astrometry = None
    if how.reaches("detect"):
        sources, segmentation = detect(frame, sky.level, sky.rms)
        seeing = measure_seeing(frame, sky.level, sky.rms, sources)
    if sources is not None and how.reaches("astrometry"):
        astrometry = place_on_sky(sources, frame, exposure, known, instrument)
    measurements = {
        **facts,
        **measure_raw(exposure),
        **measure_calibrations(given, identity, instrument),
        **measure_circumstance(identity, instrument, how),
        **measure_marked(frame),
        **measure_sky(frame, sky, facts["full_e"]),
        **fringes,
        "trails": float(len(trails)),
    }
    if sources is not None and segmentation is not None:
        measurements |= measure_stars(frame, sky, sources, segmentation, seeing)
        scale_arcsec = image_scale_arcsec(frame, instrument)
        measurements["seeing_arcsec"] = measurements["fwhm_px"] * scale_arcsec
    if astrometry is not None:
        measurements |= measure_astrometry(astrometry, known, identity, frame.shape)
    flags, quality = judge(measurements, load_limits("images"))
    return ReducedImage(
        image=frame,
        background=sky.level,
        background_rms=sky.rms,
        detections=sources,
        segmentation=segmentation,
        astrometry=astrometry,
        trails=trails,
        measurements=measurements,
        flags=flags,
        quality=quality,
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
        "fringe_residue": fringe_residue(frame, sky, fringe),
    }


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


def image_scale_arcsec(frame: Frame, instrument: Instrument) -> float:
    """Return the arcseconds of an image pixel, mean of both axes."""
    binning = (frame.geometry.x_binning + frame.geometry.y_binning) / 2
    return instrument.detector.pixel_scale_arcsec * binning

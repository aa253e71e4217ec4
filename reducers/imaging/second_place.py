"""Place an image anew from another first guess, without taking up the detector's steps again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.assess import measure_astrometry
from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.header_place import header_place
from reducers.imaging.recipe import with_magnitudes
from reducers.imaging.sky_map import Astrometry
from reducers.imaging.tangent_plane import onto_plane, sky_map
from reducers.quality import judge, load_limits

if TYPE_CHECKING:
    from reducers.imaging.reduced_image import ImageCalibrations, ReducedImage
    from reducers.imaging.references import References
    from reducers.imaging.sky_map import SkyMap
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

#: A proposed map is nonsense when its scale differs from the profile's by more than this.
_SCALE_TOLERANCE = 0.05


def place_as_proposed(
    proposed: SkyMap, image: ReducedImage, exposure: Exposure, instrument: Instrument
) -> SkyMap | None:
    """Return the profile's map, moved, turned and mirrored to where another one puts the image.

    Scale and distortion stay the profile's, so that a match is judged against what the instrument
    is and not against what was proposed. None where the proposal has another scale or no sense.

    Parameters
    ----------
    proposed : SkyMap
        For the pixels of `image`.
    """
    frame = image.image
    rows, columns = frame.shape
    middle = [float(value) for value in proposed.sky((columns - 1) / 2, (rows - 1) / 2)]
    if not np.all(np.isfinite(middle)):
        return None
    pointed = replace(exposure.identity, ra_deg=middle[0], dec_deg=middle[1], field_deg=0.0)
    own = header_place(pointed, frame.shape, frame.geometry, instrument)
    if own is None:
        return None
    x, y = (float(value) - 1 for value in own.wcs.wcs.crpix)
    ra, dec = proposed.sky(np.array([x, x + 1, x]), np.array([y, y, y + 1]))
    tangent = float(ra[0]), float(dec[0])
    plane = np.array(onto_plane(ra, dec, tangent)) / 3600
    matrix = plane[:, 1:] - plane[:, :1]
    scale = np.hypot(*own.wcs.pixel_scale_matrix)
    if not np.all(np.abs(np.hypot(*matrix) / scale - 1) < _SCALE_TOLERANCE):
        return None
    left, _, right = np.linalg.svd(matrix / scale)
    return sky_map(tangent, (x, y), (left @ right) * scale, frame.shape, own.wcs.sip)


def placed_anew(
    image: ReducedImage,
    exposure: Exposure,
    place: SkyMap,
    given: ImageCalibrations,
    known: References,
    instrument: Instrument,
) -> ReducedImage:
    """Return the image with its sources matched from another first guess, and its magnitudes.

    Electrons, sky, sources and fluxes stay as they are. Offset, rotation and scale are told
    against the header's place; NaN where it tells none.
    """
    if image.detections is None:
        return image
    found = solve_astrometry(
        image.detections, place, known, instrument, exposure_s=exposure.identity.exposure_s
    )
    if found.solved:
        header = image.astrometry.sky_map if image.astrometry is not None else None
        away = _against(header, found.sky_map, image.image.shape)
        found = replace(found, facts={**found.facts, **away})
    return with_astrometry(image, found, exposure, given, known, instrument)


def with_astrometry(
    image: ReducedImage,
    found: Astrometry,
    exposure: Exposure,
    given: ImageCalibrations,
    known: References,
    instrument: Instrument,
) -> ReducedImage:
    """Return the image at another place, with the magnitudes and the verdict that follow."""
    measured = measure_astrometry(found, known, exposure.identity, image.image.shape)
    moved = image.adding(astrometry=found, measurements=measured)
    if image.zero_point is not None:
        moved = with_magnitudes(moved, exposure, given, known, instrument)
    flags, quality = judge(moved.measurements, load_limits("images"))
    return replace(moved, flags=flags, quality=quality)


def unconfirmed(place: SkyMap, method: str, why: str) -> Astrometry:
    """Return a place that no star of a catalogue has confirmed."""
    return Astrometry(sky_map=place, solved=False, method=method, why=why)


def _against(header: SkyMap | None, found: SkyMap, shape: tuple[int, int]) -> dict[str, float]:
    """Return how far from the header's place another one lies, and how much it is turned."""
    if header is None:
        return {"offset_arcsec": math.nan, "rotation_deg": math.nan}
    middle = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    here, there = found.sky(*middle), header.sky(*middle)
    away = np.hypot(*onto_plane(*here, (float(there[0]), float(there[1]))))
    turned = found.wcs.pixel_scale_matrix @ np.linalg.inv(header.wcs.pixel_scale_matrix)
    return {
        # Beyond the tangent plane it is only known to be far.
        "offset_arcsec": float(away) if np.isfinite(away) else 90 * 3600.0,
        "rotation_deg": math.degrees(math.atan2(turned[1, 0], turned[0, 0])),
        "scale_ratio": found.pixel_scale_arcsec / header.pixel_scale_arcsec,
    }

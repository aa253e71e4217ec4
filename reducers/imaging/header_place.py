"""Where an image lies on the sky by its header alone: the first guess of the astrometry."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.wcs import Sip

from reducers.frame import Geometry
from reducers.header import number_of, text_of
from reducers.imaging.tangent_plane import moved_tangent, onto_plane, sky_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from reducers.identity import Identity
    from reducers.imaging.sky_map import SkyMap
    from reducers.instrument import Instrument
    from reducers.profile_imaging import Distortion

#: The cards are not believed where scale or orthogonality differ by more than this.
_SCALE_TOLERANCE = 0.05
#: Nor where they put the optical centre further than this from the pointing.
_POINTING_TOLERANCE_DEG = 0.5


def header_place(
    identity: Identity,
    frame_shape: tuple[int, int],
    geometry: Geometry,
    instrument: Instrument,
    header: Mapping[str, Any] | None = None,
) -> SkyMap | None:
    """Return the map that the header promises; None where it names no position.

    Parameters
    ----------
    frame_shape, geometry
        Of the image in hand, cut and binned; raw pixels are counted from the readout window.
    header
        Raw header. Its WCS cards are used where they are sane: a tangent plane of the right scale
        near the pointing. Otherwise pointing, field angle and profile stand in.

    Notes
    -----
    The tangent point is put on the optical centre, and the profile's distortion is included, so
    that the solution can be compared with this map term by term.
    """
    imaging = instrument.imaging
    centre = imaging.centre_px if imaging else _middle_of(instrument)
    at = (float(geometry.column(centre[0])), float(geometry.row(centre[1])))
    binning = (geometry.x_binning, geometry.y_binning)
    distortion = _in_image_pixels(imaging.distortion, binning, at) if imaging else None
    linear = _from_cards(header or {}, identity, at, geometry, instrument)
    if linear is None:
        linear = _from_pointing(identity, binning, instrument)
    if linear is None:
        return None
    tangent, matrix = linear
    return sky_map(tangent, at, matrix, frame_shape, distortion)


def _from_pointing(
    identity: Identity, binning: tuple[int, int], instrument: Instrument
) -> tuple[tuple[float, float], NDArray[np.float64]] | None:
    if identity.ra_deg is None or identity.dec_deg is None or instrument.imaging is None:
        return None
    parity = instrument.imaging.parity or 1
    field_deg = identity.field_deg or 0.0
    north = math.radians(instrument.imaging.field_direction_deg - parity * field_deg)
    east = north + parity * math.pi / 2
    scale = instrument.detector.pixel_scale_arcsec / 3600
    matrix = scale * np.array(
        [[math.cos(east), math.sin(east)], [math.cos(north), math.sin(north)]]
    )
    return (identity.ra_deg, identity.dec_deg), matrix * np.array(binning)


def _from_cards(
    header: Mapping[str, Any],
    identity: Identity,
    centre_px: tuple[float, float],
    geometry: Geometry,
    instrument: Instrument,
) -> tuple[tuple[float, float], NDArray[np.float64]] | None:
    """Return tangent point and matrix of sane WCS cards, moved to `centre_px`; else None."""
    if not all("TAN" in text_of(header, f"CTYPE{axis}").upper() for axis in (1, 2)):
        return None
    names = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
    values = [number_of(header, name) for name in names]
    if any(value is None for value in (*values[:4], values[4], values[7])):
        return None
    ra, dec, x, y, *cd = (value or 0.0 for value in values)
    matrix = np.array(cd).reshape(2, 2)
    if not -90 <= dec <= 90 or not _has_scale(matrix, geometry, instrument):
        return None
    offset = np.array(centre_px) - _in_image(x - 1, y - 1, identity, geometry)
    place = moved_tangent((ra, dec), matrix, (float(offset[0]), float(offset[1])))
    if identity.ra_deg is not None and identity.dec_deg is not None:
        away = np.hypot(*onto_plane(*place[0], (identity.ra_deg, identity.dec_deg))) / 3600
        if not away < _POINTING_TOLERANCE_DEG:
            return None
    return place


def _has_scale(matrix: NDArray[np.float64], geometry: Geometry, instrument: Instrument) -> bool:
    """Tell whether both axes have the profile's scale and stand upright on each other."""
    scale = instrument.detector.pixel_scale_arcsec / 3600
    wanted = scale * np.array([geometry.x_binning, geometry.y_binning])
    lengths = np.hypot(*matrix)
    if np.any(np.abs(lengths / wanted - 1) > _SCALE_TOLERANCE):
        return False
    return bool(abs(matrix[:, 0] @ matrix[:, 1]) < _SCALE_TOLERANCE * lengths.prod())


def _in_image(x: float, y: float, identity: Identity, geometry: Geometry) -> NDArray[np.float64]:
    """Return image pixels of 0-based raw pixels: the raw frame begins at the readout window."""
    raw = Geometry(
        x0=identity.setup.window[0] - 1,
        y0=identity.setup.window[2] - 1,
        x_binning=geometry.x_binning,
        y_binning=geometry.y_binning,
    )
    return np.array([geometry.column(raw.detector_x(x)), geometry.row(raw.detector_y(y))])


def _in_image_pixels(
    distortion: Distortion, binning: tuple[int, int], centre_px: tuple[float, float]
) -> Sip | None:
    """Return the profile's distortion for binned pixels; None where none is known."""
    if not distortion.x_terms and not distortion.y_terms:
        return None
    order = max(int(name[0]) + int(name[1]) for name in (*distortion.x_terms, *distortion.y_terms))
    planes = []
    for axis, terms in enumerate((distortion.x_terms, distortion.y_terms)):
        plane = np.zeros((order + 1, order + 1))
        for name, value in terms.items():
            p, q = int(name[0]), int(name[1])
            plane[p, q] = value * binning[0] ** p * binning[1] ** q / binning[axis]
        planes.append(plane)
    return Sip(planes[0], planes[1], None, None, (centre_px[0] + 1, centre_px[1] + 1))


def _middle_of(instrument: Instrument) -> tuple[float, float]:
    image = instrument.detector.image
    return (image.x_start + image.x_stop - 1) / 2, (image.y_start + image.y_stop - 1) / 2

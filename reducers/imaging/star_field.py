"""An image's sources and a catalogue's stars on one tangent plane: what astrometry solves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from reducers.frame import Mask
from reducers.imaging.match import mirror
from reducers.imaging.plate_fit import PlateModel
from reducers.imaging.tangent_plane import onto_plane
from reducers.profile_imaging import Distortion

if TYPE_CHECKING:
    from reducers.imaging.references import ReferenceCatalogue
    from reducers.imaging.sky_map import SkyMap
    from reducers.imaging.sources import Detections
    from reducers.instrument import Instrument

#: Brightest that take part.
_MOST_SOURCES, _MOST_STARS = 1500, 6000
#: Stars up to this far from the image can come onto it, arcsec.
_MARGIN = 320.0
#: Errors of centroids: never less than this, where none is given, and where pixels are bad (px).
_LEAST_PX, _UNKNOWN_PX, _BLEMISHED_PX = 0.01, 0.3, 0.5
_BLEMISHED = np.uint16(Mask.BAD | Mask.COSMIC | Mask.SATURATED | Mask.TRAIL | Mask.EDGE)
#: Of a catalogue that gives no error, mas.
_UNKNOWN_MAS = 200.0
#: Where the profile does not say how well the telescope points, arcsec.
_USUAL_POINTING = 20.0
#: Separation for which the air's motion counts: half of a typical image.
_AIR_RAD = math.radians(3 / 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class StarField:
    """Stars and sources, brightest first, in arcsec on the plane of the first guess.

    Attributes
    ----------
    stars, sources : (m, 2), (n, 2) float64
        Catalogue; detections by the first guess.
    star_error, source_error : (m,), (n,) float64
        Per axis; the air's share is in the former.
    star_magnitude, source_magnitude : (m,), (n,) float64
        In the catalogue's best filled band; -2.5 log10 of the electrons. NaN where not known.
    tree
        Of the stars.
    model : PlateModel
        What may differ between guess and sky.
    tangent_deg : tuple of float
        Of the plane.
    cd, centre_px, shape
        Linear map of the first guess (degrees per pixel), its reference pixel, rows and columns.
    flip : (2, 2) float64
        Mirrors the plane so that the direction of known position angle stays.
    parity_known : bool
        Whether the profile says how the image is mirrored.
    pointing : float
        Arcsec by which the telescope usually points elsewhere than the header says.
    """

    stars: NDArray[np.float64]
    star_error: NDArray[np.float64]
    sources: NDArray[np.float64]
    source_error: NDArray[np.float64]
    star_magnitude: NDArray[np.float64]
    source_magnitude: NDArray[np.float64]
    tree: cKDTree
    model: PlateModel
    tangent_deg: tuple[float, float]
    cd: NDArray[np.float64]
    centre_px: tuple[float, float]
    shape: tuple[int, int]
    flip: NDArray[np.float64]
    parity_known: bool
    pointing: float

    @property
    def area(self) -> float:
        """Of the image, square arcsec."""
        return float(self.shape[0] * self.shape[1] * abs(np.linalg.det(self.cd))) * 3600**2

    @property
    def half_size(self) -> float:
        """Half the side of a square as large as the image, arcsec."""
        return math.sqrt(self.area) / 2

    @property
    def margin(self) -> float:
        """How far beyond the image stars are known, arcsec."""
        return _MARGIN

    def inside(self, places: NDArray[np.float64], margin: float = 0.0) -> NDArray[np.bool_]:
        """Tell which places (n, 2) of the first guess lie on the image or within `margin`."""
        pixels = places / 3600 @ np.linalg.inv(self.cd).T + self.centre_px
        rows, columns = self.shape
        beyond = 0.5 + margin / math.sqrt(self.area / (rows * columns))
        upper = np.array([columns - 1, rows - 1]) + beyond
        return np.asarray(np.all((pixels > -beyond) & (pixels < upper), axis=1))

    def pixel_grid(self, nodes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return x and y of `nodes` by `nodes` pixels that span the image."""
        rows, columns = self.shape
        x, y = np.meshgrid(np.linspace(0, columns - 1, nodes), np.linspace(0, rows - 1, nodes))
        return x.ravel(), y.ravel()


def star_field(
    detections: Detections,
    place: SkyMap,
    catalogue: ReferenceCatalogue,
    instrument: Instrument,
    exposure_s: float,
) -> StarField:
    """Return what is to be solved.

    Notes
    -----
    The air moves stars against each other by 1.3" theta^0.25 t^-0.5 (theta in radians, t in
    seconds; Lindegren 1980, A&A 89, 41).
    """
    tangent = float(place.wcs.wcs.crval[0]), float(place.wcs.wcs.crval[1])
    columns, rows = place.wcs.pixel_shape
    scale = place.pixel_scale_arcsec
    middle = on_guess(place, (columns - 1) / 2, (rows - 1) / 2)
    chosen = _sharp_first(detections)[:_MOST_SOURCES]
    stars = np.column_stack(onto_plane(catalogue.ra_deg, catalogue.dec_deg, tangent))
    away = np.hypot(*(stars - middle).T)
    near = np.flatnonzero(away < scale * math.hypot(columns, rows) / 2 + _MARGIN)
    magnitude = brightness(catalogue)
    near = near[np.argsort(magnitude[near], kind="stable")][:_MOST_STARS]
    error = np.nan_to_num(catalogue.position_error_mas[near], nan=_UNKNOWN_MAS) / 1000
    flux = detections.flux[chosen]
    lit = np.isfinite(flux) & (flux > 0)
    air = 1.3 * _AIR_RAD**0.25 / math.sqrt(max(exposure_s, 0.1))
    return StarField(
        stars=stars[near],
        star_error=np.hypot(error, air),
        sources=on_guess(place, detections.x[chosen], detections.y[chosen]),
        source_error=_centroid_error_px(detections, chosen) * scale,
        star_magnitude=np.where(np.isfinite(magnitude[near]), magnitude[near], np.nan),
        source_magnitude=np.where(lit, -2.5 * np.log10(np.where(lit, flux, 1.0)), np.nan),
        tree=cKDTree(stars[near]),
        model=_plate_model(instrument),
        tangent_deg=tangent,
        cd=np.array(place.wcs.pixel_scale_matrix),
        centre_px=(float(place.wcs.wcs.crpix[0]) - 1, float(place.wcs.wcs.crpix[1]) - 1),
        shape=(rows, columns),
        flip=_flip(place, instrument),
        parity_known=instrument.imaging is not None and instrument.imaging.parity != 0,
        pointing=instrument.imaging.pointing_arcsec if instrument.imaging else _USUAL_POINTING,
    )


def on_guess(place: SkyMap, x: object, y: object) -> NDArray[np.float64]:
    """Return the standard coordinates (n, 2), arcsec, of 0-based pixels by the first guess."""
    pixels = np.column_stack([np.atleast_1d(np.asarray(axis, float)) for axis in (x, y)])
    if place.wcs.sip is not None:
        pixels = place.wcs.pix2foc(pixels, 0)
    offset = pixels - (place.wcs.wcs.crpix - 1)
    return np.asarray(offset @ np.array(place.wcs.pixel_scale_matrix).T * 3600)


def brightness(catalogue: ReferenceCatalogue) -> NDArray[np.float64]:
    """Return the magnitudes (n,) of the band that most entries have; those without come last."""
    best = np.full(len(catalogue), np.inf)
    for magnitudes in catalogue.magnitudes.values():
        if np.isfinite(magnitudes).sum() > np.isfinite(best).sum():
            best = np.where(np.isfinite(magnitudes), magnitudes, np.inf)
    return best


def _sharp_first(detections: Detections) -> NDArray[np.int64]:
    """Return indices of all usable sources by flux; those on cosmic rays or trails come last."""
    suspect = detections.mask_bits & np.uint16(Mask.COSMIC | Mask.TRAIL | Mask.BAD)
    usable = np.isfinite(detections.x) & np.isfinite(detections.y)
    order = np.lexsort((-np.nan_to_num(detections.flux, nan=-np.inf), suspect > 0))
    return np.asarray(order[usable[order]])


def _centroid_error_px(detections: Detections, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    error = np.hypot(detections.x_error[chosen], detections.y_error[chosen]) / math.sqrt(2)
    error = np.where(np.isfinite(error) & (error > 0), error, _UNKNOWN_PX)
    blemished = (detections.mask_bits[chosen] & _BLEMISHED) > 0
    return np.hypot(np.maximum(error, _LEAST_PX), np.where(blemished, _BLEMISHED_PX, 0.0))


def _plate_model(instrument: Instrument) -> PlateModel:
    detector = instrument.detector
    distortion = instrument.imaging.distortion if instrument.imaging else Distortion()
    return PlateModel(
        radius=math.hypot(detector.columns, detector.rows) / 2 * detector.pixel_scale_arcsec,
        radial=distortion.radial_px * detector.pixel_scale_arcsec,
        other=distortion.other_px * detector.pixel_scale_arcsec,
    )


def _flip(place: SkyMap, instrument: Instrument) -> NDArray[np.float64]:
    """Return the mirroring that keeps the direction whose position angle the header names."""
    degrees = instrument.imaging.field_direction_deg if instrument.imaging else 0.0
    direction = np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])
    xi, eta = np.array(place.wcs.pixel_scale_matrix) @ direction
    return mirror(math.atan2(eta, xi))

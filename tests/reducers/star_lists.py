"""Lists of stars as a catalogue and a detector would have them, made without the reducers' maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy.wcs import WCS, Sip

from reducers.imaging.references import ReferenceCatalogue, References
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.sources import Detections

SCALE_DEG = 0.2138 / 3600
SHAPE = (2064, 2048)
CENTRE = (1000.0, 1032.0)


@dataclass(frozen=True, kw_only=True)
class Sky:
    """What a field holds and how wrong the header is.

    Attributes
    ----------
    stars : int
        On the image, down to the faintest that the catalogue has.
    fainter, false : int
        Detections without entry in the catalogue; those of cosmic rays and other dirt.
    missing : float
        Part of the catalogue's stars that is not in it; twice that part is not detected.
    off_arcsec, turned_deg, scale
        Of the header against the truth.
    corner_px : float
        Radial distortion at 1450 pixels from the centre.
    """

    ra_deg: float = 150.0
    dec_deg: float = 30.0
    stars: int = 170
    fainter: int = 150
    false: int = 40
    missing: float = 0.05
    off_arcsec: float = 60.0
    turned_deg: float = 0.5
    scale: float = 1.0
    corner_px: float = 2.0
    field_deg: float = 37.0
    parity: int = 1
    exposure_s: float = 120.0
    air: bool = True
    shape: tuple[int, int] = SHAPE
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Lists:
    """What the astrometry is given, and the true map."""

    detections: Detections
    references: References
    place: SkyMap
    truth: SkyMap
    common: int


def tan_wcs(
    position: tuple[float, float], field_deg: float, parity: int, scale: float, shape: Any = SHAPE
) -> WCS:
    """Return a map in which the position angle `field_deg` points to smaller x."""
    angle = np.radians(180 - parity * field_deg)
    north = np.array([np.cos(angle), np.sin(angle)])
    east = parity * np.array([-north[1], north[0]])
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.crval = position
    wcs.wcs.crpix = [CENTRE[0] + 1, CENTRE[1] + 1]
    wcs.wcs.cd = SCALE_DEG * scale * np.array([east, north])
    wcs.wcs.set()
    wcs.pixel_shape = (shape[1], shape[0])
    return wcs


def make_lists(sky: Sky, rng: np.random.Generator) -> Lists:
    """Return the lists of one field."""
    truth = tan_wcs((sky.ra_deg % 360, sky.dec_deg), sky.field_deg, sky.parity, 1.0, sky.shape)
    k = sky.corner_px / 1450.0**3
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[3, 0] = a[1, 2] = b[0, 3] = b[2, 1] = k
    a[2, 0] = b[1, 1] = 2e-8
    truth.sip = Sip(a, b, None, None, truth.wcs.crpix)
    truth.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    truth.wcs.set()
    rows, columns = sky.shape
    wide = 1.45  # of the image's side: catalogue cones are larger than images
    total = int(sky.stars * wide**2)
    x = (rng.uniform(-(wide - 1) / 2, (1 + wide) / 2, total)) * columns
    y = (rng.uniform(-(wide - 1) / 2, (1 + wide) / 2, total)) * rows
    magnitude = 13 + np.log10(rng.uniform(0.0, 1.0, total) * (10 ** (0.25 * 8) - 1) + 1) / 0.25
    listed = rng.random(total) > sky.missing
    catalogue = _catalogue(truth, x[listed], y[listed], magnitude[listed], rng)
    inside = (x > 0) & (x < columns - 1) & (y > 0) & (y < rows - 1)
    seen = inside & (rng.random(total) > 2 * sky.missing)
    flux = 10 ** (0.4 * (25.7 - magnitude)) * sky.exposure_s
    faint_flux = flux.min() * rng.uniform(0.05, 1.0, sky.fainter)
    false_flux = 10 ** rng.uniform(3, 5.5, sky.false)
    extra = sky.fainter + sky.false
    blurred = np.concatenate([flux[seen], faint_flux, false_flux])
    error = np.hypot(0.02, 2.0 / np.sqrt(blurred) * np.sqrt(1 + 4e4 / blurred))
    error = np.minimum(error, 0.4)
    places = np.column_stack(
        [
            np.concatenate([x[seen], rng.uniform(0, columns - 1, extra)]),
            np.concatenate([y[seen], rng.uniform(0, rows - 1, extra)]),
        ]
    )
    air_px = 0.02 * np.sqrt(120 / sky.exposure_s) / 0.2138 if sky.air else 0.0
    places += rng.normal(size=places.shape) * np.hypot(error, air_px)[:, None]
    order = np.argsort(-blurred)
    return Lists(
        detections=detections(places[order], blurred[order], error[order]),
        references=References(astrometric=catalogue),
        place=_header(sky, rng),
        truth=SkyMap(wcs=truth),
        common=int(np.count_nonzero(seen & listed)),
    )


def _catalogue(
    truth: WCS, x: Any, y: Any, magnitude: Any, rng: np.random.Generator
) -> ReferenceCatalogue:
    ra, dec = truth.all_pix2world(x, y, 0)
    error = np.interp(magnitude, [17, 19, 21], [0.05, 0.2, 0.6]) * 11  # a decade of proper motion
    dec = dec + rng.normal(size=len(dec)) * error / 3.6e6
    ra = ra + rng.normal(size=len(ra)) * error / 3.6e6 / np.cos(np.radians(dec))
    return catalogue(ra % 360, dec, magnitude, error)


def catalogue(ra: Any, dec: Any, magnitude: Any, error_mas: Any) -> ReferenceCatalogue:
    """Return entries in no order."""
    size = len(ra)
    return ReferenceCatalogue(
        name="gaia",
        epoch_year=2026.9,
        ra_deg=np.asarray(ra),
        dec_deg=np.asarray(dec),
        position_error_mas=np.asarray(error_mas),
        motion_known=np.ones(size, bool),
        motion_mas=np.zeros(size),
        star=np.ones(size),
        magnitudes={"G": np.asarray(magnitude)},
        magnitude_errors={"G": np.full(size, 0.01)},
    )


def detections(places: Any, flux: Any, error: Any) -> Detections:
    """Return detections, sorted as given."""
    size = len(places)
    return Detections(
        x=places[:, 0].copy(),
        y=places[:, 1].copy(),
        x_error=error,
        y_error=error,
        flux=flux,
        flux_error=np.sqrt(flux),
        peak=flux / 15,
        semimajor_px=np.full(size, 2.0),
        semiminor_px=np.full(size, 2.0),
        theta_rad=np.zeros(size),
        area_px=np.full(size, 20),
        mask_bits=np.zeros(size, np.uint16),
        deblended=np.zeros(size, bool),
        fwhm_px=4.7,
    )


def _header(sky: Sky, rng: np.random.Generator) -> SkyMap:
    """Return what the header says: displaced on the sky, turned, of slightly wrong scale."""
    angle = rng.uniform(0, 2 * np.pi)
    away = np.radians(sky.off_arcsec / 3600)
    dec_0 = np.radians(sky.dec_deg)
    dec = np.arcsin(np.sin(dec_0) * np.cos(away) + np.cos(dec_0) * np.sin(away) * np.cos(angle))
    ra = np.radians(sky.ra_deg) + np.arctan2(
        np.sin(angle) * np.sin(away) * np.cos(dec_0), np.cos(away) - np.sin(dec_0) * np.sin(dec)
    )
    turned = sky.field_deg + sky.turned_deg * rng.choice([-1, 1])
    scale = sky.scale * (1 + 0.002 * rng.normal())
    position = float(np.degrees(ra)) % 360, float(np.degrees(dec))
    return SkyMap(wcs=tan_wcs(position, turned, sky.parity, scale, sky.shape))


def map_error_mas(found: SkyMap, truth: SkyMap, nodes: int = 15) -> np.ndarray[Any, Any]:
    """Return how far two maps are apart (mas, per axis rms of the two) on a grid of pixels."""
    columns, rows = truth.wcs.pixel_shape
    x, y = np.meshgrid(np.linspace(0, columns - 1, nodes), np.linspace(0, rows - 1, nodes))
    ra, dec = truth.sky(x.ravel(), y.ravel())
    got_ra, got_dec = found.sky(x.ravel(), y.ravel())
    east = ((got_ra - ra + 180) % 360 - 180) * np.cos(np.radians(dec)) * 3.6e6
    return np.hypot(east, (got_dec - dec) * 3.6e6) / np.sqrt(2)

"""A field of round stars with exact photometry, and catalogues of it: what the search is given."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from astropy.wcs import WCS

from reducers.imaging.references import ReferenceCatalogue, References
from reducers.imaging.sky_map import SkyMap
from reducers.transients.search_image import SearchImage, SourceTable

SIDE, FWHM, SCALE, ZERO = 600, 4.5, 0.2138, 27.0
EXPOSURE_S = 100.0


def sky_map(ra_deg: float, dec_deg: float) -> SkyMap:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [SIDE / 2, SIDE / 2]
    wcs.wcs.cd = np.array([[-SCALE, 0.0], [0.0, SCALE]]) / 3600
    return SkyMap(wcs=wcs)


def field(
    ra_deg: float = 150.0, dec_deg: float = 32.0, *, stars: int = 80, seed: int = 1, **changes: Any
) -> SearchImage:
    """Return an image of stars between 15 and 20 mag; the first one stands alone in the middle."""
    rng = np.random.default_rng(seed)
    steps = np.linspace(60, SIDE - 60, 12)
    grid = np.array([(x, y) for x in steps for y in steps if np.hypot(x - 300, y - 300) > 60])
    places = np.vstack([[300.0, 300.0], rng.permutation(grid)[: stars - 1]])
    places += rng.uniform(-4, 4, places.shape)
    magnitude = np.concatenate([[18.0], rng.uniform(15.0, 20.0, stars - 1)])
    flux = EXPOSURE_S * 10 ** (0.4 * (ZERO - magnitude))
    y, x = np.mgrid[:SIDE, :SIDE]
    sigma = FWHM / 2.3548
    light = rng.normal(0, 10, (SIDE, SIDE))
    for (px, py), each in zip(places, flux, strict=True):
        part = np.s_[max(int(py) - 20, 0) : int(py) + 21, max(int(px) - 20, 0) : int(px) + 21]
        square = (x[part] - px) ** 2 + (y[part] - py) ** 2
        light[part] += each / (2 * np.pi * sigma**2) * np.exp(-square / (2 * sigma**2))
    place = sky_map(ra_deg, dec_deg)
    image = SearchImage(
        name="field",
        light=light.astype(np.float32),
        residual=rng.normal(0, 10, (SIDE, SIDE)).astype(np.float32),
        mask=np.zeros((SIDE, SIDE), np.uint16),
        sources=_table(places, flux, magnitude, place, rng),
        sky_map=place,
        position_error_arcsec=0.03,
        pixel_scale_arcsec=SCALE,
        fwhm_px=FWHM,
        zero_point_mag=ZERO,
        exposure_s=EXPOSURE_S,
        band="r",
        system="AB",
        filter="r_SDSS",
        target="field",
        middle=datetime(2026, 1, 15, 22, tzinfo=UTC),
        optical_centre_px=(SIDE / 2, SIDE / 2),
    )
    return replace(image, **changes)


def _table(places: Any, flux: Any, magnitude: Any, place: SkyMap, rng: Any) -> SourceTable:
    count = len(places)
    noise = np.full(count, 60.0)
    ra, dec = place.sky(places[:, 0], places[:, 1])
    error = 0.01 + noise / flux
    return SourceTable(
        number=np.arange(1, count + 1),
        x_px=places[:, 0],
        y_px=places[:, 1],
        error_px=np.full(count, 0.02),
        ra_deg=ra,
        dec_deg=dec,
        magnitude=magnitude,
        magnitude_error=1.0857 * noise / flux,
        flux=flux,
        flux_error=noise,
        snr=flux / noise,
        concentration=0.5 + rng.normal(0, 1, count) * 0.005,
        concentration_error=0.5 * error,
        chi2=np.ones(count),
        crowding=np.zeros(count),
        semimajor_px=np.full(count, 4.0),
        axis_ratio=np.ones(count),
        theta_rad=np.zeros(count),
        flags=np.zeros(count, np.int64),
    )


def catalogue(image: SearchImage, leaving_out: Any = (0,), **changes: Any) -> ReferenceCatalogue:
    """Return a catalogue of the image's sources, and of many fainter stars around the image."""
    own = np.setdiff1d(np.arange(len(image.sources)), leaving_out)
    rng = np.random.default_rng(9)
    # Counts grow with magnitude down to 21.
    counted = 21.0 + np.log10(rng.uniform(1e-4, 1, 3000)) / 0.3
    ring = rng.uniform(0.05, 0.1, 3000)
    turn = rng.uniform(0, 2 * np.pi, 3000)
    assert image.sky_map is not None
    ra_0, dec_0 = image.sky_map.wcs.wcs.crval
    dec = np.clip(dec_0 + ring * np.sin(turn), -89.99, 89.99)
    ra = (ra_0 + ring * np.cos(turn) / np.cos(np.radians(dec))) % 360
    count = len(own) + len(ra)
    made = ReferenceCatalogue(
        name="ps1",
        epoch_year=2026.04,
        ra_deg=np.append(image.sources.ra_deg[own], ra),
        dec_deg=np.append(image.sources.dec_deg[own], dec),
        position_error_mas=np.full(count, 20.0),
        motion_known=np.ones(count, bool),
        motion_mas=np.zeros(count),
        star=np.ones(count),
        magnitudes={"r": np.append(image.sources.magnitude[own], counted)},
        magnitude_errors={"r": np.full(count, 0.01)},
        limits={"r": 21.8},
    )
    return replace(made, **changes)


def known(*catalogues: ReferenceCatalogue) -> References:
    return References(astrometric=catalogues[0], photometric=catalogues)


def surveys(image: SearchImage, leaving_out: Any = (0,), **changes: Any) -> References:
    """Return two independent catalogues of the image's sources."""
    return known(*(catalogue(image, leaving_out, name=name, **changes) for name in ("gaia", "ps1")))


def twice(one: ReferenceCatalogue) -> References:
    """Return a catalogue and a second survey that has the same."""
    return known(replace(one, name="gaia"), one)


def changed(image: SearchImage, index: int, **values: float) -> SearchImage:
    """Return the image with some columns of one source changed."""
    columns = {}
    for name, value in values.items():
        column = np.array(getattr(image.sources, name))
        column[index] = value
        columns[name] = column
    return replace(image, sources=replace(image.sources, **columns))

"""Two exposures of one small field, between which stars have appeared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reducers.imaging.point_spread import PointSpread
from reducers.imaging.tangent_plane import sky_map
from reducers.transients.difference.epoch import Epoch, StarList
from tests.reducers.star_field import draw

SHAPE, SCALE, ZERO_POINT = (360, 380), 0.2138, 25.6
SKY = 400.0


def place(turn_deg: float = 0.0, east_px: float = 0.0, north_px: float = 0.0):
    """Return where an image lies: north up, turned and shifted."""
    turn = np.radians(turn_deg)
    matrix = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = (SHAPE[1] - 1) / 2 + east_px, (SHAPE[0] - 1) / 2 + north_px
    return sky_map((150.0, 30.0), centre, matrix * SCALE / 3600, SHAPE)


HOME = place()


def constant_sky(count: int = 60, seed: int = 3):
    """Return x, y and rate of stars; the first fifteen are bright."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(12, SHAPE[1] - 12, count), rng.uniform(12, SHAPE[0] - 12, count)
    rate = np.where(np.arange(count) < 15, rng.uniform(200, 900, count), rng.uniform(5, 60, count))
    return x, y, rate


def galaxies(at, fwhm: float):
    """Return the light per second of soft round galaxies, already in the seeing."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = np.zeros(SHAPE)
    for x, y, rate in at:
        sigma2 = (fwhm / 2.3548) ** 2 + 4.0**2
        radius2 = (columns - x) ** 2 + (rows - y) ** 2
        light += rate * np.exp(-radius2 / (2 * sigma2)) / (2 * np.pi * sigma2)
    return light


def expose(
    *,
    new=(),
    hosts=(),
    seconds: float = 100.0,
    fwhm: float = 4.0,
    seed: int = 1,
    where=HOME,
    name: str = "image",
) -> Epoch:
    """Return an exposure of the constant sky and of new stars (x, y at home, rate)."""
    x, y, rate = constant_sky()
    bright = np.arange(len(x)) < 15
    x, y, rate = (
        np.concatenate([old, [each[n] for each in new]]) if new else old
        for n, old in enumerate((x, y, rate))
    )
    bright = np.concatenate([bright, np.zeros(len(new), bool)])
    own_x, own_y = where.pixels(*HOME.sky(x, y))
    moved = [(*(float(v) for v in where.pixels(*HOME.sky(a, b))), r) for a, b, r in hosts]
    field = draw(
        SHAPE, own_x, own_y, rate * seconds, fwhm=fwhm, sky=SKY, seed=seed,
        extra=galaxies(moved, fwhm) * seconds,
    )  # fmt: skip
    frame = replace(field.frame, data=field.frame.data - field.sky)
    noise = np.sqrt(rate * seconds + 30 * SKY)
    stars = StarList(
        x=own_x, y=own_y, error_px=np.full(len(x), 0.02), flux=rate * seconds, flux_error=noise,
        usable=bright,
    )  # fmt: skip
    psf = PointSpread(shape=SHAPE, beta=3.0, ln_fwhm=(float(np.log(fwhm)),), stars=15)
    return Epoch(
        name=name, frame=frame, sky_map=where, psf=psf, stars=stars, band="r",
        zero_point_mag=ZERO_POINT, zero_point_error_mag=0.01, exposure_s=seconds,
    )  # fmt: skip


def template(**changes) -> Epoch:
    """Return the deep exposure from before, the camera turned a little."""
    how = {"seconds": 300.0, "fwhm": 4.6, "seed": 99, "where": place(0.4, 3.3, -2.6)}
    return expose(name="template", **{**how, **changes})

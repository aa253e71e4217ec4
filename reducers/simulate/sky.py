"""A made-up sky that is the same whoever looks: stars and galaxies by position.

Every cell of a few arcminutes holds what its own random numbers give, so that pointings, dithers,
filters, nights and catalogues of one `Sky` agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from reducers.simulate.star_colours import COLOUR_RANGE, SCATTER_MAG, magnitudes

#: Positions of the catalogues belong to this Julian year.
CATALOGUE_EPOCH = 2016.0
CELL_DEG = 0.05
STAR_LIMITS_MAG, STAR_SLOPE = (12.0, 24.5), 0.25
GALAXY_LIMITS_MAG, GALAXY_SLOPE = (16.5, 23.5), 0.35
MOTION_MEDIAN_MAS, MOTION_SPREAD = 4.0, 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """Which sky it is.

    Attributes
    ----------
    seed : int
        Another seed, other stars.
    stars_per_deg2 : float or None
        Down to r = 24.5; None as the Galactic latitude has it (18 000 at the pole, 300 000 in
        the plane). A full frame covers 0.016 square degrees.
    galaxies_per_deg2 : float
        Down to r = 23.5.
    """

    seed: int = 1
    stars_per_deg2: float | None = None
    galaxies_per_deg2: float = 7400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stars:
    """Stars of a piece of sky; all arrays are (n,).

    Attributes
    ----------
    number : int64
        The same star has the same number wherever it is seen.
    ra_deg, dec_deg
        ICRS at `CATALOGUE_EPOCH`.
    motion_ra_mas, motion_dec_mas
        Proper motion per year, the former with cos Dec.
    magnitudes : mapping of str to array
        By the bands of `star_colours.SCATTER_MAG`.
    """

    number: Any
    ra_deg: Any
    dec_deg: Any
    motion_ra_mas: Any
    motion_dec_mas: Any
    magnitudes: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.number)

    def where(self, chosen: Any) -> Stars:
        """Return the stars of an index or a boolean array."""
        return Stars(
            number=self.number[chosen],
            ra_deg=self.ra_deg[chosen],
            dec_deg=self.dec_deg[chosen],
            motion_ra_mas=self.motion_ra_mas[chosen],
            motion_dec_mas=self.motion_dec_mas[chosen],
            magnitudes={band: value[chosen] for band, value in self.magnitudes.items()},
        )

    def at(self, julian_year: float) -> tuple[Any, Any]:
        """Return right ascension and declination (deg) in another year."""
        years = julian_year - CATALOGUE_EPOCH
        dec = self.dec_deg + years * self.motion_dec_mas / 3.6e6
        ra = self.ra_deg + years * self.motion_ra_mas / 3.6e6 / np.cos(np.radians(self.dec_deg))
        return ra % 360, dec


@dataclass(frozen=True, slots=True, kw_only=True)
class Galaxies:
    """Exponential discs in a piece of sky; all arrays are (n,).

    Attributes
    ----------
    radius_arcsec
        Half-light radius of the major axis.
    axis_ratio, angle_deg
        Minor over major axis; position angle of the major axis, north through east.
    """

    number: Any
    ra_deg: Any
    dec_deg: Any
    radius_arcsec: Any
    axis_ratio: Any
    angle_deg: Any
    magnitudes: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.number)


def stars_near(sky: Sky, ra_deg: float, dec_deg: float, radius_deg: float) -> Stars:
    """Return every star within `radius_deg` of a position (at the catalogue's epoch)."""
    rows = [_stars_of(sky, j, i) for j, i in _cells(ra_deg, dec_deg, radius_deg)]
    table = np.concatenate(rows)
    table = table[distance_deg(table[:, 1], table[:, 2], ra_deg, dec_deg) <= radius_deg]
    return Stars(
        number=table[:, 0].astype(np.int64),
        ra_deg=table[:, 1],
        dec_deg=table[:, 2],
        motion_ra_mas=table[:, 3],
        motion_dec_mas=table[:, 4],
        magnitudes=magnitudes(table[:, 5], table[:, 6], table[:, 7:]),
    )


def galaxies_near(sky: Sky, ra_deg: float, dec_deg: float, radius_deg: float) -> Galaxies:
    """Return every galaxy within `radius_deg` of a position."""
    rows = [_galaxies_of(sky, j, i) for j, i in _cells(ra_deg, dec_deg, radius_deg)]
    table = np.concatenate(rows)
    table = table[distance_deg(table[:, 1], table[:, 2], ra_deg, dec_deg) <= radius_deg]
    return Galaxies(
        number=table[:, 0].astype(np.int64),
        ra_deg=table[:, 1],
        dec_deg=table[:, 2],
        radius_arcsec=table[:, 3],
        axis_ratio=table[:, 4],
        angle_deg=table[:, 5],
        magnitudes=magnitudes(table[:, 6], table[:, 7], table[:, 8:]),
    )


def distance_deg(ra_deg: Any, dec_deg: Any, to_ra_deg: float, to_dec_deg: float) -> Any:
    """Return great-circle distances, degrees (haversine)."""
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    to_ra, to_dec = np.radians(to_ra_deg), np.radians(to_dec_deg)
    half = np.sin((dec - to_dec) / 2) ** 2
    half = half + np.cos(dec) * np.cos(to_dec) * np.sin((ra - to_ra) / 2) ** 2
    return np.degrees(2 * np.arcsin(np.sqrt(np.clip(half, 0, 1))))


def density_per_deg2(ra_deg: float, dec_deg: float) -> float:
    """Return how many stars brighter than r = 24.5 a square degree holds, by Galactic latitude."""
    ra, dec = np.radians(ra_deg - 192.8595), np.radians(dec_deg)
    pole = np.radians(27.1284)
    sine = np.sin(dec) * np.sin(pole) + np.cos(dec) * np.cos(pole) * np.cos(ra)
    latitude = abs(float(np.degrees(np.arcsin(sine))))
    return float(10 ** (4.26 + 1.22 * np.exp(-latitude / 18)))


# -- cells --------------------------------------------------------------------------------------


def _cells_around(j: int) -> int:
    """Return how many cells the strip of declination `j` has."""
    middle = np.radians(-90 + (j + 0.5) * CELL_DEG)
    return max(1, int(360 * np.cos(middle) / CELL_DEG))


def _cells(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[int, int]]:
    strips = round(180 / CELL_DEG)
    first = max(0, int((dec_deg - radius_deg + 90) / CELL_DEG))
    last = min(strips - 1, int((dec_deg + radius_deg + 90) / CELL_DEG))
    found = []
    for j in range(first, last + 1):
        around = _cells_around(j)
        edge = max(abs(-90 + j * CELL_DEG), abs(-90 + (j + 1) * CELL_DEG))
        half = 180.0 if edge >= 89.9 else radius_deg / np.cos(np.radians(edge)) * 1.02
        low = int(np.floor((ra_deg - half) / 360 * around))
        high = int(np.floor((ra_deg + half) / 360 * around))
        places = range(around) if high - low >= around else range(low, high + 1)
        found += [(j, i % around) for i in places]
    return found


def _bounds(j: int, i: int) -> tuple[float, float, float, float, float]:
    around = _cells_around(j)
    ra0, ra1 = 360 * i / around, 360 * (i + 1) / around
    dec0, dec1 = -90 + j * CELL_DEG, -90 + (j + 1) * CELL_DEG
    area = (ra1 - ra0) * (dec1 - dec0) * np.cos(np.radians((dec0 + dec1) / 2))
    return ra0, ra1, dec0, dec1, float(area)


def _numbers(j: int, i: int, count: int) -> Any:
    return (j * 10000.0 + i) * 10000.0 + np.arange(count)


def _counts(rng: np.random.Generator, count: int, limits: tuple[float, float], slope: float) -> Any:
    bright, faint = limits
    share = 10 ** (slope * (bright - faint))
    return faint + np.log10(rng.uniform(share, 1, count)) / slope


def _stars_of(sky: Sky, j: int, i: int) -> Any:
    ra0, ra1, dec0, dec1, area = _bounds(j, i)
    density = sky.stars_per_deg2
    if density is None:
        density = density_per_deg2((ra0 + ra1) / 2, (dec0 + dec1) / 2)
    rng = np.random.default_rng([sky.seed, j, i, 0])
    count = int(rng.poisson(density * area))
    motion = MOTION_MEDIAN_MAS * rng.lognormal(0, MOTION_SPREAD, count)
    towards = rng.uniform(0, 2 * np.pi, count)
    r = _counts(rng, count, STAR_LIMITS_MAG, STAR_SLOPE)
    # Bright stars are those of the disc and halo turn-off, faint ones mostly red dwarfs.
    red = rng.random(count) < np.clip((r - 14) / 10, 0.1, 0.65)
    colour = np.where(red, rng.normal(1.75, 0.25, count), rng.normal(0.85, 0.15, count))
    columns = [
        _numbers(j, i, count),
        rng.uniform(ra0, ra1, count),
        rng.uniform(dec0, dec1, count),
        motion * np.sin(towards),
        motion * np.cos(towards),
        r,
        np.clip(colour, *COLOUR_RANGE),
    ]
    return np.column_stack([*columns, rng.normal(size=(count, len(SCATTER_MAG)))])


def _galaxies_of(sky: Sky, j: int, i: int) -> Any:
    ra0, ra1, dec0, dec1, area = _bounds(j, i)
    rng = np.random.default_rng([sky.seed, j, i, 1])
    count = int(rng.poisson(sky.galaxies_per_deg2 * area))
    columns = [
        _numbers(j, i, count) + 5000,
        rng.uniform(ra0, ra1, count),
        rng.uniform(dec0, dec1, count),
        rng.lognormal(0, 0.4, count),
        rng.uniform(0.3, 1, count),
        rng.uniform(0, 180, count),
        _counts(rng, count, GALAXY_LIMITS_MAG, GALAXY_SLOPE),
        np.clip(rng.normal(1.1, 0.25, count), *COLOUR_RANGE),
    ]
    return np.column_stack([*columns, 3 * rng.normal(size=(count, len(SCATTER_MAG)))])

"""The steps of the search for a match, each of which assumes less than the one before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.match import rotation, vote_for_offsets
from reducers.imaging.quads import match_quads
from reducers.imaging.refine import refine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from reducers.imaging.match import Alignment
    from reducers.imaging.refine import Solution
    from reducers.imaging.star_field import StarField


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: how far from the first guess it looks, and how closely.

    Attributes
    ----------
    method : str
        As in `Astrometry`.
    reach : float
        Largest offset, arcsec.
    turn_deg, step_deg : float
        Largest rotation either way, and step of the trials.
    bin_width : float
        Of the histogram of offsets, arcsec.
    stars, sources : int
        Brightest that vote; of stars, within the area of one image.
    follow : int
        Alignments that are followed up.
    mirrored : bool
        Try both parities though the profile knows one.
    """

    method: str
    reach: float
    turn_deg: float
    step_deg: float
    bin_width: float
    stars: int
    sources: int
    follow: int
    mirrored: bool = False


#: Beyond the last rung quadrilaterals are tried, of this many stars (within the area of one image)
#: and sources. They know neither offset nor rotation; the former counts as this many arcsec.
_QUAD_STARS, _QUAD_SOURCES, _QUAD_REACH = 60, 60, 1800.0
_QUAD_FIRST_RADIUS = 5.0

#: Of so many arcsec a side, so many vote.
_CELL, _PER_CELL = 15.0, 2

LADDER = (
    #    method  reach   turn step  bin  stars sources follow
    Rung("prior", 95.0, 1.0, 0.5, 1.5, 80, 120, 6),
    Rung("prior", 95.0, 1.0, 0.5, 1.5, 300, 400, 12),
    Rung("wide", 305.0, 5.0, 0.5, 1.7, 80, 120, 12, mirrored=True),
    Rung("wide", 305.0, 180.0, 1.0, 3.0, 60, 60, 20, mirrored=True),
    Rung("quads", _QUAD_REACH, 180.0, 1.0, 3.0, _QUAD_STARS, _QUAD_SOURCES, 20, mirrored=True),
)


def attempts(field: StarField) -> Iterator[tuple[Rung, Solution]]:
    """Yield what grows from every alignment, the likeliest first."""
    for rung in LADDER:
        quads = rung.method == "quads"
        found = _by_quads(field, rung) if quads else _by_votes(field, rung)
        first_radius = _QUAD_FIRST_RADIUS if quads else 2 * rung.bin_width
        for alignment in found[: rung.follow]:
            solution = refine(field, alignment, first_radius)
            if solution is not None:
                yield rung, solution


def largest_turn_deg(rung: Rung, dec_deg: float) -> float:
    """Return the largest rotation to try: north turns with the offset, much so at a pole."""
    to_pole = math.radians(max(90 - abs(dec_deg), 1e-3))
    turned = math.degrees(math.radians(rung.reach / 3600) / math.tan(to_pole))
    return min(180.0, rung.turn_deg + max(0.0, turned))


def _by_votes(field: StarField, rung: Rung) -> list[Alignment]:
    turn = largest_turn_deg(rung, field.tangent_deg[1])
    steps = math.ceil(turn / rung.step_deg)
    angles = sorted((rung.step_deg * step for step in range(-steps, steps + 1)), key=abs)
    both = rung.mirrored or not field.parity_known
    parities = (np.eye(2), field.flip) if both else (np.eye(2),)
    return vote_for_offsets(
        _bright_stars(field, rung),
        spread(field.sources)[: rung.sources],
        [rotation(math.radians(angle)) @ parity for parity in parities for angle in angles],
        reach=rung.reach,
        bin_width=rung.bin_width,
    )


def _by_quads(field: StarField, rung: Rung) -> list[Alignment]:
    return match_quads(
        _bright_stars(field, rung),
        spread(field.sources)[: rung.sources],
        scale_tolerance=0.02,
        tolerance=0.02,
        reach=rung.bin_width,
    )


def _bright_stars(field: StarField, rung: Rung) -> NDArray[np.float64]:
    """Return the brightest stars that the rung can reach, as many per area as it asks for."""
    reach = min(rung.reach, field.margin)
    near = spread(field.stars[field.inside(field.stars, reach)])
    count = rung.stars * (1 + reach / field.half_size) ** 2
    return near[: math.ceil(count)]


def spread(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points without those that crowd: of each small cell the first ones stay.

    A bled column, the pieces of a galaxy or a cluster would outvote all single stars.
    """
    cells = np.floor(points / _CELL).astype(np.int64)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.ravel()
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], cell[order])
    rank = np.empty(len(points), np.int64)
    rank[order] = np.arange(len(points)) - starts
    return points[rank < _PER_CELL]

"""Find how two lists of points lie on each other: votes for offsets, and quadrilaterals."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


Points = "NDArray[np.float64]"

#: Peaks of one histogram that are followed up.
_PEAKS = 3
#: Neighbours of a point that make quadrilaterals with it.
_NEIGHBOURS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """A guess of star = matrix @ source + offset.

    Attributes
    ----------
    matrix : (2, 2) float64
        Rotation, with mirroring where that is tried.
    offset : (2,) float64
        In the unit of the points.
    votes : int
        Pairs that agree with it.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    votes: int


def rotation(angle_rad: float) -> NDArray[np.float64]:
    """Return the matrix that turns counter-clockwise."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, -s], [s, c]])


def mirror(axis_rad: float) -> NDArray[np.float64]:
    """Return the matrix that mirrors across the direction `axis_rad`."""
    c, s = math.cos(2 * axis_rad), math.sin(2 * axis_rad)
    return np.array([[c, s], [s, -c]])


def vote_for_offsets(
    stars: NDArray[np.float64],
    sources: NDArray[np.float64],
    matrices: Iterable[NDArray[np.float64]],
    *,
    reach: float,
    bin_width: float,
) -> list[Alignment]:
    """Return alignments by how many pairs of a star and a source share one offset.

    Parameters
    ----------
    stars : (m, 2) float64
        Catalogue, arcsec on the tangent plane.
    sources : (n, 2) float64
        Detections on the same plane by the first guess.
    matrices
        Trial rotations (and mirrorings) of the sources.
    reach, bin_width : float
        Largest offset, and bin of its histogram (arcsec). Neighbouring bins are added 2 by 2, so
        that pairs which differ by less than one bin are never split.

    Returns
    -------
    list of Alignment
        Most votes first.
    """
    bins = 2 * math.ceil(reach / bin_width) + 1
    found = []
    star_x, star_y = (stars / bin_width + bins / 2).T.astype(np.float32)
    for matrix in matrices:
        x, y = (sources @ (matrix.T / bin_width)).T.astype(np.float32)
        columns = (star_x[:, None] - x).astype(np.int32)
        rows = (star_y[:, None] - y).astype(np.int32)
        inside = (columns.view(np.uint32) < bins) & (rows.view(np.uint32) < bins)
        index = columns[inside] * bins + rows[inside]
        counts = np.bincount(index, minlength=bins * bins).reshape(bins, bins)
        found += _peaks(_two_by_two(counts), matrix, bin_width, bins)
    return sorted(found, key=lambda alignment: -alignment.votes)


def _two_by_two(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = counts[:-1] + counts[1:]
    return np.asarray(rows[:, :-1] + rows[:, 1:])


def _peaks(
    votes: NDArray[np.int64], matrix: NDArray[np.float64], bin_width: float, bins: int
) -> list[Alignment]:
    """Return the highest peaks; the common corner of four bins is their offset."""
    found = []
    for _ in range(_PEAKS):
        i, j = np.unravel_index(int(votes.argmax()), votes.shape)
        if votes[i, j] < 2:
            break
        offset = (np.array([i, j]) + 1 - bins / 2) * bin_width
        found.append(Alignment(matrix=matrix, offset=offset, votes=int(votes[i, j])))
        votes[max(0, i - 2) : i + 3, max(0, j - 2) : j + 3] = 0
    return found


def match_quads(
    stars: NDArray[np.float64],
    sources: NDArray[np.float64],
    *,
    scale_tolerance: float,
    tolerance: float,
    reach: float,
) -> list[Alignment]:
    """Return alignments that carry quadrilaterals of neighbouring points onto each other.

    Neither position, rotation nor parity is assumed, only that both lists are of the same scale
    and hold the same points in the main. Alignments on which several quadrilaterals agree come
    first.

    Parameters
    ----------
    scale_tolerance : float
        Largest relative difference of the longest sides.
    tolerance : float
        Largest distance in the space of codes.
    reach : float
        Offsets closer than this to each other agree (unit of the points).

    Notes
    -----
    Lang et al. 2010, AJ 139, 1782, section 2: the two points furthest apart define a frame in
    which the other two have coordinates that no similarity changes. Here quadrilaterals are of
    nearest neighbours, and known scale makes their size a fifth coordinate.
    """
    star_codes, star_quads = _quads(stars)
    found: list[Alignment] = []
    if len(star_codes) == 0:
        return found
    tree = cKDTree(star_codes)
    for parity in (1.0, -1.0):
        flipped = sources * np.array([parity, 1.0])
        codes, quads = _quads(flipped)
        if len(codes) == 0:
            continue
        near = tree.query_ball_point(codes, tolerance)
        pairs = [(i, j) for i, members in enumerate(near) for j in members]
        for i, j in pairs:
            if abs(star_codes[j, 4] - codes[i, 4]) * _SIZE_UNIT > scale_tolerance:
                continue
            found.append(_similarity(stars[star_quads[j]], flipped[quads[i]], parity))
    return _most_agreed(found, reach)


#: Sizes enter the codes as logarithms in this unit, so that one tolerance serves all.
_SIZE_UNIT = 0.5


def _quads(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return codes (k, 5) and members (k, 4) of the quadrilaterals of nearest neighbours."""
    if len(points) < 4:
        return np.empty((0, 5)), np.empty((0, 4), np.int64)
    count = min(_NEIGHBOURS + 1, len(points))
    _, near = cKDTree(points).query(points, k=count)
    triples = np.array(list(itertools.combinations(range(1, count), 3)))
    members = np.concatenate(
        [np.repeat(near[:, :1, None], len(triples), axis=1), near[:, triples]], axis=2
    ).reshape(-1, 4)
    members = np.unique(np.sort(members, axis=1), axis=0)
    return _codes(points, members)


def _codes(
    points: NDArray[np.float64], members: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    corners = points[members]
    sides = list(itertools.combinations(range(4), 2))
    lengths = np.array([np.hypot(*(corners[:, a] - corners[:, b]).T) for a, b in sides]).T
    longest = lengths.argmax(axis=1)
    ends = np.array(sides)[longest]
    rest = np.array([[i for i in range(4) if i not in side] for side in sides])[longest]
    order = np.concatenate([ends, rest], axis=1)
    members = np.take_along_axis(members, order, axis=1)
    z = points[members] @ np.array([1.0, 1.0j])
    base = z[:, 1] - z[:, 0]
    inner = (z[:, 2:] - z[:, :1]) / base[:, None]
    turn = inner.real.sum(axis=1) > 1  # name the ends so that the inner points lie near the first
    inner = np.where(turn[:, None], 1 - inner, inner)
    members = np.where(turn[:, None], members[:, [1, 0, 2, 3]], members)
    swap = inner[:, 0].real > inner[:, 1].real
    inner = np.where(swap[:, None], inner[:, ::-1], inner)
    members = np.where(swap[:, None], members[:, [0, 1, 3, 2]], members)
    size = np.log(np.abs(base)) / _SIZE_UNIT
    codes = np.column_stack([inner.real, inner.imag, size])
    return codes[:, [0, 2, 1, 3, 4]], members


def _similarity(
    stars: NDArray[np.float64], sources: NDArray[np.float64], parity: float
) -> Alignment:
    """Return the rotation and offset that carry four sources onto four stars best."""
    centre, origin = stars.mean(axis=0), sources.mean(axis=0)
    a, b = (stars - centre) @ np.array([1, 1j]), (sources - origin) @ np.array([1, 1j])
    turn = rotation(float(np.angle(np.sum(a * b.conj()))))
    matrix = turn @ np.diag([parity, 1.0])
    return Alignment(matrix=matrix, offset=centre - turn @ origin, votes=1)


def _most_agreed(found: Sequence[Alignment], reach: float) -> list[Alignment]:
    """Return the alignments with the number of those that agree, the most agreed first."""
    if not found:
        return []
    angle = np.array([math.atan2(one.matrix[1, 1], one.matrix[0, 1]) for one in found])
    parity = np.array([np.sign(np.linalg.det(one.matrix)) for one in found])
    offsets = np.array([one.offset for one in found])
    places = np.column_stack([offsets / reach, 20 * np.cos(angle), 20 * np.sin(angle), 9 * parity])
    votes = [len(near) for near in cKDTree(places).query_ball_point(places, 1.0)]
    ranked = sorted(range(len(found)), key=lambda index: -votes[index])
    chosen: list[Alignment] = []
    taken: list[NDArray[np.float64]] = []
    for index in ranked:
        if all(np.linalg.norm(places[index] - other) > 2 for other in taken):
            taken.append(places[index])
            one = found[index]
            chosen.append(Alignment(matrix=one.matrix, offset=one.offset, votes=votes[index]))
        if len(chosen) == 20:
            break
    return chosen

"""Find how two lists of points lie on each other, by quadrilaterals of neighbours."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from reducers.imaging.match import Alignment, rotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Neighbours of a point that make quadrilaterals with it.
_NEIGHBOURS = 6
#: Sizes enter the codes as logarithms in this unit, so that one tolerance serves all.
_SIZE_UNIT = 0.5
_SIDES = tuple(itertools.combinations(range(4), 2))
_MOST_CHOSEN = 20


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
    """Return codes and members, these in an order that no similarity changes."""
    members = _longest_side_first(points, members)
    z = points[members] @ np.array([1.0, 1.0j])
    base = z[:, 1] - z[:, 0]
    inner = (z[:, 2:] - z[:, :1]) / base[:, None]
    far = inner.real.sum(axis=1)[:, None] > 1  # the inner points belong near the first end
    inner = np.where(far, 1 - inner, inner)
    members = np.where(far, members[:, [1, 0, 2, 3]], members)
    swapped = inner.real[:, :1] > inner.real[:, 1:]
    inner = np.where(swapped, inner[:, ::-1], inner)
    members = np.where(swapped, members[:, [0, 1, 3, 2]], members)
    size = np.log(np.abs(base)) / _SIZE_UNIT
    return np.column_stack([inner.real, inner.imag, size]), members


def _longest_side_first(
    points: NDArray[np.float64], members: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return members with the two that are furthest apart in front."""
    corners = points[members]
    lengths = np.array([np.hypot(*(corners[:, a] - corners[:, b]).T) for a, b in _SIDES])
    orders = [[*side, *(i for i in range(4) if i not in side)] for side in _SIDES]
    return np.take_along_axis(members, np.array(orders)[lengths.argmax(axis=0)], axis=1)


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
        if len(chosen) == _MOST_CHOSEN:
            break
    return chosen

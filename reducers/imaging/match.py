"""Find how two lists of points lie on each other, by pairs that vote for one offset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Peaks of one histogram that are followed up.
_PEAKS = 3


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

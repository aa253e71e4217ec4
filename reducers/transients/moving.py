"""What moves between exposures of one field, what stands still, and what is seen only once.

No orbit is needed: the positions on two or more exposures tell, minutes apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Vector
from reducers.transients.known_matches import offsets_arcsec

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Faster bodies leave trails, not sources.
FASTEST_ARCSEC_H = 1800.0
#: Errors of positions between exposures that are not in their own: differential refraction,
#: distortion; per axis.
_FLOOR_ARCSEC = 0.05
#: A member lies within so many sigma of the line; a body moves when it is displaced by more.
_MEMBER_SIGMAS, _MOVES_SIGMAS = 4.0, 3.0
#: Two positions alone always lie on a line: chance has to be kept out.
_MOVES_SIGMAS_OF_TWO = 5.0
_SAME_MAGNITUDE, _MAGNITUDE_SIGMAS = 0.5, 4.0
#: A source this much above the limit of another exposure has to be on it.
_SEEN_MARGIN_MAG = 0.7
#: Sources of one exposure beyond which positions are a crowd, not candidates.
_CROWD = 300


class Motion(StrEnum):
    """What the exposures say of a source."""

    MOVES = "moves"
    STANDS = "stands"
    #: Not found on another exposure that would show it.
    ONCE = "once"
    #: No other exposure of its place reaches so deep.
    UNTOLD = "untold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The sources without a catalogue entry on one exposure; arrays are (n,).

    Attributes
    ----------
    mjd : float
        Middle of the exposure, UTC.
    ra_deg, dec_deg : (n,) float64
        ICRS.
    error_arcsec : (n,) float64
        Per axis.
    magnitude, magnitude_error : (n,) float64
        NaN without a zero point.
    limit_mag : float
        Five-sigma limit; NaN where not known.
    centre_ra_deg, centre_dec_deg, radius_deg : float
        A circle that lies wholly on the exposure.
    """

    mjd: float
    ra_deg: Vector
    dec_deg: Vector
    error_arcsec: Vector
    magnitude: Vector
    magnitude_error: Vector
    limit_mag: float
    centre_ra_deg: float
    centre_dec_deg: float
    radius_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """What became of one source.

    Attributes
    ----------
    motion : Motion
    frames : int
        Exposures on which it was found.
    expected : int
        Other exposures on which a source of its brightness would have been found.
    displacement_sigma : float
        Its displacement over all exposures in units of its error; NaN where seen once.
    rate_arcsec_h, angle_deg : float
        Of the motion, from north through east; NaN where seen once.
    chi2 : float
        Of the uniform motion, per degree of freedom; NaN with two exposures.
    """

    motion: Motion
    frames: int
    expected: int
    displacement_sigma: float = float("nan")
    rate_arcsec_h: float = float("nan")
    angle_deg: float = float("nan")
    chi2: float = float("nan")


@dataclass(frozen=True, slots=True)
class _Line:
    """Uniform motion through the sources (frame, row) of several exposures."""

    members: tuple[tuple[int, int], ...]
    rate: tuple[float, float]
    sigmas: float
    chi2: float


def tracks(snapshots: Sequence[Snapshot]) -> tuple[tuple[Track, ...], ...]:
    """Return what became of every source of every exposure, in their order.

    Of all pairs of sources on two exposures that are as bright as each other, the lines that
    most other exposures confirm are taken first, the straightest and slowest of these before the
    others; a source belongs to one line. Sources within four sigma of the line count.
    """
    if not snapshots or max(len(one.ra_deg) for one in snapshots) > _CROWD:
        return tuple(tuple(_untold(one)) for one in snapshots)
    flat = _Flat(snapshots)
    lines = _chosen([line for pair in flat.pairs() if (line := flat.line(*pair)) is not None])
    of = {member: line for line in lines for member in line.members}
    return tuple(
        tuple(_track(flat, frame, row, of.get((frame, row))) for row in range(len(one.ra_deg)))
        for frame, one in enumerate(snapshots)
    )


def _untold(one: Snapshot) -> list[Track]:
    return [Track(motion=Motion.UNTOLD, frames=1, expected=0) for _ in one.ra_deg]


def _chosen(lines: list[_Line]) -> list[_Line]:
    """Return lines without common sources, the best confirmed first."""
    taken: set[tuple[int, int]] = set()
    chosen = []
    for line in sorted(lines, key=lambda one: (-len(one.members), one.chi2 + np.hypot(*one.rate))):
        if taken.isdisjoint(line.members):
            chosen.append(line)
            taken.update(line.members)
    return chosen


class _Flat:
    """The snapshots on one tangent plane (arcsec), times in hours from the first."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.snapshots = snapshots
        ra, dec = snapshots[0].centre_ra_deg, snapshots[0].centre_dec_deg
        self.places = [
            np.stack(offsets_arcsec(one.ra_deg, one.dec_deg, ra, dec)) for one in snapshots
        ]
        self.hours = [(one.mjd - snapshots[0].mjd) * 24 for one in snapshots]
        self.errors = [
            np.hypot(np.nan_to_num(one.error_arcsec, nan=0.3), _FLOOR_ARCSEC) for one in snapshots
        ]

    def pairs(self) -> list[tuple[int, int, int, int]]:
        """Return sources of two exposures that may be one body: frames and rows."""
        found = []
        for one, other in combinations(range(len(self.snapshots)), 2):
            hours = abs(self.hours[other] - self.hours[one])
            apart = self.places[other][:, None, :] - self.places[one][:, :, None]
            distance = np.hypot(*apart)
            error = np.hypot(self.errors[one][:, None], self.errors[other][None, :])
            near = distance <= FASTEST_ARCSEC_H * hours + _MEMBER_SIGMAS * error
            near &= self._alike(one, other)
            found += [(one, int(a), other, int(b)) for a, b in np.argwhere(near)]
        return found

    def line(self, one: int, a: int, other: int, b: int) -> _Line | None:
        """Return uniform motion through two sources and what the other exposures have on it."""
        span = self.hours[other] - self.hours[one]
        start, end = self.places[one][:, a], self.places[other][:, b]
        members = [(one, a), (other, b)]
        for frame in range(len(self.snapshots)):
            if frame in (one, other) or not len(self.errors[frame]):
                continue
            part = (self.hours[frame] - self.hours[one]) / span if span else 0.0
            off = np.hypot(*(self.places[frame] - (start + part * (end - start))[:, None]))
            ends = np.hypot((1 - part) * self.errors[one][a], part * self.errors[other][b])
            sigma = off / np.hypot(self.errors[frame], ends)
            sigma = np.where(self._alike(one, frame)[a], sigma, np.inf)
            best = int(np.argmin(sigma))
            if sigma[best] < _MEMBER_SIGMAS:
                members.append((frame, best))
        return self._fitted(tuple(sorted(members)))

    def _fitted(self, members: tuple[tuple[int, int], ...]) -> _Line | None:
        hours = np.array([self.hours[frame] for frame, _ in members])
        at = np.array([self.places[frame][:, row] for frame, row in members])
        weight = np.array([self.errors[frame][row] ** -2 for frame, row in members])
        middle = weight @ hours / weight.sum()
        spread = weight @ (hours - middle) ** 2
        mean = weight @ at / weight.sum()
        if spread > 0:
            rate = (weight * (hours - middle)) @ (at - mean) / spread
            sigmas = float(np.hypot(*rate) * np.sqrt(spread))
        else:
            rate, sigmas = np.zeros(2), 0.0
        if np.hypot(*rate) > FASTEST_ARCSEC_H:
            return None
        left = at - mean - (hours - middle)[:, None] * rate
        free = 2 * len(members) - 4
        chi2 = float((weight[:, None] * left**2).sum() / free) if free else 0.0
        return _Line(members, (float(rate[0]), float(rate[1])), sigmas, chi2)

    def _alike(self, one: int, other: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Tell which sources of two exposures may be equally bright, (n, m)."""
        first, second = self.snapshots[one], self.snapshots[other]
        apart = np.abs(first.magnitude[:, None] - second.magnitude[None, :])
        error = np.hypot(
            np.nan_to_num(first.magnitude_error, nan=0.3)[:, None],
            np.nan_to_num(second.magnitude_error, nan=0.3)[None, :],
        )
        return np.asarray(~(apart > np.fmax(_SAME_MAGNITUDE, _MAGNITUDE_SIGMAS * error)))

    def expected(self, frame: int, row: int, rate: tuple[float, float]) -> int:
        """Count the other exposures that would show a source."""
        count = 0
        magnitude = self.snapshots[frame].magnitude[row]
        for other, one in enumerate(self.snapshots):
            if other == frame or not magnitude < one.limit_mag - _SEEN_MARGIN_MAG:
                continue
            hours = self.hours[other] - self.hours[frame]
            at = self.places[frame][:, row] + hours * np.array(rate)
            first = self.snapshots[0]
            centre = offsets_arcsec(
                one.centre_ra_deg, one.centre_dec_deg, first.centre_ra_deg, first.centre_dec_deg
            )
            count += bool(np.hypot(*(at - np.array(centre))) < one.radius_deg * 3600)
        return count


def _track(flat: _Flat, frame: int, row: int, line: _Line | None) -> Track:
    if line is None:
        expected = flat.expected(frame, row, (0.0, 0.0))
        motion = Motion.ONCE if expected else Motion.UNTOLD
        return Track(motion=motion, frames=1, expected=expected)
    needed = _MOVES_SIGMAS if len(line.members) > 2 else _MOVES_SIGMAS_OF_TWO
    east, north = line.rate
    return Track(
        motion=Motion.MOVES if line.sigmas > needed else Motion.STANDS,
        frames=len(line.members),
        expected=flat.expected(frame, row, line.rate),
        displacement_sigma=line.sigmas,
        rate_arcsec_h=float(np.hypot(east, north)),
        angle_deg=float(np.degrees(np.arctan2(east, north)) % 360),
        chi2=line.chi2 if len(line.members) > 2 else float("nan"),
    )

"""Witnesses that know what moves and varies: the search for new sources hears them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.julian_date import mjd_of
from reducers.transients.earlier import Earlier, history_of
from reducers.transients.ephemeris import Places
from reducers.transients.known_matches import (
    FastStars,
    KnownMatch,
    Variables,
    fast_star_at,
    minor_planet_at,
    variable_at,
)
from reducers.transients.moving import Motion, Snapshot, tracks
from reducers.transients.witness import NOTHING_KNOWN, Statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from reducers.transients.candidate import Candidate
    from reducers.transients.search_image import SearchImage

_MEASUREMENT = {
    "minor planet": "minor_planet",
    "variable": "variable",
    "fast star": "fast_star",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSky:
    """A witness that names minor planets, comets, variables and fast stars.

    Attributes
    ----------
    planets, variables, fast : Places, Variables, FastStars or None
        Of the field at the time of the exposure; None where nothing is on disc.
    """

    planets: Places | None = None
    variables: Variables | None = None
    fast: FastStars | None = None

    def __call__(self, candidates: Sequence[Candidate], image: SearchImage) -> Sequence[Statement]:
        """Return for each candidate what it is, or may be."""
        return [self._about(candidate, image) for candidate in candidates]

    def _about(self, candidate: Candidate, image: SearchImage) -> Statement:
        at = (candidate.ra_deg, candidate.dec_deg, candidate.position_error_arcsec)
        matches = []
        if self.planets is not None:
            matches.append(minor_planet_at(*at, candidate.magnitude, self.planets))
        if self.variables is not None:
            matches.append(variable_at(*at, self.variables))
        if self.fast is not None and image.middle is not None:
            matches.append(fast_star_at(*at, year_of(image.middle), self.fast))
        found = [match for match in matches if match is not None]
        missing = {"orbits_missing": 1.0} if self.planets is None else {}
        if not found:
            return Statement(measurements=missing)
        best = min(found, key=lambda match: not match.sure)
        return Statement(name=best.name if best.sure else "", measurements=_told(best) | missing)


def _told(match: KnownMatch) -> dict[str, float]:
    name = _MEASUREMENT[match.kind] + ("" if match.sure else "_maybe")
    return {
        name: 1.0,
        "known_separation_arcsec": match.separation_arcsec,
        "known_sigma_arcsec": match.sigma_arcsec,
        "known_magnitude": match.expected_magnitude,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherExposures:
    """A witness that has seen other exposures of the field within minutes to hours.

    Attributes
    ----------
    snapshots : tuple of Snapshot
        Their candidates.
    """

    snapshots: tuple[Snapshot, ...] = ()

    def __call__(self, candidates: Sequence[Candidate], image: SearchImage) -> Sequence[Statement]:
        """Return for each candidate whether it moves, stands or is seen only here."""
        if image.middle is None or not self.snapshots:
            return [NOTHING_KNOWN] * len(candidates)
        own = snapshot_of(candidates, image)
        found = tracks([*self.snapshots, own])[-1]
        return [
            Statement(
                measurements={
                    "moves": float(track.motion is Motion.MOVES),
                    "seen_once": float(track.expected if track.motion is Motion.ONCE else 0),
                    "exposures": float(track.frames),
                    "displacement_sigma": track.displacement_sigma,
                    "rate_arcsec_h": track.rate_arcsec_h,
                    "motion_angle_deg": track.angle_deg,
                }
            )
            for track in found
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierImages:
    """A witness that remembers earlier images of the place."""

    earlier: tuple[Earlier, ...] = ()

    def __call__(self, candidates: Sequence[Candidate], image: SearchImage) -> Sequence[Statement]:
        """Return for each candidate whether it was seen before, how bright, and the limits."""
        if image.middle is None or not self.earlier:
            return [NOTHING_KNOWN] * len(candidates)
        mjd = mjd_of(image.middle)
        told = []
        for one in candidates:
            history = history_of(
                one.ra_deg,
                one.dec_deg,
                one.position_error_arcsec,
                one.magnitude,
                one.magnitude_error,
                image.band,
                mjd,
                self.earlier,
            )
            told.append(
                Statement(
                    measurements={
                        "seen_before": float(history.seen),
                        "seen_before_steady": float(history.steady),
                        "first_seen_days": history.first_days,
                        "change_mag": history.change_mag,
                        "earlier_limit_mag": history.deepest_limit,
                        "last_limit_days": history.last_limit_days,
                    }
                )
            )
        return told


def snapshot_of(
    candidates: Sequence[Candidate], image: SearchImage, limit_mag: float = math.nan
) -> Snapshot:
    """Return the candidates of an image as other exposures are compared with them.

    Raises
    ------
    ValueError
        If the time of the exposure is not known.
    """
    if image.middle is None:
        raise ValueError("the time of the exposure is not known")
    rows, columns = image.shape
    centre = (
        image.sky_map.sky(np.array([(columns - 1) / 2]), np.array([(rows - 1) / 2]))
        if image.sky_map is not None
        else (np.array([math.nan]), np.array([math.nan]))
    )
    return seen_at(
        image.middle,
        candidates,
        centre_deg=(float(centre[0][0]), float(centre[1][0])),
        radius_deg=min(rows, columns) / 2 * image.pixel_scale_arcsec / 3600,
        limit_mag=limit_mag,
    )


def seen_at(
    middle: datetime,
    candidates: Sequence[Candidate],
    *,
    centre_deg: tuple[float, float],
    radius_deg: float,
    limit_mag: float,
) -> Snapshot:
    """Return the candidates of an exposure about a place, down to a magnitude."""
    columns = ("ra_deg", "dec_deg", "position_error_arcsec", "magnitude", "magnitude_error")
    ra, dec, error, magnitude, magnitude_error = (
        np.array([getattr(one, name) for one in candidates], float) for name in columns
    )
    return Snapshot(
        mjd=mjd_of(middle),
        ra_deg=ra,
        dec_deg=dec,
        error_arcsec=error,
        magnitude=magnitude,
        magnitude_error=magnitude_error,
        limit_mag=limit_mag,
        centre_ra_deg=centre_deg[0],
        centre_dec_deg=centre_deg[1],
        radius_deg=radius_deg,
    )


def year_of(when: datetime) -> float:
    """Return the Julian year of a time."""
    return 2000 + (mjd_of(when) - 51544.5) / 365.25

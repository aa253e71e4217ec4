"""How the spectrograph bends: the shift of lines as rotator and altitude explain it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Fewer shifts, or shifts from too few positions, give no model.
FEWEST_SHIFTS = 12
_WORST_CONDITION = 30.0
_CLIP_SIGMA, _ROUNDS = 4.0, 3
_NORMAL = 1.4826


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How the instrument hangs: rotator angle and altitude of the telescope, degrees."""

    rotator_deg: float
    altitude_deg: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One measured shift (px) between two positions."""

    px: float
    here: Position
    there: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexureModel:
    """A spectrograph that bends under its weight.

    Attributes
    ----------
    cosine_px, sine_px : float
        Shift per cos(altitude), along the cosine and the sine of the rotator.
    altitude_px : float
        Shift per sin(altitude).
    scatter_px : float
        Robust scatter of what is left.
    shifts : int
        How many shifts carry it.
    """

    cosine_px: float
    sine_px: float
    altitude_px: float
    scatter_px: float
    shifts: int

    @property
    def amplitude_px(self) -> float:
        """Half of what a full turn of the rotator moves a line at the horizon."""
        return float(np.hypot(self.cosine_px, self.sine_px))

    @property
    def phase_deg(self) -> float:
        """Rotator angle at which lines stand highest on the detector."""
        return float(np.degrees(np.arctan2(self.sine_px, self.cosine_px)))

    def at(self, position: Position) -> float:
        """Return the shift (px) at a position, up to a constant."""
        return float(
            _leans([position])[0] @ np.array([self.cosine_px, self.sine_px, self.altitude_px])
        )

    def between(self, here: Position, there: Position) -> float:
        """Return the shift (px) of lines seen here against an arc taken there."""
        return self.at(here) - self.at(there)


def fit_flexure(shifts: Sequence[Shift]) -> FlexureModel | None:
    """Return the model that explains measured shifts; None where they do not tell.

    Notes
    -----
    The weight of the camera pulls along the dispersion by its component there: cos(altitude)
    times a sinus of the rotator, and sin(altitude) along the axis. Shifts are differences of two
    positions, so a constant cancels. Least squares, outliers beyond 4 robust sigma left out.
    """
    known = [shift for shift in shifts if np.isfinite(shift.px)]
    if len(known) < FEWEST_SHIFTS:
        return None
    here = _leans([shift.here for shift in known])
    design = here - _leans([shift.there for shift in known])
    px = np.array([shift.px for shift in known])
    kept = np.ones(len(px), bool)
    for _ in range(_ROUNDS):
        if kept.sum() < FEWEST_SHIFTS or np.linalg.cond(design[kept]) > _WORST_CONDITION:
            return None
        terms, *_ = np.linalg.lstsq(design[kept], px[kept], rcond=None)
        left = px - design @ terms
        scatter = _NORMAL * float(np.median(np.abs(left[kept])))
        kept = np.abs(left) <= _CLIP_SIGMA * max(scatter, 1e-9)
    return FlexureModel(
        cosine_px=float(terms[0]),
        sine_px=float(terms[1]),
        altitude_px=float(terms[2]),
        scatter_px=scatter,
        shifts=int(kept.sum()),
    )


def _leans(positions: Sequence[Position]) -> Array:
    """Return the weight (n, 3) along the cosine and sine of the rotator, and along the axis."""
    angles = np.radians([(each.rotator_deg, each.altitude_deg) for each in positions])
    rotator, altitude = angles[:, 0], angles[:, 1]
    level = np.cos(altitude)
    return np.stack([level * np.cos(rotator), level * np.sin(rotator), np.sin(altitude)], axis=1)

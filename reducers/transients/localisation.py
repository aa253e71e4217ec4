"""Where a satellite says that something happened."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

#: Radius that holds 90 % of a circular two-dimensional Gaussian, in units of its sigma per axis.
R90_PER_SIGMA = 2.145966


class Colour(IntEnum):
    """How well a new source agrees with the localisations: PyNOT's classes 0, 1 and 2."""

    RED = 0
    ORANGE = 1
    GREEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Localisation:
    """One error circle on the sky.

    Attributes
    ----------
    kind : str
        'BAT' for circles of arcminutes (Swift BAT, Fermi, Einstein Probe WXT, SVOM ECLAIRs),
        'XRT' for circles of arcseconds (Swift XRT and UVOT, Einstein Probe FXT, SVOM MXT and VT).
    ra_deg, dec_deg : float
        ICRS.
    r90_arcsec : float
        Radius that holds the source with a probability of 90 %, systematics included.
    event : str
        Name of the event, '' when a person gave the circle.
    happened_at : datetime or None
        When it happened (UTC).
    instrument : str
        Who says so, '' when a person did.
    """

    kind: str
    ra_deg: float
    dec_deg: float
    r90_arcsec: float
    event: str = ""
    happened_at: datetime | None = None
    instrument: str = ""

    @property
    def sigma_arcsec(self) -> float:
        """Standard deviation per axis."""
        return self.r90_arcsec / R90_PER_SIGMA

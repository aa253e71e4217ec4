"""One notice of a satellite, whatever format it came in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from reducers.transients.localisation import Localisation


class Role(StrEnum):
    """Whether a notice is about the sky."""

    OBSERVATION = "observation"
    #: A drill, an injected or a mock event: kept, never used.
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """A place on the sky and the radius that holds the source with a probability of 90 %.

    Attributes
    ----------
    ra_deg, dec_deg : float
        ICRS.
    r90_arcsec : float
        Systematic error included.
    """

    ra_deg: float
    dec_deg: float
    r90_arcsec: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerNotice:
    """What one notice says.

    Attributes
    ----------
    mission, instrument : str
        'Swift', 'XRT', ...; the instrument is '' where a retraction names none.
    kind : str
        'BAT' or 'XRT', as of `Localisation`.
    event : str
        The mission's own number or name of the event.
    role : Role
    retraction : bool
        The event is none: what was said of it no longer counts.
    circle : Circle or None
        None where the notice tells no place, or no error of it.
    happened_at : datetime or None
        When the event happened; None where the notice does not tell.
    issued_at : datetime or None
        When the notice was written; its order among others of its event.
    grade : int
        A final position counts more than a first guess, whichever comes last.
    revision : int
        Number of the notice within its event; 0 where it has none.
    name : str
        What the notice calls itself: the IVORN, or the schema and identifiers; '' for neither.
    """

    mission: str
    instrument: str
    kind: str
    event: str
    role: Role = Role.OBSERVATION
    retraction: bool = False
    circle: Circle | None = None
    happened_at: datetime | None = None
    issued_at: datetime | None = None
    grade: int = 1
    revision: int = 0
    name: str = ""

    @property
    def subject(self) -> str:
        """What the notices of one event share: 'Swift 1253910'."""
        return f"{self.mission} {self.event}"

    @property
    def localisation(self) -> Localisation | None:
        """Return the circle with its event; None where there is none."""
        if self.circle is None:
            return None
        return Localisation(
            kind=self.kind,
            ra_deg=self.circle.ra_deg,
            dec_deg=self.circle.dec_deg,
            r90_arcsec=self.circle.r90_arcsec,
            event=self.subject,
            happened_at=self.happened_at,
            instrument=f"{self.mission} {self.instrument}".strip(),
        )

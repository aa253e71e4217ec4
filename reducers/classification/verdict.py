"""What a classification says, for people and for headers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducers.classification.host_lines import HostRedshift


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """One template spectrum and how well it matches."""

    name: str
    subtype: str
    phase_days: float
    redshift: float
    rlap: float

    @property
    def words(self) -> str:
        """For people."""
        phase = f" at {self.phase_days:+.0f} d" if math.isfinite(self.phase_days) else ""
        return f"{self.name} ({self.subtype}){phase}, z {self.redshift:.3f}, rlap {self.rlap:.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What a spectrum shows.

    Attributes
    ----------
    kind
        'Ia', 'Ibc', 'IIb', 'II' or the class of a template that is no supernova; '' where
        nothing can be said.
    fractions
        Share of the votes by class, largest first.
    subtype, subtype_fraction
        The most frequent subtype within the class, and its share there.
    redshift, redshift_error
        Of the host's lines where there are any, else of the templates.
    phase_days, phase_error_days
        From maximum light, rest frame; NaN where no template of the subtype is dated.
    best, second
        The template most like it, and the one most like it of any other class.
    confident
        Whether the class may be told without a person's look.
    stripped
        Whether a stripped-envelope supernova is sure, be it Ibc or IIb.
    reason
        Why nothing can be said; '' where something can.
    """

    kind: str = ""
    subtype: str = ""
    fractions: Mapping[str, float] = field(default_factory=dict)
    subtype_fraction: float = math.nan
    redshift: float = math.nan
    redshift_error: float = math.nan
    phase_days: float = math.nan
    phase_error_days: float = math.nan
    best: Likeness | None = None
    second: Likeness | None = None
    confident: bool = False
    stripped: bool = False
    reason: str = ""
    host: HostRedshift = field(default_factory=HostRedshift)

    @property
    def words(self) -> str:
        """One sentence for people."""
        if not self.kind:
            lines = f"; {self.host.words}" if self.host.known else ""
            return f"not classified: {self.reason}{lines}"
        share = ", ".join(f"{name} {value:.0%}" for name, value in self.fractions.items())
        phase = (
            f", {self.phase_days:+.0f} +- {self.phase_error_days:.0f} d from maximum"
            if math.isfinite(self.phase_days)
            else ""
        )
        source = "from host lines" if self.host.known else "from templates"
        return (
            f"{self._claim}, z = {self.redshift:.4f} +- {self.redshift_error:.4f} {source}{phase}; "
            f"votes: {share}"
        )

    @property
    def _claim(self) -> str:
        """How much may be said of the type."""
        if self.confident:
            return f"{self.kind} ({self.subtype})"
        if self.stripped:
            return f"Ibc or IIb, most like {self.subtype}"
        return f"uncertain, perhaps {self.kind} ({self.subtype}); look at it"

    @property
    def facts(self) -> dict[str, str]:
        """Names and words for a log."""
        said = {"verdict": self.words, "host lines": self.host.words}
        if self.best is not None:
            said["most like"] = self.best.words
        if self.second is not None:
            said["next type"] = self.second.words
        return said

    @property
    def cards(self) -> list[tuple[str, Any, str]]:
        """Cards of a header."""
        cards: list[tuple[str, Any, str]] = [
            ("SNTYPE", self.subtype or "none", "most similar SNID type"),
            ("SNSURE", self.confident, "whether its class may be believed unseen"),
        ]
        if not self.kind:
            return [*cards, ("SNWHY", self.reason, "why not classified")]
        cards.append(("SNFRAC", round(self.fractions[self.kind], 3), f"votes of {self.kind}"))
        if self.best is not None:
            cards.append(("SNTEMPL", self.best.name, "most similar template"))
            cards.append(("SNRLAP", round(self.best.rlap, 2), "its rlap (Blondin & Tonry 2007)"))
        cards.append(("SNZ", round(self.redshift, 5), "redshift, topocentric"))
        cards.append(("SNZERR", round(self.redshift_error, 5), "its error"))
        cards.append(("SNZFROM", "lines" if self.host.known else "templates", "of the redshift"))
        if math.isfinite(self.phase_days):
            cards.append(("SNPHASE", round(self.phase_days, 1), "[d] from maximum, rest frame"))
        return cards


def not_classified(reason: str, host: HostRedshift | None = None) -> Classification:
    """Return a classification that says why there is none."""
    return Classification(reason=reason, host=host or HostRedshift())

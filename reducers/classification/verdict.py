"""What a classification says, for people and for headers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducers.classification.host_lines import HostRedshift
from reducers.classification.nature import Nature
from reducers.classification.snid_output import SnidAnswer
from reducers.classification.stars import StarClass


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
        'Ia', 'Ibc', 'IIb', 'II' or the class of a template that is no supernova; 'star', 'galaxy'
        or 'quasar' where lines say so; '' where nothing can be said.
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
    nature, star
        What lines of stars, galaxies and active nuclei make of it, and the class of a star.
    share, depth
        Of the best template: the part of the spectrum's structure that it explains, and how deep
        its features are here, over the template's own.
    doubt
        Why the class is not believed although the votes agree; '' where it is.
    external
        What the program SNID says; None where it was not asked.
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
    nature: Nature = field(default_factory=Nature)
    star: StarClass | None = None
    share: float = math.nan
    depth: float = math.nan
    doubt: str = ""
    external: SnidAnswer | None = None

    @property
    def is_supernova(self) -> bool:
        """Whether `kind` is that of a template."""
        return bool(self.kind) and bool(self.fractions)

    @property
    def words(self) -> str:
        """One sentence for people."""
        if self.kind and not self.is_supernova:
            which = f", class {self.star.words}" if self.star is not None else ""
            return f"no supernova: {self.nature.words}{which}"
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
    def sentences(self) -> list[str]:
        """What a page and the head of a text file say: our verdict, and SNID's beside it."""
        beside = [] if self.external is None else [f"the program SNID: {self.external.words}"]
        return [self.words, *beside]

    @property
    def _claim(self) -> str:
        """How much may be said of the type."""
        if self.confident:
            return f"{self.kind} ({self.subtype})"
        if self.stripped:
            return f"Ibc or IIb, most like {self.subtype}"
        why = f" ({self.doubt})" if self.doubt else ""
        return f"uncertain, perhaps {self.kind} ({self.subtype}){why}; look at it"

    @property
    def facts(self) -> dict[str, str]:
        """Names and words for a log."""
        said = {"verdict": self.words, "host lines": self.host.words}
        if self.kind and not self.is_supernova:
            said["no supernova"] = "what the templates are like explains less of its structure"
        elif self.nature.kind:
            said["other than a supernova"] = self.nature.words
        if self.best is not None:
            said["most like"] = self.best.words
        if self.second is not None:
            said["next type"] = self.second.words
        if self.external is not None:
            said["SNID says"] = self.external.words
        return said

    @property
    def cards(self) -> list[tuple[str, Any, str]]:
        """Cards of a header."""
        if self.external is None:
            return self._own_cards
        cards: list[tuple[str, Any, str]] = [
            ("EXSNTYPE", self.external.subtype or "none", "type by the program SNID")
        ]
        if self.external.subtype:
            cards.append(("EXSNTEMP", self.external.template, "its template"))
            cards.append(("EXSNRLAP", self.external.rlap, "its rlap"))
            cards.append(("EXSNZ", self.external.redshift, "its redshift"))
            cards.append(("EXSNPHAS", self.external.phase_days, "[d] its phase"))
        return [*self._own_cards, *cards]

    @property
    def _own_cards(self) -> list[tuple[str, Any, str]]:
        cards: list[tuple[str, Any, str]] = [
            ("TGTKIND", self._target, "supernova, star, galaxy, quasar or unknown"),
            ("SNTYPE", self.subtype or "none", "most similar SNID type"),
            ("SNSURE", self.is_supernova and self.confident, "whether it may be believed unseen"),
        ]
        if self.star is not None:
            cards.append(("SPCLASS", self.star.name or "unknown", "spectral class of the star"))
            cards.append(("SPCLERR", round(self.star.error, 1), "its error in subclasses"))
        if self.nature.kind in ("galaxy", "quasar") and not self.is_supernova:
            cards += _redshift_cards(self.redshift, self.redshift_error, "lines")
        if not self.kind:
            return [*cards, ("SNWHY", self.reason, "why not classified")]
        return [*cards, *self._supernova_cards] if self.is_supernova else cards

    @property
    def _target(self) -> str:
        """What the target is, in one word."""
        if not self.kind:
            return "unknown"
        return "supernova" if self.is_supernova else self.kind

    @property
    def _supernova_cards(self) -> list[tuple[str, Any, str]]:
        cards: list[tuple[str, Any, str]] = [
            ("SNFRAC", round(self.fractions[self.kind], 3), f"votes of {self.kind}")
        ]
        if self.doubt:
            cards.append(("SNDOUBT", self.doubt, "why not believed"))
        if self.best is not None:
            cards.append(("SNTEMPL", self.best.name, "most similar template"))
            cards.append(("SNRLAP", round(self.best.rlap, 2), "its rlap (Blondin & Tonry 2007)"))
        if self.second is not None:
            cards.append(("SNNEXT", self.second.subtype, "most similar type of another class"))
            cards.append(("SNNRLAP", round(self.second.rlap, 2), "its rlap"))
        if math.isfinite(self.share):
            cards.append(("SNSHARE", round(self.share, 3), "of the structure that is explained"))
            cards.append(("SNDEPTH", round(self.depth, 3), "of features over the template's"))
        source = "lines" if self.host.known else "templates"
        cards += _redshift_cards(self.redshift, self.redshift_error, source)
        if math.isfinite(self.phase_days):
            cards.append(("SNPHASE", round(self.phase_days, 1), "[d] from maximum, rest frame"))
            cards.append(("SNPHERR", round(self.phase_error_days, 1), "[d] its error"))
        return cards


def _redshift_cards(redshift: float, error: float, source: str) -> list[tuple[str, Any, str]]:
    if not math.isfinite(redshift):
        return []
    return [
        ("SNZ", round(redshift, 5), "redshift, topocentric"),
        ("SNZERR", round(error, 5), "its error"),
        ("SNZFROM", source, "of the redshift"),
    ]


def not_classified(reason: str, host: HostRedshift | None = None) -> Classification:
    """Return a classification that says why there is none."""
    return Classification(reason=reason, host=host or HostRedshift())

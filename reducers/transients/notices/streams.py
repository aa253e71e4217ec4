"""The streams of notices that are understood, as facts."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One instrument's notices; `streams.toml` explains the fields.

    Attributes
    ----------
    packets : mapping of str to int
        Packet_Type -> grade; TOML has no numbers for keys.
    """

    mission: str
    instrument: str
    kind: str
    names: tuple[str, ...]
    containment: float
    systematic_included: bool
    systematic_r90_arcsec: float
    source: str
    verified: str
    unverified: str
    ivorn: str = ""
    packets: Mapping[str, int] = field(default_factory=dict)
    event: str = ""
    instrument_parameter: str = ""
    retracted_by: str = ""
    retractions: tuple[int, ...] = ()

    def r90_arcsec(
        self,
        radius_arcsec: float,
        containment: float | None = None,
        *,
        included: bool | None = None,
    ) -> float:
        """Return the radius that holds 90 %, the systematic error with it.

        Parameters
        ----------
        radius_arcsec
            As the notice gives it.
        containment, included
            What the notice says of it; None where it does not.
        """
        probability = self.containment if containment is None else containment
        statistical = radius_arcsec * to_90(probability)
        holds_all = self.systematic_included if included is None else included
        return math.hypot(statistical, 0.0 if holds_all else self.systematic_r90_arcsec)


def to_90(containment: float) -> float:
    """Return the factor from a radius of this containment to that of 90 %.

    Of a circular two-dimensional Gaussian a fraction 1 - exp(-r^2 / 2 sigma^2) lies within r: 68 %
    are 1.51 sigma, 90 % are 2.15.
    """
    return math.sqrt(math.log(0.1) / math.log(1.0 - containment))


@cache
def load_streams() -> tuple[Stream, ...]:
    """Return the streams that ship with the package."""
    text = resources.files(__package__).joinpath("streams.toml").read_text("utf8")
    tables = tomllib.loads(text)["stream"]
    return tuple(Stream(**{name: _fixed(value) for name, value in t.items()}) for t in tables)


def letters_of(name: str) -> str:
    """Return a name in small letters and digits: 'Einstein Probe' and 'einstein_probe' agree."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

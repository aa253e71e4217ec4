"""Which quantities are followed, and what is said when one changes: the table health.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from daemon.health.bands import Floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One quantity that is followed.

    Attributes
    ----------
    source
        Role of a master, or 'image', 'spectrum', 'exposure' (both).
    measurement, error, plus
        Names of its number, of that number's error, and of one that is added; '' for none.
    scale, airmass_power
        What it is multiplied with: a factor, and a power of the airmass.
    of
        Parts of the set-up of which each makes a series of its own.
    floor, floor_relative
        Least scatter of a night, in the unit and as part of the level.
    of_night
        'median', 'highest' or 'lowest' of the readings of a night.
    least_nights
        Fewer nights never show a change.
    clouds
        'below' or 'above' where clouds put a night on that side of its level; '' for neither.
    flexure_model
        What rotator and altitude explain is taken out first.
    alarm
        Whether a change is told.
    form
        How a value is written.
    """

    name: str
    unit: str
    source: str
    measurement: str
    sentence: str
    cause: str
    advice: str
    error: str = ""
    plus: str = ""
    scale: float = 1.0
    airmass_power: float = 0.0
    of: tuple[str, ...] = ()
    floor: float = 0.0
    floor_relative: float = 0.0
    of_night: str = "median"
    least_nights: int = 2
    clouds: Literal["", "below", "above"] = ""
    flexure_model: bool = False
    alarm: bool = True
    form: str = ".3g"

    @property
    def cloud_side(self) -> int:
        """On which side of its level clouds put a night: -1, +1 or 0."""
        return {"below": -1, "above": 1}.get(self.clouds, 0)

    @property
    def least(self) -> Floor:
        """The least scatter of a night."""
        return Floor(absolute=self.floor, relative=self.floor_relative)


@cache
def load_rules() -> tuple[Rule, ...]:
    """Return the series that ship with the package, in their order."""
    text = resources.files("daemon.health").joinpath("health.toml").read_text("utf8")
    return tuple(_rule(entry) for entry in tomllib.loads(text)["series"])


def _rule(entry: dict[str, Any]) -> Rule:
    given = dict(entry)
    return Rule(source=given.pop("from"), of=tuple(given.pop("of")), **given)

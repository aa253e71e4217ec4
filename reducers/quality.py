"""Judge a product: measurements against limits, every verdict with its sentence."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """One reason for a quality above 0.

    Attributes
    ----------
    bit : int
        Position in the header's QFLAGS.
    quality : int
        What this reason alone makes of the product, 1-5.
    value, threshold : float
        The measurement and the limit that it passed.
    sentence, advice : str
        What it means, and what to do.
    """

    name: str
    bit: int
    quality: int
    value: float
    threshold: float
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One limit: the quality it gives when the value lies above or below."""

    quality: int
    above: float | None = None
    below: float | None = None

    def passed_by(self, value: float) -> bool:
        """Whether `value` lies on the bad side."""
        if self.above is not None and value > self.above:
            return True
        return self.below is not None and value < self.below

    @property
    def threshold(self) -> float:
        """The number that was passed."""
        return self.above if self.above is not None else float(self.below or 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A flag and the measurement that raises it; the strictest level comes first."""

    name: str
    bit: int
    measurement: str
    levels: tuple[Level, ...]
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every rule, with the version that is stored beside each flag."""

    version: str
    rules: tuple[Rule, ...]


@cache
def load_limits() -> Limits:
    """Return the limits that ship with the package."""
    text = resources.files("reducers").joinpath("quality.toml").read_text("utf8")
    table = tomllib.loads(text)
    rules = tuple(
        Rule(
            name=entry["name"],
            bit=entry["bit"],
            measurement=entry["measurement"],
            levels=tuple(Level(**level) for level in entry["levels"]),
            sentence=entry["sentence"],
            advice=entry["advice"],
        )
        for entry in table["flag"]
    )
    return Limits(version=table["version"], rules=rules)


def judge(
    measurements: Mapping[str, float], limits: Limits, *, is_standard: bool = False
) -> tuple[tuple[Flag, ...], int]:
    """Return the flags that the measurements raise, and the worst quality among them.

    Parameters
    ----------
    measurements
        A measurement that is missing or NaN raises nothing.
    is_standard
        A standard's identity is proven by its flux: it is never 5.
    """
    flags = tuple(
        flag
        for rule in limits.rules
        if (flag := _raised(rule, measurements.get(rule.measurement))) is not None
    )
    worst = max((flag.quality for flag in flags), default=0)
    return flags, min(worst, 4) if is_standard else worst


def _raised(rule: Rule, value: float | None) -> Flag | None:
    if value is None or math.isnan(value):
        return None
    for level in rule.levels:
        if level.passed_by(value):
            return Flag(
                name=rule.name,
                bit=rule.bit,
                quality=level.quality,
                value=value,
                threshold=level.threshold,
                sentence=rule.sentence,
                advice=rule.advice,
            )
    return None


def flag_bits(flags: tuple[Flag, ...]) -> int:
    """Return the flags as one integer, as in the header's QFLAGS."""
    return sum(1 << flag.bit for flag in flags)

"""Judge a product: measurements against limits, every verdict with its sentence."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources


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
    sentence, advice, cause : str
        What it means, what to do, and what usually causes it.
    """

    name: str
    bit: int
    quality: int
    value: float
    threshold: float
    sentence: str
    advice: str
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One limit: the quality it gives when the value lies above or below.

    Attributes
    ----------
    measurement : str
        What is looked at; '' for the measurement of the rule.
    above_by_grism : mapping of str to float
        Limits of single grisms, in place of `above`.
    """

    quality: int
    above: float | None = None
    below: float | None = None
    measurement: str = ""
    above_by_grism: Mapping[str, float] = field(default_factory=dict)

    def passed_by(self, value: float, grism: str = "") -> bool:
        """Whether `value` lies on the bad side; NaN never does."""
        if self.below is not None:
            return value < self.below
        return value > self.threshold(grism)

    def threshold(self, grism: str = "") -> float:
        """Return the number that is not to be passed."""
        if self.below is not None:
            return self.below
        return self.above_by_grism.get(grism, math.inf if self.above is None else self.above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A flag and the measurement that raises it; the strictest level comes first."""

    name: str
    bit: int
    measurement: str
    levels: tuple[Level, ...]
    sentence: str
    advice: str
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every rule, with the version that is stored beside each flag."""

    version: str
    rules: tuple[Rule, ...]


#: What is judged -> the limits it is held against.
_FILES = {
    "spectra": "quality.toml",
    "images": "quality_images.toml",
    "transients": "quality_transients.toml",
}


@cache
def load_limits(of: str = "spectra") -> Limits:
    """Return the limits of 'spectra', 'images' or 'transients' that ship with the package."""
    text = resources.files("reducers").joinpath(_FILES[of]).read_text("utf8")
    table = tomllib.loads(text)
    rules = tuple(
        Rule(
            name=entry["name"],
            bit=entry["bit"],
            measurement=entry["measurement"],
            levels=tuple(Level(**level) for level in entry["levels"]),
            sentence=entry["sentence"],
            advice=entry["advice"],
            cause=entry.get("cause", ""),
        )
        for entry in table["flag"]
    )
    return Limits(version=table["version"], rules=rules)


def judge(
    measurements: Mapping[str, float],
    limits: Limits,
    *,
    is_standard: bool = False,
    grism: str = "",
) -> tuple[tuple[Flag, ...], int]:
    """Return the flags that the measurements raise, and the worst quality among them.

    Parameters
    ----------
    measurements
        A measurement that is missing or NaN raises nothing.
    is_standard
        A standard's identity is proven by its flux: it is never 5.
    grism
        Some limits depend on it.
    """
    raised = (_raised(rule, measurements, grism) for rule in limits.rules)
    flags = tuple(flag for flag in raised if flag is not None)
    if is_standard:
        flags = tuple(replace(flag, quality=min(flag.quality, 4)) for flag in flags)
    return flags, max((flag.quality for flag in flags), default=0)


def _raised(rule: Rule, measurements: Mapping[str, float], grism: str) -> Flag | None:
    for level in rule.levels:
        value = measurements.get(level.measurement or rule.measurement, math.nan)
        if level.passed_by(value, grism):
            return Flag(
                name=rule.name,
                bit=rule.bit,
                quality=level.quality,
                value=value,
                threshold=level.threshold(grism),
                sentence=rule.sentence,
                advice=rule.advice,
                cause=rule.cause,
            )
    return None


def flag_bits(flags: tuple[Flag, ...]) -> int:
    """Return the flags as one integer, as in the header's QFLAGS."""
    return sum(1 << flag.bit for flag in flags)

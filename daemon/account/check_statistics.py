"""How good the automatic checks are, by the verdicts of people.

A check says "look at this"; a person says whether the product is any good. Precision is the part
of the products a check flagged that people rejected; recall the part of the rejected ones that it
flagged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.memory.records import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.memory.records import Judgement

#: Half-width of the interval, in standard deviations: 68 %.
_SIGMA = 1.0
OVERALL = "quality above 2"
_USABLE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckScore:
    """One check against the verdicts.

    Attributes
    ----------
    flagged_rejected, flagged_accepted, missed, passed
        Judged products by what the check and the person said.
    """

    name: str
    flagged_rejected: int
    flagged_accepted: int
    missed: int
    passed: int

    @property
    def precision(self) -> float:
        """Part of the flagged products that people rejected; NaN when none was flagged."""
        return _part(self.flagged_rejected, self.flagged_rejected + self.flagged_accepted)

    @property
    def recall(self) -> float:
        """Part of the rejected products that were flagged; NaN when none was rejected."""
        return _part(self.flagged_rejected, self.flagged_rejected + self.missed)

    @property
    def precision_range(self) -> tuple[float, float]:
        """Where the precision lies with a probability of 68 %."""
        return wilson(self.flagged_rejected, self.flagged_rejected + self.flagged_accepted)


def score_checks(judgements: Sequence[Judgement], checks: Iterable[str]) -> list[CheckScore]:
    """Return the score of the quality as a whole and of every check, those that matter first.

    Parameters
    ----------
    checks
        Names of every flag there is; those that were never raised among judged products come
        last.
    """
    overall = _score(OVERALL, judgements, [item.quality > _USABLE for item in judgements])
    names = dict.fromkeys([*checks, *(name for item in judgements for name in item.flags)])
    scores = [
        _score(name, judgements, [name in item.flags for item in judgements]) for name in names
    ]
    scores.sort(key=lambda s: (-(s.flagged_rejected + s.flagged_accepted), s.name))
    return [overall, *scores]


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the interval of a proportion (Wilson 1927, eq. 2); (0, 1) without trials."""
    if trials == 0:
        return 0.0, 1.0
    p, z = successes / trials, _SIGMA
    middle = (p + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * math.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    # The ends are exact where nothing, or everything, succeeded; rounding would pass them by.
    return min(p, max(0.0, middle - half)), max(p, min(1.0, middle + half))


def _score(name: str, judgements: Sequence[Judgement], flagged: Sequence[bool]) -> CheckScore:
    rejected = [item.verdict.decision is Decision.REJECTED for item in judgements]
    pairs = list(zip(flagged, rejected, strict=True))
    return CheckScore(
        name=name,
        flagged_rejected=pairs.count((True, True)),
        flagged_accepted=pairs.count((True, False)),
        missed=pairs.count((False, True)),
        passed=pairs.count((False, False)),
    )


def _part(count: int, of: int) -> float:
    return count / of if of else math.nan

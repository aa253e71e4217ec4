"""Compare a new master with the previous ones of its set-up, so that a bad one is never used."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

from calibration_store.records import MasterState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from calibration_store.records import MasterRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    """How far a measurement may be from the median of the previous masters.

    The tolerance is the largest of an absolute one, a relative one and six times their scatter.
    """

    name: str
    relative: float
    absolute: float = 0.0
    only_above: bool = False


_CHECKS: dict[str, tuple[_Check, ...]] = {
    "BIAS": (
        _Check(name="level_adu", relative=0.05, absolute=100.0),
        _Check(name="read_noise_adu", relative=0.5, only_above=True),
    ),
    # Lamps age and exposure times differ; what is left out of the combination does not.
    "FLAT": (_Check(name="left_out", relative=0.0, absolute=3.0, only_above=True),),
    "ARC": (_Check(name="rms_px", relative=2.0, absolute=0.1, only_above=True),),
    # Thin cloud and a narrow slit lose light honestly; an order of magnitude is the wrong star.
    "RESPONSE": (_Check(name="peak_ab_zero_point", relative=0.0, absolute=2.5),),
}
_FEWEST = 2
_SCATTERS = 6.0


def judge(role: str, measurements: Mapping[str, float], previous: Iterable[MasterRecord]) -> str:
    """Return why a master must not be used, seen beside the previous ones; '' when it may.

    Parameters
    ----------
    previous
        Masters of the same role and set-up that were good when they were made; with fewer than
        two there is nothing to compare with.
    """
    good = [m for m in previous if m.state in (MasterState.CURRENT, MasterState.SUPERSEDED)]
    for check in _CHECKS.get(role, ()):
        value = measurements.get(check.name)
        known = [x for m in good if (x := m.measurements.get(check.name)) is not None]
        known = [x for x in known if isfinite(x)]
        if value is None or len(known) < _FEWEST:
            continue
        verdict = _compare(check, value, known)
        if verdict:
            return verdict
    return ""


def _compare(check: _Check, value: float, known: Sequence[float]) -> str:
    middle = median(known)
    scatter = 1.4826 * median(abs(x - middle) for x in known)
    tolerance = max(check.absolute, check.relative * abs(middle), _SCATTERS * scatter)
    excess = value - middle if check.only_above else abs(value - middle)
    if isfinite(value) and excess <= tolerance:
        return ""
    name = check.name.replace("_", " ")
    return f"{name} is {value:.4g}; the previous {len(known)} had {middle:.4g} +- {tolerance:.2g}"

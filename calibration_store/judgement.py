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
    from reducers.identity import Setup


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
    "SKY_FLAT": (_Check(name="left_out", relative=0.0, absolute=3.0, only_above=True),),
    "ARC": (_Check(name="rms_px", relative=2.0, absolute=0.1, only_above=True),),
    # Thin cloud and a narrow slit lose light honestly; an order of magnitude is the wrong star.
    "RESPONSE": (_Check(name="peak_ab_zero_point", relative=0.0, absolute=2.5),),
}
_FEWEST = 2
_SCATTERS = 6.0
#: Largest difference in shape between responses, mag: 10 %.
_SHAPE_MAG = 0.11
#: Further below the peak (mag) the shape is that of a filter's edge, and of the seeing.
_SHAPE_DEPTH_MAG = 2.5
_SHAPE = "zero_point_"
#: So many of the latest responses are looked at.
_RUNNING = 15


def judge(role: str, measurements: Mapping[str, float], previous: Iterable[MasterRecord]) -> str:
    """Return why a master must not be used, seen beside the previous ones; '' when it may.

    Parameters
    ----------
    previous
        Masters of the same role and set-up that were good when they were made; with fewer than
        two there is nothing to compare with.
    """
    previous = list(previous)
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
    return _shape_verdict(measurements, previous) if role == "RESPONSE" else ""


def comparable(role: str, setup: Setup, master: MasterRecord) -> bool:
    """Tell whether a master is of the history that a new one is held against."""
    own = master.setup
    if role == "RESPONSE":
        return (own.grism, own.slit, own.filter) == (setup.grism, setup.slit, setup.filter)
    return own == setup


def _shape_verdict(measurements: Mapping[str, float], previous: Sequence[MasterRecord]) -> str:
    """Return why the shape of a response is not believed; '' when it is.

    Two earlier ones that were refused for the same shape show that the instrument has changed.
    """
    latest = sorted(previous, key=lambda m: m.observed_at)
    good = [m for m in latest if m.state in (MasterState.CURRENT, MasterState.SUPERSEDED)]
    good = good[-_RUNNING:]
    off, at = _shape_difference(measurements, [m.measurements for m in good])
    if off <= _SHAPE_MAG:
        return ""
    refused = [m for m in latest if m.state is MasterState.REJECTED][-_RUNNING:]
    alike = [
        m for m in refused if _shape_difference(measurements, [m.measurements] * 2)[0] <= _SHAPE_MAG
    ]
    if len(alike) >= _FEWEST:
        return ""
    percent = 100 * (10 ** (0.4 * off) - 1)
    return (
        f"the shape of the response differs by {percent:.0f} % at {at} A from the previous "
        f"{len(good)} (limit 10 %): another star, cloud, or light lost at the slit"
    )


def _shape_difference(
    own: Mapping[str, float], others: Sequence[Mapping[str, float]]
) -> tuple[float, int]:
    """Return the largest difference (mag) from the running median, grey shift aside, and where."""
    names = [n for n in own if n.startswith(_SHAPE) and isfinite(own[n])]
    if len(others) < _FEWEST or not names:
        return 0.0, 0
    peak = max(own[name] for name in names)
    off = {}
    for name in names:
        known = [x for m in others if isfinite(x := m.get(name, float("nan")))]
        if len(known) >= _FEWEST and own[name] > peak - _SHAPE_DEPTH_MAG:
            off[int(name.removeprefix(_SHAPE))] = own[name] - median(known)
    if len(off) < 4:
        return 0.0, 0
    grey = median(off.values())
    at = max(off, key=lambda wavelength: abs(off[wavelength] - grey))
    return abs(off[at] - grey), at


def _compare(check: _Check, value: float, known: Sequence[float]) -> str:
    middle = median(known)
    scatter = 1.4826 * median(abs(x - middle) for x in known)
    tolerance = max(check.absolute, check.relative * abs(middle), _SCATTERS * scatter)
    excess = value - middle if check.only_above else abs(value - middle)
    if isfinite(value) and excess <= tolerance:
        return ""
    name = check.name.replace("_", " ")
    return f"{name} is {value:.4g}; the previous {len(known)} had {middle:.4g} +- {tolerance:.2g}"

"""Which master fits a frame.

Pure functions on records: no database, no clock. Whatever is decided comes with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration_store.ladders import LADDERS, apart_h, slit_unmoved
from calibration_store.records import MasterRecord, MasterState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reducers.identity import Identity, Setup
    from reducers.instrument import SetRule

#: What a master must share with the frame it serves. The wavelength solution lives in unbinned
#: detector pixels and the response per Angstrom, so these two survive another binning.
HARD_KEYS: dict[str, tuple[str, ...]] = {
    "BIAS": ("detector",),
    "FLAT": ("detector", "grism", "slit"),
    "ARC": ("grism", "dispersion_axis"),
    "RESPONSE": ("grism",),
    "ILLUMINATION": ("detector", "grism", "slit"),
    "DARK": ("detector",),
    "SKY_FLAT": ("x_binning", "y_binning", "filter"),
    "FRINGE": ("x_binning", "y_binning", "filter"),
    "STAR_FLAT": ("x_binning", "y_binning", "filter"),
}
#: Masters of which any window serves that holds the frame's: what they need is cut out.
CUT_OUT = frozenset({"SKY_FLAT", "FRINGE", "STAR_FLAT"})
#: So many responses of other nights make a median.
MOST_RESPONSES = 5
_DETECTOR = ("x_binning", "y_binning", "window", "readout")
_NAMES = {
    "x_binning": "x binning",
    "y_binning": "y binning",
    "dispersion_axis": "dispersion along",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The master chosen for one role, and why every other one was not.

    Attributes
    ----------
    age_h
        Hours between master and frame, whichever came first; None when nothing fits.
    borrowed
        Not of the frame's own night: a better one may still come.
    companions
        Responses as good as a borrowed one, nearest first: their median is used.
    other_slit
        Taken through another slit than the frame.
    refused
        The night has calibrations of this role, but what was made of them may not be used.
    """

    role: str
    master: MasterRecord | None
    rung: str
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()
    age_h: float | None = None
    borrowed: bool = False
    companions: tuple[MasterRecord, ...] = ()
    other_slit: bool = False
    refused: bool = False


def choose(
    role: str,
    identity: Identity,
    night: str,
    candidates: Iterable[MasterRecord],
    rule: SetRule,
) -> Selection:
    """Choose the master of one role for one frame: hard keys, age limit, ladder, nearest in time.

    The answer does not depend on the order of the candidates.

    Parameters
    ----------
    night
        Observing night of the frame.
    candidates
        Masters of this role and instrument, in whatever state.
    """
    rejected: list[tuple[str, str]] = []
    fitting: list[MasterRecord] = []
    for master in sorted(candidates, key=lambda item: item.key):
        why_not = _why_not(role, identity, master, rule)
        if why_not:
            rejected.append((master.key, why_not))
        else:
            fitting.append(master)
    if not fitting:
        # The same words whatever else there is by now: they enter the files of the product.
        reason = "there is no master that fits"
        return Selection(role=role, master=None, rung="none", reason=reason, rejected=(*rejected,))
    number, rung, best = _best(role, identity, night, fitting, rule)
    for master in fitting:
        if master is not best:
            rejected.append((master.key, _why_worse(role, identity, night, master, best, number)))
    age_h = apart_h(identity, best)
    companions = _companions(role, identity, night, fitting, best)
    together = f", median of {len(companions) + 1}" if companions else ""
    return Selection(
        role=role,
        master=best,
        rung=rung,
        reason=f"{rung}, {_age_text(age_h)}{together}",
        rejected=tuple(rejected),
        age_h=age_h,
        borrowed=best.night != night,
        companions=companions,
        other_slit=best.setup.slit != identity.setup.slit,
    )


def _best(
    role: str, identity: Identity, night: str, fitting: Sequence[MasterRecord], rule: SetRule
) -> tuple[int, str, MasterRecord]:
    best = min(fitting, key=lambda m: _rank(role, identity, night, m))
    number = _rank(role, identity, night, best)[0]
    name = LADDERS[role][number].name.format(days=f"{rule.within_days:g}")
    return number, name, best


def _companions(
    role: str, identity: Identity, night: str, fitting: Sequence[MasterRecord], best: MasterRecord
) -> tuple[MasterRecord, ...]:
    """Return the responses that stand beside a borrowed one, nearest first."""
    if role != "RESPONSE" or best.night == night:
        return ()
    ranked = sorted(fitting, key=lambda m: _rank(role, identity, night, m))
    rung = _rank(role, identity, night, best)[0]
    beside = [m for m in ranked if m is not best and _rank(role, identity, night, m)[0] == rung]
    return tuple(beside[: MOST_RESPONSES - 1])


def _rank(
    role: str, identity: Identity, night: str, master: MasterRecord
) -> tuple[int, float, int, str]:
    """Order masters: rung of the ladder, distance in time, newest version; the key breaks ties."""
    rungs = LADDERS[role]
    number = next(i for i, rung in enumerate(rungs) if rung.fits(identity, master, night))
    return number, round(apart_h(identity, master) or 0.0, 6), -master.version, master.key


def why_unfit(role: str, identity: Identity, master: MasterRecord) -> str:
    """Return why a master can serve no frame of this set-up, whatever its age; '' when it can."""
    if master.role != role:
        return f"a master {master.role}, not {role}"
    if master.instrument != identity.instrument:
        return f"taken with {master.instrument}, not {identity.instrument}"
    for field in _fields(HARD_KEYS[role]):
        wanted, has = getattr(identity.setup, field), getattr(master.setup, field)
        if wanted != has:
            name = _NAMES.get(field, field)
            return f"{name} {_plain(has)}, not {_plain(wanted)}"
    if role in CUT_OUT and not holds(master.setup, identity.setup):
        window, own = _plain(identity.setup.window), _plain(master.setup.window)
        return f"its window {own} does not hold {window}"
    return ""


def holds(outer: Setup, inner: Setup) -> bool:
    """Tell whether every pixel of the inner window is one of the outer one."""
    (x1, x2, y1, y2), (left, right, low, high) = inner.window, outer.window
    aligned = (x1 - left) % outer.x_binning == 0 and (y1 - low) % outer.y_binning == 0
    return aligned and left <= x1 and x2 <= right and low <= y1 and y2 <= high


def pinned(role: str, identity: Identity, master: MasterRecord, who: str) -> Selection:
    """Return the choice of a person, which no rule weighs against others."""
    age_h = apart_h(identity, master)
    reason = f"chosen by {who}, {_age_text(age_h)}"
    return Selection(role=role, master=master, rung="chosen by hand", reason=reason, age_h=age_h)


def _why_not(role: str, identity: Identity, master: MasterRecord, rule: SetRule) -> str:
    """Return why a master cannot be used at all; '' when it can."""
    if master.state is MasterState.SUPERSEDED:
        return "superseded by a later version"
    if master.state is not MasterState.CURRENT:
        return f"{master.state.value}: {master.reason}" if master.reason else master.state.value
    unfit = why_unfit(role, identity, master)
    if unfit:
        return unfit
    age_h = apart_h(identity, master)
    if age_h is not None and age_h > rule.within_days * 24:
        return f"{age_h / 24:.1f} d away, limit {rule.within_days:g} d"
    return ""


def _why_worse(
    role: str,
    identity: Identity,
    night: str,
    master: MasterRecord,
    best: MasterRecord,
    best_rung: int,
) -> str:
    number, apart, _, _ = _rank(role, identity, night, master)
    best_apart = apart_h(identity, best) or 0.0
    if number > best_rung:
        return _demerit(role, identity, night, master)
    if apart > best_apart:
        return f"{_age_text(apart)}; the chosen one is {best_apart:.1f} h away"
    return "equally near; another version was chosen"


def _demerit(role: str, identity: Identity, night: str, master: MasterRecord) -> str:
    if master.night != night:
        return f"of another night ({master.night})"
    if master.setup.slit != identity.setup.slit:
        return f"slit {_plain(master.setup.slit)}, not {_plain(identity.setup.slit)}"
    if role == "RESPONSE" and master.setup.filter != identity.setup.filter:
        return f"filter {_plain(master.setup.filter)}, not {_plain(identity.setup.filter)}"
    if role == "ARC" and not slit_unmoved(identity, master):
        return f"slit moved ({_plain(master.aperture_y_px)} px, not {identity.aperture_y_px})"
    if role in CUT_OUT:
        return f"window {_plain(master.setup.window)}, not {_plain(identity.setup.window)}"
    return "not taken on the object"


def _fields(keys: Iterable[str]) -> list[str]:
    return [field for key in keys for field in (_DETECTOR if key == "detector" else (key,))]


def _age_text(age_h: float | None) -> str:
    if age_h is None:
        return "time apart unknown"
    return f"{age_h:.1f} h away" if age_h < 48 else f"{age_h / 24:.1f} d away"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[{}:{}, {}:{}]".format(*value) if len(value) == 4 else str(value)
    return str(value) if value not in ("", None) else "none"


def could_serve(role: str, setup: Setup, master: MasterRecord) -> bool:
    """Tell whether a master shares the hard keys of its role with a set-up."""
    return share_hard_keys(role, setup, master.setup)


def share_hard_keys(role: str, one: Setup, other: Setup) -> bool:
    """Tell whether a calibration of this role in the other set-up can serve the first."""
    same = all(getattr(one, field) == getattr(other, field) for field in _fields(HARD_KEYS[role]))
    return same and (role not in CUT_OUT or holds(other, one))

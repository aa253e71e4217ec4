"""Which master fits a frame.

Pure functions on records: no database, no clock. Whatever is decided comes with its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration_store.records import MasterRecord, MasterState
from reducers.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from reducers.identity import Setup
    from reducers.instrument import SetRule

#: What a master must share with the frame it serves. The wavelength solution lives in unbinned
#: detector pixels and the response per Angstrom, so these two survive another binning.
HARD_KEYS: dict[str, tuple[str, ...]] = {
    "BIAS": ("detector",),
    "FLAT": ("detector", "grism", "slit"),
    "ARC": ("grism", "dispersion_axis"),
    "RESPONSE": ("grism",),
}
#: Slit positions on the detector repeat this well when the wheel has not moved.
SLIT_UNMOVED_PX = 0.5
SAME_POINTING_DEG = 0.02
#: So many responses of other nights make a median.
MOST_RESPONSES = 5
ON_OBJECT_WITHIN_H = 3.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    name: str
    fits: Callable[[Identity, MasterRecord, str], bool]


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
        seen = len(rejected)
        reason = f"none of {seen} masters fits" if seen else "there is no master yet"
        return Selection(role=role, master=None, rung="none", reason=reason, rejected=(*rejected,))
    number, rung, best = _best(role, identity, night, fitting, rule)
    for master in fitting:
        if master is not best:
            rejected.append((master.key, _why_worse(role, identity, night, master, best, number)))
    age_h = _apart_h(identity, best)
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
    name = _LADDERS[role][number].name.format(days=f"{rule.within_days:g}")
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
    rungs = _LADDERS[role]
    number = next(i for i, rung in enumerate(rungs) if rung.fits(identity, master, night))
    return number, round(_apart_h(identity, master) or 0.0, 6), -master.version, master.key


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
    return ""


def pinned(role: str, identity: Identity, master: MasterRecord, who: str) -> Selection:
    """Return the choice of a person, which no rule weighs against others."""
    age_h = _apart_h(identity, master)
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
    age_h = _apart_h(identity, master)
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
    best_apart = _apart_h(identity, best) or 0.0
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
    if role == "ARC" and not _slit_unmoved(identity, master):
        return f"slit moved ({_plain(master.aperture_y_px)} px, not {identity.aperture_y_px})"
    return "not taken on the object"


def _fields(keys: Iterable[str]) -> list[str]:
    return [field for key in keys for field in (_DETECTOR if key == "detector" else (key,))]


def _apart_h(identity: Identity, master: MasterRecord) -> float | None:
    if identity.observed_at is None:
        return None
    return abs(_seconds(identity.observed_at, master.observed_at)) / 3600


def _seconds(start: datetime, stop: datetime) -> float:
    return (stop - start).total_seconds()


def _age_text(age_h: float | None) -> str:
    if age_h is None:
        return "time apart unknown"
    return f"{age_h:.1f} h away" if age_h < 48 else f"{age_h / 24:.1f} d away"


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return "[{}:{}, {}:{}]".format(*value) if len(value) == 4 else str(value)
    return str(value) if value not in ("", None) else "none"


def _same_night(identity: Identity, master: MasterRecord, night: str) -> bool:
    return master.night == night


def _slit_unmoved(identity: Identity, master: MasterRecord) -> bool:
    if identity.aperture_y_px is None or master.aperture_y_px is None:
        return False
    return abs(identity.aperture_y_px - master.aperture_y_px) <= SLIT_UNMOVED_PX


def same_pointing(
    first: tuple[float | None, float | None], second: tuple[float | None, float | None]
) -> bool:
    """Tell whether two (right ascension, declination) in degrees are the same target."""
    ra_1, dec_1 = first
    ra_2, dec_2 = second
    if ra_1 is None or dec_1 is None or ra_2 is None or dec_2 is None:
        return False
    # Arcs are taken within arcminutes of the target; close to the pole right ascension is moot.
    apart_ra = abs((ra_1 - ra_2 + 180) % 360 - 180)
    return abs(dec_1 - dec_2) <= SAME_POINTING_DEG and (
        apart_ra <= SAME_POINTING_DEG or abs(dec_1) > 88
    )


def _on_object(identity: Identity, master: MasterRecord, night: str) -> bool:
    where = (master.measurements.get("ra_deg"), master.measurements.get("dec_deg"))
    near = (_apart_h(identity, master) or 0.0) <= ON_OBJECT_WITHIN_H
    return (
        near
        and _same_night(identity, master, night)
        and _unmoved(identity, master, night)
        and same_pointing(where, (identity.ra_deg, identity.dec_deg))
    )


def _same_slit(identity: Identity, master: MasterRecord, night: str) -> bool:
    return master.setup.slit == identity.setup.slit


def _same_filter(identity: Identity, master: MasterRecord, night: str) -> bool:
    return master.setup.filter == identity.setup.filter


def _anything(identity: Identity, master: MasterRecord, night: str) -> bool:
    return True


def _both(
    *conditions: Callable[[Identity, MasterRecord, str], bool],
) -> Callable[[Identity, MasterRecord, str], bool]:
    return lambda identity, master, night: all(
        condition(identity, master, night) for condition in conditions
    )


def _unmoved(identity: Identity, master: MasterRecord, night: str) -> bool:
    return _same_slit(identity, master, night) and _slit_unmoved(identity, master)


_SAME_NIGHT = _Rung(name="same night", fits=_same_night)
_WITHIN = _Rung(name="within {days} days", fits=_anything)
_LADDERS: dict[str, tuple[_Rung, ...]] = {
    "BIAS": (_SAME_NIGHT, _WITHIN),
    "FLAT": (_SAME_NIGHT, _WITHIN),
    "ARC": (
        _Rung(name="on the object, slit unmoved", fits=_on_object),
        _Rung(name="same night, slit unmoved", fits=_both(_same_night, _unmoved)),
        _Rung(name="same night, slit moved", fits=_both(_same_night, _same_slit)),
        _Rung(name="within {days} days", fits=_same_slit),
        # Grism and camera stay: another slit moves the lines along, which sky or star then tell.
        _Rung(name="same night, another slit", fits=_same_night),
        _Rung(name="within {days} days, another slit", fits=_anything),
    ),
    "RESPONSE": (
        _Rung(name="same night, same slit", fits=_both(_same_night, _same_slit, _same_filter)),
        _Rung(name="within {days} days, same slit", fits=_both(_same_slit, _same_filter)),
        _Rung(name="same night, another slit", fits=_both(_same_night, _same_filter)),
        _Rung(name="within {days} days, another slit", fits=_same_filter),
        # A blocking filter changes the response near its cut-off, and what it blocks.
        _Rung(name="same night, another filter", fits=_same_night),
        _Rung(name="within {days} days, another filter", fits=_anything),
    ),
}


def could_serve(role: str, setup: Setup, master: MasterRecord) -> bool:
    """Tell whether a master shares the hard keys of its role with a set-up."""
    return share_hard_keys(role, setup, master.setup)


def share_hard_keys(role: str, one: Setup, other: Setup) -> bool:
    """Tell whether a calibration of this role in one set-up can serve the other."""
    return all(getattr(one, field) == getattr(other, field) for field in _fields(HARD_KEYS[role]))

"""The steps by which a master of a role fits a frame, the best first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration_store.records import MasterRecord
from reducers.identity import Identity

if TYPE_CHECKING:
    from datetime import datetime

#: Slit positions on the detector repeat this well when the wheel has not moved.
SLIT_UNMOVED_PX = 0.5
SAME_POINTING_DEG = 0.02
ON_OBJECT_WITHIN_H = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of a ladder: its name, and whether a master of this night stands on it."""

    name: str
    fits: Callable[[Identity, MasterRecord, str], bool]


def apart_h(identity: Identity, master: MasterRecord) -> float | None:
    """Return the hours between a frame and a master; None where the frame tells no time."""
    if identity.observed_at is None:
        return None
    return abs(_seconds(identity.observed_at, master.observed_at)) / 3600


def _seconds(start: datetime, stop: datetime) -> float:
    return (stop - start).total_seconds()


def _same_night(identity: Identity, master: MasterRecord, night: str) -> bool:
    return master.night == night


def slit_unmoved(identity: Identity, master: MasterRecord) -> bool:
    """Tell whether the slit stood where the master saw it."""
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
    near = (apart_h(identity, master) or 0.0) <= ON_OBJECT_WITHIN_H
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


def _same_window(identity: Identity, master: MasterRecord, night: str) -> bool:
    return master.setup.window == identity.setup.window


def _anything(identity: Identity, master: MasterRecord, night: str) -> bool:
    return True


def _both(
    *conditions: Callable[[Identity, MasterRecord, str], bool],
) -> Callable[[Identity, MasterRecord, str], bool]:
    return lambda identity, master, night: all(
        condition(identity, master, night) for condition in conditions
    )


def _unmoved(identity: Identity, master: MasterRecord, night: str) -> bool:
    return _same_slit(identity, master, night) and slit_unmoved(identity, master)


_SAME_NIGHT = Rung(name="same night", fits=_same_night)
_WITHIN = Rung(name="within {days} days", fits=_anything)
#: Twilight of another night shows the same pixels; the same night's comes first all the same.
_CUT_OUT_LADDER = (
    Rung(name="same night", fits=_both(_same_night, _same_window)),
    Rung(name="same night, cut out of a larger window", fits=_same_night),
    Rung(name="within {days} days", fits=_same_window),
    Rung(name="within {days} days, cut out of a larger window", fits=_anything),
)
#: Role -> its ladder.
LADDERS: dict[str, tuple[Rung, ...]] = {
    "BIAS": (_SAME_NIGHT, _WITHIN),
    "FLAT": (_SAME_NIGHT, _WITHIN),
    "DARK": (_SAME_NIGHT, _WITHIN),
    "ILLUMINATION": (_SAME_NIGHT, _WITHIN),
    "SKY_FLAT": _CUT_OUT_LADDER,
    "FRINGE": _CUT_OUT_LADDER,
    "STAR_FLAT": _CUT_OUT_LADDER,
    "ARC": (
        Rung(name="on the object, slit unmoved", fits=_on_object),
        Rung(name="same night, slit unmoved", fits=_both(_same_night, _unmoved)),
        Rung(name="same night, slit moved", fits=_both(_same_night, _same_slit)),
        Rung(name="within {days} days", fits=_same_slit),
        # Grism and camera stay: another slit moves the lines along, which sky or star then tell.
        Rung(name="same night, another slit", fits=_same_night),
        Rung(name="within {days} days, another slit", fits=_anything),
    ),
    "RESPONSE": (
        Rung(name="same night, same slit", fits=_both(_same_night, _same_slit, _same_filter)),
        Rung(name="within {days} days, same slit", fits=_both(_same_slit, _same_filter)),
        Rung(name="same night, another slit", fits=_both(_same_night, _same_filter)),
        Rung(name="within {days} days, another slit", fits=_same_filter),
        # A blocking filter changes the response near its cut-off, and what it blocks.
        Rung(name="same night, another filter", fits=_same_night),
        Rung(name="within {days} days, another filter", fits=_anything),
    ),
}

"""From what a person typed to a request that the daemon can carry out, or a sentence why not."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from calibration_store.policy import why_unfit
from calibration_store.records import MasterState
from calibration_store.store import CalibrationStore
from daemon.memory.records import PRIORITY_SCIENCE
from daemon.publish.words import clean
from daemon.work.asked import Unusable, master_named
from daemon.work.jobs import JobQueue
from daemon.work.plan import reduce_request
from daemon.work.redo import Redo
from daemon.work.roles import NEEDS, REDUCED, product_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord


def request_of(
    archive: Archive,
    frame: FrameRecord,
    *,
    user: str,
    settings: Mapping[str, Any],
    pins: Sequence[str] = (),
    exclude: Sequence[str] = (),
    partner: str | None = None,
    recover: bool = False,
) -> Redo:
    """Return the request with every master and frame named by its content.

    Raises
    ------
    Unusable
        If a master or a partner is unknown or does not fit the frame, or a column is outside it.
    """
    _refuse_columns_outside(frame, settings)
    store = CalibrationStore(archive.engine)
    return Redo(
        user=user,
        at=archive.clock.now().isoformat(timespec="seconds"),
        settings=dict(settings),
        pins=dict(_pin(store, frame, text) for text in pins),
        exclude=tuple(_excluded(store, archive, frame, name) for name in exclude),
        partner=_partner(archive, frame, partner) if partner else "",
        recover=recover,
    )


def submit_redo(
    archive: Archive, frame: FrameRecord, redo: Redo, within: Session | None = None
) -> bool:
    """Let the daemon carry out a request before anything else.

    Returns
    -------
    bool
        False when it takes the place of an earlier one that had not begun.
    """
    request = reduce_request(
        frame, priority=PRIORITY_SCIENCE - 5, now=archive.clock.now(), redo=redo.to_json()
    )
    return JobQueue(archive.engine, archive.clock).submit(request, within=within)


def _refuse_columns_outside(frame: FrameRecord, settings: Mapping[str, Any]) -> None:
    """Refuse columns that the window does not have: nothing can be extracted there."""
    setup = frame.identity.setup
    x1, x2, y1, y2 = setup.window
    first, last = (y1, y2) if setup.dispersion_axis == "x" else (x1, x2)
    columns = (last - first + 1) // setup.slit_binning
    given = [("center", (settings.get("centroid_px"),)), ("region", settings.get("region_px"))]
    given += [("background", strip) for strip in settings.get("background_px") or ()]
    for name, values in given:
        for value in values or ():
            if value is not None and not 0 <= value <= columns - (name == "center"):
                raise Unusable(
                    f"{name} {value:g} is outside the image: {frame.stem} has columns "
                    f"0 to {columns - 1}, as its verification plot counts them"
                )


def _partner(archive: Archive, frame: FrameRecord, name: str) -> str:
    """Return the content of a nod partner, taken in the very set-up of the frame."""
    found = [item for item in archive.find_frames(name) if item.night == frame.night]
    if len(found) != 1:
        raise Unusable(f"--ab {clean(name, 60)}: there is no such frame in night {frame.night}")
    if found[0].id == frame.id:
        raise Unusable(f"--ab {clean(name, 60)}: that is the frame itself")
    if found[0].identity.kind not in REDUCED:
        raise Unusable(f"--ab {found[0].stem} is {found[0].identity.kind}, not a spectrum")
    own, other = frame.identity.setup, found[0].identity.setup
    for field in fields(own):
        has, wanted = getattr(other, field.name), getattr(own, field.name)
        if has != wanted:
            name = field.name.replace("_", " ")
            raise Unusable(f"{found[0].stem} does not fit {frame.stem}: {name} {has}, not {wanted}")
    return found[0].sha256


def _pin(store: CalibrationStore, frame: FrameRecord, text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    role = role.strip().upper()
    known = NEEDS[product_of(frame.identity)]
    if not equals or role not in known or not name.strip():
        roles = ", ".join(known)
        raise Unusable(f"--calibration '{clean(text, 60)}': write ROLE=MASTER, ROLE one of {roles}")
    master = master_named(store, name.strip(), role)
    if master is None:
        raise Unusable(_unknown(store, frame, role, name))
    unfit = why_unfit(role, frame.identity, master)
    if unfit:
        raise Unusable(f"{master.path.name} does not fit {frame.stem}: {unfit}")
    if not master.path.is_file():
        raise Unusable(f"the file of {master.path.name} is gone from {master.path.parent}")
    return role, master.key


def _excluded(store: CalibrationStore, archive: Archive, frame: FrameRecord, name: str) -> str:
    master = master_named(store, name)
    if master is not None:
        return master.key
    raw = archive.find_frames(name)
    same = [item for item in raw if item.night == frame.night] or raw
    if len(same) == 1:
        return same[0].sha256
    if same:
        nights = ", ".join(item.night for item in same)
        raise Unusable(f"--exclude {clean(name, 60)}: taken in several nights ({nights})")
    raise Unusable(f"--exclude {clean(name, 60)}: no master and no frame is called so")


def _unknown(store: CalibrationStore, frame: FrameRecord, role: str, name: str) -> str:
    fitting = [
        item.path.stem
        for item in store.everything()
        if item.state is MasterState.CURRENT and not why_unfit(role, frame.identity, item)
    ]
    offer = ", ".join(fitting[-3:]) or "none; take this calibration first"
    return f"there is no master '{clean(name, 60)}'; those that fit as {role}: {offer}"

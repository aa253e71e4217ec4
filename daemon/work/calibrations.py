"""Choose the masters for a frame, and read those that were chosen."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from calibration_store.history import standing_at
from calibration_store.policy import choose, pinned, why_unfit
from calibration_store.records import MasterState
from daemon.memory.records import Choice, JobKind, JobState
from daemon.work.bench import file_sha256
from daemon.work.outcomes import TryLater
from daemon.work.plan import is_of_tonight, master_request, pending_for
from daemon.work.redo import Redo
from daemon.work.refused_arcs import arc_was_refused
from daemon.work.roles import needs, rule_of
from reducers.detector.start import cut_out
from reducers.errors import UnreadableFile
from reducers.fits import read_raw
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.products import Provenance, read_master_frame, read_response, read_wavelengths
from reducers.reduced import Exposure, SpectrumCalibrations
from reducers.spectroscopy.response_history import median_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from calibration_store.policy import Selection
    from calibration_store.records import MasterRecord
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.identity import Setup
    from reducers.instrument import Instrument
    from reducers.spectroscopy.response import Response

log = logging.getLogger(__name__)

Read = TypeVar("Read")

_LOOK_AGAIN_S = 0.5
_MANY = 10_000


def select_masters(
    bench: Bench,
    frame: FrameRecord,
    product: str,
    how: Redo | None = None,
    *,
    at: datetime | None = None,
) -> tuple[Selection, ...]:
    """Choose a master for every role that `product` ('FLAT', ..., 'SPECTRUM') needs.

    What a person has chosen or left out in `how` comes before the rules.

    Parameters
    ----------
    at
        Choose among the masters that stood then; by default among those of now.
    """
    how = how or Redo()
    instrument = bench.instrument(frame.identity.instrument)
    wanted = needs(product, frame.identity.setup, instrument)
    found: dict[str, Selection] = {}
    for role in wanted:
        found[role] = _select(bench, frame, role, how, at, found.get("SKY_FLAT"))
    return tuple(found.values())


def _select(
    bench: Bench,
    frame: FrameRecord,
    role: str,
    how: Redo,
    at: datetime | None,
    flat: Selection | None,
) -> Selection:
    instrument = bench.instrument(frame.identity.instrument)
    wanted = bench.store.get(how.pins[role]) if role in how.pins else None
    if wanted is not None and not why_unfit(role, frame.identity, wanted):
        return pinned(role, frame.identity, wanted, how.user)
    candidates = [
        replace(master, state=MasterState.BANNED, reason=f"left out by {how.user}")
        if not {master.key, *(sha256 for sha256, _ in master.inputs)}.isdisjoint(how.exclude)
        else master
        for master in _candidates(bench, role, instrument, frame.night, at)
        if role != "STAR_FLAT" or corrects(master, flat)
    ]
    for pin in bench.pins.of(role, frame.night):
        liked = next((each for each in candidates if each.key == pin.master_key), None)
        if liked is not None and _may_serve(role, frame, liked):
            return pinned(role, frame.identity, liked, pin.user)
    rule = rule_of(role, instrument)
    found = choose(role, frame.identity, frame.night, candidates, rule)
    lacking = role == "ARC" and (found.master is None or found.borrowed)
    if lacking and arc_was_refused(bench, frame):
        return replace(found, refused=True, reason=f"{found.reason}; the night's own was refused")
    return found


def corrects(star_flat: MasterRecord, flat: Selection | None) -> bool:
    """Tell whether a star flat was made of images with this very sky flat: it corrects no other."""
    chosen = flat.master if flat is not None else None
    return chosen is not None and ("SKY_FLAT", chosen.key) in star_flat.parents


def wants_it_at_once(bench: Bench, frame: FrameRecord) -> bool:
    """Tell whether somebody waits for a product with whatever masters there are."""
    instrument = bench.instrument(frame.identity.instrument)
    tonight = is_of_tonight(frame, instrument, bench.clock.now())
    return bench.config.calibration.provisional and tonight


def wait_for_masters(bench: Bench, product: str) -> None:
    """Let the job wait while masters that it may use are due or being built.

    Raises
    ------
    TryLater
        If there are any.
    """
    counts = bench.queue.counts()
    states = (JobState.RUNNING, JobState.WAITING)
    if not any(counts.get((JobKind.MASTER, state)) for state in states):
        return
    jobs = [job for state in states for job in bench.queue.jobs(state, _MANY)]
    # A master that looks again in a moment is as good as due.
    soon = bench.clock.now() + timedelta(seconds=2 * _LOOK_AGAIN_S)
    pending = pending_for(product, jobs, soon)
    if pending:
        raise TryLater(f"waits for {pending[0]}", after_s=_LOOK_AGAIN_S)


def read_calibrations(bench: Bench, selections: Sequence[Selection]) -> SpectrumCalibrations:
    """Read the chosen masters, and note how old they are.

    Raises
    ------
    TryLater
        If the file of a master is gone or damaged; it is built anew.
    """
    chosen, facts = chosen_masters(bench, selections)
    wavelengths = None
    for item in selections:
        if item.refused:
            # Half as bad where an arc of another night stands in.
            facts["arc_gate_failed"] = 0.5 if item.master is not None else 1.0
        if item.role == "ARC" and item.master is not None:
            wavelengths = read_one(bench, item.master, read_wavelengths)
            facts["arc_other_slit"] = float(item.other_slit)
    bias, flat, response = chosen.get("BIAS"), chosen.get("FLAT"), chosen.get("RESPONSE")
    twilight, dark = chosen.get("ILLUMINATION"), chosen.get("DARK")
    return SpectrumCalibrations(
        illumination=read_one(bench, twilight, read_master_frame) if twilight else None,
        bias=read_one(bench, bias, read_master_frame) if bias else None,
        dark=read_one(bench, dark, read_master_frame) if dark else None,
        flat=read_one(bench, flat, read_master_frame) if flat else None,
        wavelengths=wavelengths,
        response=(
            read_one(bench, response, lambda _: read_responses(selections)) if response else None
        ),
        facts=facts,
    )


def read_image_calibrations(
    bench: Bench, selections: Sequence[Selection], setup: Setup
) -> ImageCalibrations:
    """Read the masters chosen for an image of this set-up, and note how old they are.

    Those of a larger window are cut to the image's.

    Raises
    ------
    TryLater
        If the file of a master is gone or damaged; it is built anew.
    """
    chosen, facts = chosen_masters(bench, selections)
    planes = {
        role: cut_out(read_one(bench, master, read_master_frame), setup)
        for role, master in chosen.items()
    }
    renamed = {
        name.replace("sky_flat_", "flat_", 1) if name.startswith("sky_flat_") else name: value
        for name, value in facts.items()
    }
    return ImageCalibrations(
        bias=planes.get("BIAS"),
        dark=planes.get("DARK"),
        flat=planes.get("SKY_FLAT"),
        star_flat=planes.get("STAR_FLAT"),
        fringe=planes.get("FRINGE"),
        facts=renamed,
    )


def chosen_masters(
    bench: Bench, selections: Sequence[Selection]
) -> tuple[dict[str, MasterRecord], dict[str, float]]:
    """Return the chosen master of each role, and how old they are with what they measured.

    Raises
    ------
    TryLater
        If the file of one is gone; it is built anew.
    """
    chosen = {item.role: item.master for item in selections if item.master is not None}
    for master in chosen.values():
        if not master.path.is_file():
            raise _lost(bench, master)
    facts = {
        f"{item.role.lower()}_age_h": item.age_h for item in selections if item.age_h is not None
    }
    for role, master in chosen.items():
        facts |= {f"{role.lower()}_{name}": value for name, value in master.measurements.items()}
    return chosen, facts


def read_one(bench: Bench, master: MasterRecord, reader: Callable[[Path], Read]) -> Read:
    """Read a master; one that is damaged is built anew, one of another version left out."""
    try:
        return reader(master.path)
    except UnreadableFile as unreadable:
        if file_sha256(master.path) != master.sha256:
            raise _lost(bench, master) from unreadable
        log.warning("master %s is left out: %s", master.path, unreadable)
        bench.store.set_state(master.key, MasterState.REJECTED, str(unreadable))
        raise TryLater(f"{master.path.name} is left out", after_s=_LOOK_AGAIN_S) from unreadable


def read_responses(selections: Sequence[Selection]) -> Response | None:
    """Return the response; the median when it is borrowed and others are as good."""
    for item in selections:
        if item.role == "RESPONSE" and item.master is not None:
            beside = [master.path for master in item.companions if master.path.is_file()]
            return median_response([read_response(path) for path in (item.master.path, *beside)])
    return None


def read_exposure(bench: Bench, frame: FrameRecord) -> Exposure:
    """Read the pixels of a recorded frame, from any path where its content still lies.

    Raises
    ------
    UnreadableFile
        If the raw file is gone.
    """
    detector = bench.instrument(frame.identity.instrument).detector
    for path in (frame.path, *bench.archive.copies(frame.sha256)):
        if path.is_file():
            return Exposure(raw=read_raw(path, detector), identity=frame.identity, stem=frame.stem)
    raise UnreadableFile(f"the raw file {frame.path.name} is no longer there")


def partner_of(bench: Bench, how: Redo) -> FrameRecord | None:
    """Return the exposure that a person wants subtracted; None when nobody does.

    Raises
    ------
    UnreadableFile
        If it is not known any more.
    """
    if not how.partner:
        return None
    found = bench.archive.frame_of_content(how.partner)
    if found is None:
        raise UnreadableFile(f"the partner {how.partner[:12]} is not in the archive")
    return found


def choices_of(selections: Iterable[Selection]) -> tuple[Choice, ...]:
    """Return selections as the archive records them."""
    return tuple(
        Choice(
            role=item.role,
            master_key=item.master.key if item.master else "",
            rung=item.rung,
            reason=item.reason,
            rejected=item.rejected,
        )
        for item in selections
    )


def provenance_of(
    frames: Iterable[FrameRecord], selections: Iterable[Selection]
) -> tuple[Provenance, ...]:
    """Return what goes into a product: raw frames first, then masters."""
    raw = [Provenance(file=frame.path.name, sha256=frame.sha256, role="RAW") for frame in frames]
    masters = [
        Provenance(
            file=master.path.name,
            sha256=master.sha256,
            role=item.role,
            reason=item.reason,
            age_h=math.nan if item.age_h is None else item.age_h,
        )
        for item in selections
        for master in ((item.master, *item.companions) if item.master is not None else ())
    ]
    return (*raw, *masters)


def _may_serve(role: str, frame: FrameRecord, master: MasterRecord) -> bool:
    """Tell whether a wanted master stands and fits the set-up; its age does not matter."""
    stands = master.state is MasterState.CURRENT
    return stands and not why_unfit(role, frame.identity, master) and master.path.is_file()


def _candidates(
    bench: Bench, role: str, instrument: Instrument, night: str, at: datetime | None
) -> list[MasterRecord]:
    """Return the usable masters, and those of the night that were refused, for the record."""
    if at is not None:
        every = [
            master
            for master in bench.store.everything()
            if master.role == role and master.instrument == instrument.name
        ]
        return standing_at(every, at)
    refused = [
        master
        for master in bench.store.of_night(night)
        if master.role == role
        and master.instrument == instrument.name
        and master.state in (MasterState.REJECTED, MasterState.BANNED)
    ]
    return [*bench.store.candidates(role, instrument.name), *refused]


def _lost(bench: Bench, master: MasterRecord) -> TryLater:
    log.warning("master %s is gone or damaged; it is built anew", master.path)
    bench.store.set_state(master.key, MasterState.REJECTED, "its file is gone or damaged")
    for sha256, _ in master.inputs[:1]:
        member = bench.archive.frame_of_content(sha256)
        if member is not None:
            instrument = bench.instrument(master.instrument)
            request = master_request(master.role, member, instrument, bench.clock.now())
            bench.queue.submit(replace(request, payload={**request.payload, "redo": True}))
    return TryLater(f"{master.path.name} is built anew", after_s=_LOOK_AGAIN_S)

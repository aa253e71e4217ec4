"""The task that builds every master of one calibration set."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from calibration_store.judgement import comparable, judge
from calibration_store.policy import could_serve
from calibration_store.records import MasterRecord, MasterState
from calibration_store.sets import is_complete
from daemon.layout import slug, write_fits_atomically
from daemon.memory.database import writing
from daemon.publish.evidence import Evidence
from daemon.publish.failure_page import Failure
from daemon.work.bench import digest_of, file_sha256
from daemon.work.calibrations import provenance_of, read_exposure
from daemon.work.master_recipes import applied, given_for, label_of, run_recipe, where_taken
from daemon.work.pictures import SAFE_MODE_ATTEMPT, notes_of, remove_picture, save_picture
from daemon.work.plan import after_master, groups_of, members_of
from daemon.work.refused_arcs import spectra_look_again
from daemon.work.roles import KIND_OF, MEASURED, NEEDS, rule_of
from daemon.work.selecting import select_masters, wait_for_masters
from daemon.work.star_flats import with_magnitudes
from reducers.errors import ReductionError, UnreadableFile
from reducers.imaging.star_flat import StarFlatMaterial
from reducers.products import master_hdus, read_response
from reducers.recipes import RECIPE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from calibration_store.policy import Selection
    from daemon.memory.records import FrameRecord, Job
    from daemon.publish.page import Picture
    from daemon.work.bench import Bench
    from reducers.instrument import Instrument
    from reducers.reduced import Built, Exposure
    from reducers.spectroscopy.response import Response

    DrawMaster = Callable[[Evidence | Failure], Picture]

log = logging.getLogger(__name__)

#: What a master waits for without being called a failure.
_INDISPENSABLE = {"RESPONSE": "ARC", "ILLUMINATION": "FLAT", "STAR_FLAT": "SKY_FLAT"}
#: Most nights do not give them: images then say that none was applied.
_BY_CHANCE = frozenset({"FRINGE", "STAR_FLAT"})
#: Earlier responses drawn beside a new one.
_COMPARED = 5


def build_master(bench: Bench, job: Job, draw: DrawMaster | None = None) -> None:
    """Build what a set is still missing; do nothing when every master of it is current.

    Parameters
    ----------
    draw
        Draws the picture of a master; without it there is none.

    Raises
    ------
    TryLater
        If masters that are to be applied here are being built.
    ReductionError
        If a group of the set cannot be built; the other groups are built all the same.
    """
    role, night = str(job.payload["role"]), str(job.payload["night"])
    key = str(job.payload["set_key"])
    instrument = bench.instrument(str(job.payload["instrument"]))
    frames = bench.archive.current_frames(KIND_OF[role], night, instrument.name)
    members = members_of(role, key, frames, instrument)
    state = is_complete(
        [item.identity for item in members], rule_of(role, instrument), quiet_s=float("inf")
    )
    if not state.complete:
        log.info("%s is not built: %s", job.key, state.reason)
        _retire_outdated(bench, role, key, night, instrument, members)
        return
    wait_for_masters(bench, role)
    draw = draw if job.attempts < SAFE_MODE_ATTEMPT else None
    failed: list[ReductionError] = []
    for group in groups_of(role, members):
        try:
            _build_group(bench, role, key, group, draw, redo=bool(job.payload.get("redo")))
        except ReductionError as error:
            failed.append(error)
    _retire_outdated(bench, role, key, night, instrument, members)
    if failed:
        if role == "ARC":
            with writing(bench.engine) as session:
                spectra_look_again(bench, members[0], session)
        raise failed[0]


def _retire_outdated(
    bench: Bench,
    role: str,
    key: str,
    night: str,
    instrument: Instrument,
    members: Sequence[FrameRecord],
) -> None:
    """Use no master any more that holds a content which has left its set; remake what did."""
    contents = {member.sha256 for member in members}
    with writing(bench.engine) as session:
        for master in bench.store.of_night(night, within=session):
            own = master.role == role and master.instrument == instrument.name
            left = [stem for sha256, stem in master.inputs if sha256 not in contents]
            own = own and master.set_key.partition("#")[0] == key
            if not own or not left or master.state is not MasterState.CURRENT:
                continue
            reason = f"{left[0]} is no longer in its set"
            bench.store.set_state(master.key, MasterState.SUPERSEDED, reason, session)
            served = _served_by(bench, master, session)
            bench.submit(after_master(role, served, instrument, bench.clock.now()), session)


def _build_group(
    bench: Bench,
    role: str,
    key: str,
    group: Sequence[FrameRecord],
    draw: DrawMaster | None,
    *,
    redo: bool,
) -> None:
    first = group[0]
    instrument = bench.instrument(first.identity.instrument)
    selections = select_masters(bench, first, role)
    lacking = _INDISPENSABLE.get(role)
    if lacking and not any(item.role == lacking and item.master for item in selections):
        log.info("no %s from %s yet: there is no %s", role, first.stem, lacking)
        return
    if role == "STAR_FLAT":
        group = with_magnitudes(bench, group, selections)
        if not group:
            return
        first = group[0]
    master_key = _master_key(bench, role, group, selections, instrument)
    known = bench.store.get(master_key)
    if known is not None and known.path.is_file() and not redo:
        return
    # A star flat is made of tables: one image is enough to tell what they belong to.
    read = group[:1] if role == "STAR_FLAT" else group
    exposures = tuple(read_exposure(bench, frame) for frame in read)
    given = given_for(role, bench, selections, group)
    plots = bench.layout.plots(first.night)
    of_failure = plots / f"failed_{role.lower()}_{slug(first.stem)}.png"
    try:
        built = run_recipe(role, exposures, given, instrument)
    except ReductionError as error:
        if role in _BY_CHANCE:
            log.info("no %s from %s: %s", role, first.stem, error)
            return
        if draw is not None:
            failure = _failure(role, exposures, instrument, error, selections)
            save_picture(of_failure, partial(draw, failure))
        raise
    remove_picture(of_failure)
    # A set of several masters (arcs, standards) is one set per master to the store.
    own_set = f"{key}#{first.stem}" if role in ("ARC", "RESPONSE") else key
    versions = bench.store.versions(own_set, first.night, role)
    version = known.version if known else 1 + max((m.version for m in versions), default=0)
    path = bench.layout.master(first.night, role, label_of(role, first, master_key))
    write_fits_atomically(path, master_hdus(built, provenance_of(group, selections)))
    earlier = _previous(bench, role, first)
    verdict = built.verdict or judge(role, built.measurements, earlier)
    if draw is not None:
        case = Evidence(
            built=built,
            exposures=exposures,
            given=applied(given),
            stars=given if isinstance(given, StarFlatMaterial) else None,
            instrument=instrument,
            verdict=verdict,
            notes=tuple(notes_of(selections)),
            previous=_responses(earlier) if role == "RESPONSE" else (),
        )
        save_picture(plots / f"{path.stem}.png", partial(draw, case))
    record = _record(
        role,
        group,
        selections,
        built,
        verdict,
        path,
        key=master_key,
        set_key=own_set,
        version=version,
        built_at=bench.clock.now(),
    )
    _remember(bench, record, group, instrument)


def _failure(
    role: str,
    exposures: tuple[Exposure, ...],
    instrument: Instrument,
    error: ReductionError,
    selections: Sequence[Selection],
) -> Failure:
    return Failure(
        role=role,
        exposures=exposures,
        instrument=instrument,
        reason=str(error),
        notes=tuple(notes_of(selections)),
    )


def _master_key(
    bench: Bench,
    role: str,
    group: Sequence[FrameRecord],
    selections: Sequence[Selection],
    instrument: Instrument,
) -> str:
    return digest_of(
        role,
        sorted(frame.sha256 for frame in group),
        RECIPE_VERSION,
        {item.role: item.master.key if item.master else "" for item in selections},
        instrument.digest,
    )


def _record(
    role: str,
    group: Sequence[FrameRecord],
    selections: Sequence[Selection],
    built: Built,
    verdict: str,
    path: Path,
    *,
    key: str,
    set_key: str,
    version: int,
    built_at: datetime,
) -> MasterRecord:
    first = group[0]
    return MasterRecord(
        key=key,
        instrument=first.identity.instrument,
        role=role,
        setup=first.identity.setup,
        set_key=set_key,
        night=first.night,
        observed_at=_middle(group),
        built_at=built_at,
        path=path,
        state=MasterState.REJECTED if verdict else MasterState.CURRENT,
        version=version,
        inputs=tuple((frame.sha256, frame.stem) for frame in group),
        parents=tuple((item.role, item.master.key) for item in selections if item.master),
        measurements={**built.measurements, **where_taken(first)},
        reason=verdict,
        aperture_y_px=first.identity.aperture_y_px,
        sha256=file_sha256(path),
    )


def _remember(
    bench: Bench, record: MasterRecord, group: Sequence[FrameRecord], instrument: Instrument
) -> None:
    """Record the master and what follows from it in one transaction."""
    with writing(bench.engine) as session:
        stored = bench.store.add(record, within=session)
        if stored.state is not MasterState.CURRENT:
            log.warning("master %s is not used: %s", record.path.name, stored.reason)
            if record.role == "ARC":
                spectra_look_again(bench, group[0], session)
            if record.role != "STAR_FLAT":
                return
            # More stars show that there is nothing to correct: what fewer showed is given up.
        _retire_overlapping(bench, stored, group, session)
        served = _served_by(bench, stored, session)
        bench.submit(after_master(record.role, served, instrument, bench.clock.now()), session)


def _retire_overlapping(
    bench: Bench, stored: MasterRecord, group: Sequence[FrameRecord], session: Session
) -> None:
    """Supersede masters that hold frames of this one: a late frame has joined their group."""
    for frame in group:
        for other in bench.store.built_from(frame.sha256, within=session):
            if other.role == stored.role and other.key != stored.key:
                bench.store.set_state(
                    other.key, MasterState.SUPERSEDED, "its frames are in a later master", session
                )


def _served_by(bench: Bench, master: MasterRecord, session: Session) -> list[FrameRecord]:
    """Return the frames of its night, and those of other nights that still lack something."""
    instrument = bench.instrument(master.instrument)
    reach = timedelta(days=rule_of(master.role, instrument).within_days)
    taken = (master.observed_at - reach, master.observed_at + reach)
    kinds = MEASURED | {kind for own, kind in KIND_OF.items() if master.role in NEEDS[own]}
    near = [
        frame
        for kind in sorted(kinds)
        for frame in bench.archive.current_frames(
            kind, None, instrument.name, within=session, taken=taken
        )
        if abs((frame.identity.observed_at or frame.arrived_at) - master.observed_at) <= reach
        and could_serve(master.role, frame.identity.setup, master)
    ]
    elsewhere = [frame.id for frame in near if frame.night != master.night]
    final = bench.archive.final_among(elsewhere, session)
    return [frame for frame in near if frame.night == master.night or frame.id not in final]


def _previous(bench: Bench, role: str, frame: FrameRecord) -> list[MasterRecord]:
    """Return the masters of other sets that a new one is held against, refused ones too."""
    return [
        master
        for master in bench.store.history(role, frame.identity.instrument)
        if comparable(role, frame.identity.setup, master)
        and frame.sha256 not in {sha256 for sha256, _ in master.inputs}
    ]


def _responses(masters: Sequence[MasterRecord]) -> tuple[Response, ...]:
    """Read the latest few of earlier responses, for comparison only."""
    latest = sorted(masters, key=lambda master: master.observed_at)[-_COMPARED:]
    found = []
    for master in latest:
        try:
            found.append(read_response(master.path))
        except (OSError, KeyError, UnreadableFile) as error:
            log.warning("%s is not compared with: %s", master.path.name, error)
    return tuple(found)


def _middle(group: Sequence[FrameRecord]) -> datetime:
    times = [frame.identity.observed_at or frame.arrived_at for frame in group]
    first, last = min(times), max(times)
    return first + (last - first) / 2

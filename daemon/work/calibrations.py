"""Read the masters that were chosen, and the frames they are for."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from calibration_store.records import MasterState
from daemon.work.bench import file_sha256
from daemon.work.outcomes import TryLater
from daemon.work.plan import master_request
from reducers.detector.start import cut_out
from reducers.errors import UnreadableFile
from reducers.fits import read_raw
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.products import Provenance, read_master_frame, read_response, read_wavelengths
from reducers.reduced import Exposure, SpectrumCalibrations
from reducers.spectroscopy.response_history import median_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from calibration_store.policy import Selection
    from calibration_store.records import MasterRecord
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from daemon.work.redo import Redo
    from reducers.identity import Setup
    from reducers.spectroscopy.response import Response

log = logging.getLogger(__name__)

Read = TypeVar("Read")

_LOOK_AGAIN_S = 0.5


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

"""The INGEST task: open one file, say what it is, and record it with everything that follows.

Raw files are opened read-only. Whatever is wrong with a file becomes its recorded reason.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from calibration_store.sets import set_key
from calibration_store.transactions import writing
from daemon.arrival.reconcile import mend_permission
from daemon.clock import Clock, observing_night
from daemon.memory.archive import Archive
from daemon.memory.records import FileRecord, FileState, FrameRecord
from reducers.errors import AbsurdHeader, IncompleteFile, NotRaw, UnknownInstrument, UnreadableFile
from reducers.fits import check_structure, read_header
from reducers.identify import identify
from reducers.identity import Identity
from reducers.instrument import Instrument
from reducers.profiles import recognise

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from daemon.arrival.sighting import Sighting

    #: Submits, within the transaction of the frame, what its arrival asks for.
    FollowUp = Callable[[FrameRecord, Instrument, Session], None]

log = logging.getLogger(__name__)

_BLOCK = 1 << 20
_FITS_BLOCK = 2880
#: No detector gives so large a part of a frame as zeros: its room was allocated, not written.
_UNWRITTEN = 0.125
_LOOK_AGAIN_S = (2.0, 30.0)
_MENDED_AFTER_S = 30.0


class _Changed(Exception):
    """The file is not what was sighted; its new look is another sighting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """What taking in a file needs.

    Attributes
    ----------
    profiles
        Names of the instruments whose frames are wanted.
    hold_limit_s
        A file that has stayed incomplete and unchanged for so long is given up.
    lenient
        Try what was quarantined again, take files of any size, and those that end in zeros.
    """

    engine: Engine
    archive: Archive
    clock: Clock
    profiles: Sequence[str]
    follow_up: FollowUp
    size_limit_bytes: int
    hold_limit_s: float
    lenient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a file stands now.

    Attributes
    ----------
    again_in_s
        The job must try again after so long; None when it is done.
    frame
        The exposure, when the file is one.
    """

    state: FileState
    reason: str
    again_in_s: float | None = None
    frame: FrameRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    sha256: str
    instrument: Instrument
    identity: Identity


def ingest(sighting: Sighting, seen_at: datetime, reception: Reception) -> Outcome:
    """Take in one file, and record how it ended.

    Parameters
    ----------
    seen_at
        When the file was first sighted at this size and time of change.
    """
    known = reception.archive.file_at(sighting.path)
    if known is not None and (known.size, known.mtime_ns) == sighting.stamp:
        retried = reception.lenient and known.state is FileState.QUARANTINED
        if known.state not in (FileState.HELD, FileState.MISSING) and not retried:
            return Outcome(state=known.state, reason=known.reason)
    elif known is not None and _is_stale(sighting):
        return Outcome(state=known.state, reason="changed since; sighted anew")
    waited_s = (reception.clock.now() - seen_at).total_seconds()
    try:
        content = _read(sighting, reception)
    except _Changed:
        return Outcome(state=FileState.HELD, reason="changed since; sighted anew")
    except (UnreadableFile, UnknownInstrument, OSError) as error:
        outcome = _judge(error, sighting, waited_s, reception.hold_limit_s)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        # No header may stop the night; what a reader did not foresee is still a named reason.
        log.exception("file=%s has an unforeseen header", sighting.path)
        outcome = Outcome(
            state=FileState.QUARANTINED, reason=f"unreadable: {type(error).__name__}: {error}"
        )
    else:
        return _record(sighting, content, seen_at, reception)
    _record_file(sighting, outcome, reception)
    return outcome


def stem_of(path: Path) -> str:
    """Return the name of a raw file without its file type."""
    name = path.name
    for ending in (".gz", ".fz", ".fits", ".fit", ".fts"):
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def _read(sighting: Sighting, reception: Reception) -> _Content:
    path = sighting.path
    limit = sys.maxsize if reception.lenient else reception.size_limit_bytes
    _check_file(sighting, limit)
    structure = check_structure(path, size_limit_bytes=limit)
    header = read_header(path)
    instrument = recognise(header, tuple(reception.profiles))
    _check_count(header.get("NEXTEND"), structure.hdus)
    identity = identify(header, instrument)
    sha256, zeros = _hash(path)
    if _stamp(path) != sighting.stamp:
        raise _Changed
    if zeros >= max(_FITS_BLOCK, sighting.size * _UNWRITTEN) and not reception.lenient:
        raise IncompleteFile(f"of which the last {zeros} are zeros: room without pixels yet")
    return _Content(sha256=sha256, instrument=instrument, identity=identity)


def _check_file(sighting: Sighting, size_limit_bytes: int) -> None:
    """Judge what needs no knowledge of FITS; opens nothing that could block."""
    status = sighting.path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile("not a regular file")
    if (status.st_size, status.st_mtime_ns) != sighting.stamp:
        raise _Changed
    if status.st_size == 0:
        raise IncompleteFile("nothing is written yet")
    if status.st_size > size_limit_bytes:
        raise AbsurdHeader(
            f"{status.st_size / 1e6:.0f} MB, more than the limit of {size_limit_bytes / 1e6:.0f} MB"
        )
    descriptor = os.open(sighting.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        head = os.read(descriptor, 2880)
    finally:
        os.close(descriptor)
    if not any(head):
        raise IncompleteFile("room is allocated but nothing is written yet")


def _judge(error: Exception, sighting: Sighting, waited_s: float, hold_limit_s: float) -> Outcome:
    """Turn what went wrong into how the file stands."""
    if isinstance(error, IncompleteFile):
        return _incomplete(f"{sighting.size} bytes, {error}", waited_s, hold_limit_s)
    if isinstance(error, NotRaw):
        return Outcome(state=FileState.IGNORED, reason=str(error))
    if isinstance(error, UnknownInstrument):
        named = "missing" not in str(error)
        state = FileState.IGNORED if named else FileState.QUARANTINED
        return Outcome(state=state, reason=str(error))
    if isinstance(error, UnreadableFile):
        return Outcome(state=FileState.QUARANTINED, reason=str(error))
    if isinstance(error, FileNotFoundError):
        return Outcome(state=FileState.IGNORED, reason="it was gone before it could be read")
    if isinstance(error, PermissionError):
        reason = mend_permission(sighting.path)
        return Outcome(state=FileState.HELD, reason=reason, again_in_s=_MENDED_AFTER_S)
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return Outcome(state=FileState.QUARANTINED, reason="a loop of links")
    return Outcome(
        state=FileState.HELD,
        reason=f"the storage does not give it: {error}",
        again_in_s=_MENDED_AFTER_S,
    )


def _incomplete(what: str, waited_s: float, hold_limit_s: float) -> Outcome:
    left_s = hold_limit_s - waited_s
    if left_s <= 0:
        return Outcome(state=FileState.QUARANTINED, reason=f"never completed: {what}")
    soonest_s, latest_s = _LOOK_AGAIN_S
    again_s = min(max(waited_s, soonest_s), latest_s, left_s)
    return Outcome(state=FileState.HELD, reason=f"incomplete: {what}", again_in_s=max(again_s, 0.1))


def _check_count(extensions: object, hdus: int) -> None:
    """Refuse a file that ends between two HDUs, where every block is whole."""
    if isinstance(extensions, int) and extensions > hdus - 1:
        raise IncompleteFile(f"{hdus - 1} of {extensions} extensions")


def _record(
    sighting: Sighting, content: _Content, seen_at: datetime, reception: Reception
) -> Outcome:
    """Record frame, file and what follows in one transaction."""
    archive, instrument = reception.archive, content.instrument
    identity, path = content.identity, sighting.path
    rule = instrument.sets.get(identity.kind)
    when = identity.observed_at or seen_at
    with writing(reception.engine) as session:
        frame, new, became_current = archive.record_frame(
            stem=stem_of(path),
            sha256=content.sha256,
            path=path,
            size=sighting.size,
            identity=identity,
            night=observing_night(when, instrument.longitude_deg).isoformat(),
            arrived_at=seen_at,
            set_keys=(set_key(identity, rule),) if rule is not None else (),
            within=session,
        )
        reason, moved = _why(frame, path, new=new, became_current=became_current)
        if moved:
            archive.move_frame(content.sha256, path, within=session)
            _note_moved(archive, frame.path, path, session)
        outcome = Outcome(state=FileState.INGESTED, reason=reason, frame=frame)
        archive.record_file(_file(sighting, outcome, content.sha256), within=session)
        if became_current or moved:
            reception.follow_up(frame, instrument, session)
    log.info("file=%s frame=%s kind=%s %s", path, frame.stem, identity.kind, reason)
    return outcome


def _note_moved(archive: Archive, old: Path, new: Path, session: Session) -> None:
    before = archive.file_at(old, within=session)
    if before is not None:
        reason = f"moved to {new.name}"
        archive.record_file(replace(before, state=FileState.IGNORED, reason=reason), within=session)


def _why(frame: FrameRecord, path: Path, *, new: bool, became_current: bool) -> tuple[str, bool]:
    """Return the reason of an ingested file, and whether the exposure is now read from it."""
    if new:
        return f"new exposure: {frame.identity.kind}", False
    if became_current:
        return f"revision {frame.revision} of {frame.stem}", False
    if frame.path == path:
        return "content unchanged", False
    if not frame.path.exists():
        return f"renamed from {frame.path.name}", True
    return f"same content as {frame.path.name}", False


def _record_file(sighting: Sighting, outcome: Outcome, reception: Reception) -> None:
    reception.archive.record_file(_file(sighting, outcome, ""))
    log.info("file=%s %s: %s", sighting.path, outcome.state, outcome.reason)


def _file(sighting: Sighting, outcome: Outcome, sha256: str) -> FileRecord:
    return FileRecord(
        path=sighting.path,
        state=outcome.state,
        reason=outcome.reason,
        size=sighting.size,
        mtime_ns=sighting.mtime_ns,
        sha256=sha256,
    )


def _is_stale(sighting: Sighting) -> bool:
    """Whether the file looks different by now."""
    try:
        return _stamp(sighting.path) != sighting.stamp
    except OSError:
        return False


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _hash(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a file, and how many zeros end it."""
    digest, zeros = hashlib.sha256(), 0
    with path.open("rb", buffering=0) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            ended = len(block.rstrip(b"\0"))
            zeros = len(block) - ended if ended else zeros + len(block)
    return digest.hexdigest(), zeros

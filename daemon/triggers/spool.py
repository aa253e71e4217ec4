"""The folder into which anyone may drop a notice, and what becomes of each file there."""

from __future__ import annotations

import hashlib
import logging
import stat
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from daemon.layout import slug, write_atomically
from reducers.errors import BadNotice
from reducers.transients.notices.notice import TriggerNotice
from reducers.transients.notices.reading import LARGEST_BYTES, read_notice

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.clock import Clock
    from daemon.memory.archive import Archive

log = logging.getLogger(__name__)

ENDINGS = (".xml", ".json")
#: A file that cannot be read may still be being written: it is judged when it is quiet.
QUIET_S = 3.0


@dataclass(slots=True)
class Taken:
    """What one look into the spool gave.

    Attributes
    ----------
    notices
        Those that are new and could be read.
    unfinished
        Files that cannot be read yet and are still fresh.
    """

    notices: list[TriggerNotice] = field(default_factory=list)
    unfinished: int = 0


def waiting_in(spool: Path) -> list[Path]:
    """Return the notices in a spool, by name; empty where there is no such folder."""
    if not spool.is_dir():
        return []
    found = [path for path in spool.iterdir() if path.suffix.lower() in ENDINGS]
    return sorted(path for path in found if not path.name.startswith(".") and _is_plain(path))


def drop(spool: Path, name: str, content: bytes) -> Path:
    """Write a notice into the spool, whole or not at all; return where it is."""
    stem, dot, ending = name.rpartition(".")
    kind = f".{ending}" if dot and f".{ending}" in ENDINGS else kind_of(content)
    path = spool / f"{slug(stem or name)}_{_digest(content)[:8]}{kind}"
    write_atomically(path, content)
    return path


def kind_of(content: bytes) -> str:
    """Return the ending that the content of a notice asks for."""
    return ".xml" if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") else ".json"


def take_spool(archive: Archive, spool: Path, clock: Clock) -> Taken:
    """Read every notice in the spool once, and move each file out of the way.

    A file goes to `taken/`, or to `bad/` with a text beside it that says why. It is moved after
    the database knows it, so that a kill between the two only makes it be seen again.
    """
    taken = Taken()
    for path in waiting_in(spool):
        try:
            content = path.read_bytes() if path.stat().st_size <= LARGEST_BYTES else None
        except FileNotFoundError:
            continue
        except PermissionError as error:
            _quarantine(archive, path, _digest(path.name.encode()), f"unreadable: {error.strerror}")
            continue
        digest = _digest(path.name.encode() if content is None else content)
        try:
            if content is None:
                raise BadNotice(f"more than {LARGEST_BYTES} bytes, which no notice has")
            notice = read_notice(content)
        except BadNotice as error:
            if _is_fresh(path, clock):
                taken.unfinished += 1
            else:
                _quarantine(archive, path, digest, str(error))
            continue
        if notice.issued_at is None:
            notice = replace(notice, issued_at=clock.now())
        if archive.record_trigger(digest, path.name, notice):
            taken.notices.append(notice)
        _move(path, "taken", digest)
    return taken


def _quarantine(archive: Archive, path: Path, digest: str, reason: str) -> None:
    log.warning("notice=%s refused: %s", path.name, reason)
    archive.record_trigger(digest, path.name, None, reason)
    moved = _move(path, "bad", digest)
    write_atomically(moved.with_name(f"{moved.name}.why.txt"), f"{reason}\n".encode())


def _move(path: Path, folder: str, digest: str) -> Path:
    target = path.parent / folder / f"{digest[:8]}_{slug(path.name)}"
    target.parent.mkdir(parents=True, exist_ok=True)
    return path.replace(target)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _is_fresh(path: Path, clock: Clock) -> bool:
    age_s = clock.now().timestamp() - path.stat().st_mtime
    return -60.0 < age_s < QUIET_S


def _is_plain(path: Path) -> bool:
    """Tell whether it is a file itself: opening a pipe would wait for ever."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False

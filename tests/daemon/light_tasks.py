"""Light tasks for real workers: what a job does is in its payload."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from pathlib import Path

from daemon.memory.records import JobKind
from daemon.work.outcomes import TryLater
from reducers.errors import NoTraceFound


def open_tasks(config):
    return {kind: do for kind in JobKind}


def do(job):
    payload = job.payload
    if job.kind is JobKind.INGEST:  # submitted by a real intake: note it beside the raw folder
        payload = {"note": str(Path(payload["path"]).parent.parent / "note"), "takes_s": 0.1}
    note = Path(payload["note"])
    with note.open("a") as stream:
        stream.write(f"{job.key}\n")
    time.sleep(payload.get("takes_s", 0.0))
    _ACTS[payload.get("act", "nothing")](job)


def _segfault(job):
    ctypes.string_at(0)


def _hang(job):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(job.payload["note"]).with_suffix(".grandchild").write_text(str(child.pid))
    while True:
        time.sleep(1)


def _allocate(job):
    _ = bytearray(4_000_000_000)


def _fail(job):
    raise NoTraceFound


def _later(job):
    mark = Path(job.payload["note"]).with_suffix(".later")
    if not mark.exists():
        mark.write_text("")
        raise TryLater("not yet", after_s=0.1)


def _bug(job):
    raise RuntimeError("a bug")


def _full(job):
    raise OSError(28, "No space left on device")


def _full_fits(job):
    # What astropy raises, without a number, while it handles the error that has one.
    error = OSError("Not enough space on disk: requested 60830, available 0.")
    error.__context__ = OSError(28, "No space left on device")
    raise error


_ACTS = {
    "nothing": lambda job: None,
    "segfault": _segfault,
    "hang": _hang,
    "allocate": _allocate,
    "fail": _fail,
    "later": _later,
    "bug": _bug,
    "full": _full,
    "full_fits": _full_fits,
}

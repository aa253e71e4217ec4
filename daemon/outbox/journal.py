"""A file that gets every message, one JSON line each: for scripts, and for those who wonder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.outbox.sink import Absent, Prepared, Sent, TryAgain
from daemon.outbox.webhook import envelope

if TYPE_CHECKING:
    from daemon.outbox.sink import Letter, Outcome


class JournalSink:
    """Appends lines; its address is the path of the file."""

    has_threads = False
    pace_s = 0.0

    def prepare(self, letter: Letter) -> Prepared:
        """Need nothing."""
        return Prepared()

    def find(self, letter: Letter) -> Sent | Absent | TryAgain:
        """Look for a whole line with the key."""
        try:
            with Path(letter.address).open("rb") as stream:
                lines = [line for line in stream if letter.marker.encode() in line]
        except FileNotFoundError:
            return Absent()
        except OSError as error:
            return TryAgain(reason=f"the journal cannot be read: {error}")
        return Sent(letter.marker) if any(line.endswith(b"\n") for line in lines) else Absent()

    def send(self, letter: Letter) -> Outcome:
        """Append one line; half a line that a killed courier left is ended first."""
        path = Path(letter.address)
        line = json.dumps(envelope(letter), sort_keys=True).encode() + b"\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+", buffering=0) as stream:
                size = stream.seek(0, os.SEEK_END)
                if size:
                    stream.seek(size - 1)
                    if stream.read(1) != b"\n":
                        line = b"\n" + line
                stream.write(line)
                os.fsync(stream.fileno())
        except OSError as error:
            return TryAgain(reason=f"the journal cannot be written: {error}")
        return Sent(letter.marker)

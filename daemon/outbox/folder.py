"""The embedded default where no mail server is set: mails as files in the night's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.layout import Layout, slug, write_atomically
from daemon.outbox.harmless import visible
from daemon.outbox.mail_text import mail_of
from daemon.outbox.sink import Absent, Prepared, Sent, TryAgain

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.outbox.sink import Letter, Outcome


class FolderSink:
    """Writes .eml and .html; the address is the night, or '' for what belongs to none."""

    has_threads = False
    pace_s = 0.0

    def __init__(self, root: Path, sender: str) -> None:
        self._layout = Layout(root)
        self._sender = sender

    def prepare(self, letter: Letter) -> Prepared:
        """Need nothing."""
        return Prepared()

    def find(self, letter: Letter) -> Sent | Absent:
        """Look for the file."""
        path = self._path(letter)
        return Sent(str(path)) if path.is_file() else Absent()

    def send(self, letter: Letter) -> Outcome:
        """Write both files, each whole or not at all; the .eml comes last and is the proof."""
        path = self._path(letter)
        try:
            if letter.message.html:
                write_atomically(path.with_suffix(".html"), visible(letter.message.html).encode())
            write_atomically(path, mail_of(letter, self._sender).as_bytes())
        except OSError as error:
            return TryAgain(reason=f"{path.parent} cannot be written: {error}")
        return Sent(str(path))

    def _path(self, letter: Letter) -> Path:
        folder = self._layout.spool
        if letter.address:
            folder = self._layout.report(letter.address)
        name = slug(f"{letter.message.topic.value}_{letter.message.title[:40]}")
        return folder / f"{name}_{letter.marker[-8:]}.eml"

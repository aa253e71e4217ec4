"""A message as an e-mail, whatever its text contains."""

from __future__ import annotations

import mimetypes
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import TYPE_CHECKING

from daemon.outbox.harmless import one_line, visible

if TYPE_CHECKING:
    from daemon.outbox.sink import Letter

_LONGEST_SUBJECT = 200
_MOST_BYTES = 8_000_000


def mail_of(letter: Letter, sender: str) -> EmailMessage:
    """Return the e-mail; the same letter always has the same Message-ID.

    Header injection is impossible twice over: what could end a line is shown as an escape, and
    the policy refuses line breaks in headers.
    """
    message, mail = letter.message, EmailMessage(policy=SMTP)
    domain = one_line(sender, 200).rpartition("@")[2] or "localhost"
    mail["From"] = one_line(sender, 200)
    mail["To"] = one_line(letter.address, 200)
    mail["Subject"] = one_line(message.title, _LONGEST_SUBJECT)
    mail["Date"] = format_datetime(letter.since)
    mail["Message-ID"] = f"<{letter.marker}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Alfoscd-Topic"] = message.topic.value
    if message.night:
        mail["References"] = f"<night-{one_line(message.night, 40).replace(' ', '')}@{domain}>"
    lost = "".join(f"\nnot attached: {path}" for path in _too_much(letter))
    mail.set_content(visible(message.text + lost), charset="utf-8")
    if message.html:
        mail.add_alternative(visible(message.html), subtype="html", charset="utf-8")
    for path in message.attachments:
        if path.is_file() and path not in _too_much(letter):
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            main, _, sub = kind.partition("/")
            name = one_line(path.name, 100)
            mail.add_attachment(path.read_bytes(), maintype=main, subtype=sub, filename=name)
    return mail


def _too_much(letter: Letter) -> list[object]:
    """Return the attachments that are gone, or that would make the mail too large."""
    left: list[object] = []
    total = 0
    for path in letter.message.attachments:
        size = path.stat().st_size if path.is_file() else -1
        if size < 0 or total + size > _MOST_BYTES:
            left.append(path)
        else:
            total += size
    return left

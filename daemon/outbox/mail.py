"""SMTP: one envelope for each mailbox, so that each is refused or served by itself."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from daemon.outbox.mail_text import mail_of
from daemon.outbox.sink import Absent, Prepared, Refused, Sent, TryAgain, Unclear

if TYPE_CHECKING:
    from daemon.config import Mail
    from daemon.outbox.sink import Letter, Outcome

_SETTINGS = "check [mail] host, port, security and user"


class MailSink:
    """Sends mail through a server.

    After the last line of a mail the server's answer may get lost. Nobody can look into the
    mailbox then, and RFC 5321 (4.5.3.2.6; RFC 1047) wants the mail sent again: a report twice is
    better than none. The Message-ID stays the same, by which servers and readers drop the second.
    """

    has_threads = False
    pace_s = 0.0

    def __init__(
        self, settings: Mail, password: str, context: ssl.SSLContext | None = None
    ) -> None:
        self._settings = settings
        self._password = password
        self._context = context or ssl.create_default_context()

    def prepare(self, letter: Letter) -> Prepared | TryAgain | Refused:
        """Need nothing."""
        if not letter.address.isascii() or "@" not in letter.address:
            return Refused(
                reason=f"'{letter.address}' is no mail address", advice="correct it under [mail]"
            )
        return Prepared()

    def find(self, letter: Letter) -> Sent | Absent | TryAgain | Refused:
        """Nobody can look into a mailbox: the mail is sent again under its Message-ID."""
        return Absent()

    def send(self, letter: Letter) -> Outcome:
        """Deliver it to its one mailbox."""
        try:
            server = self._connected()
        except smtplib.SMTPResponseException as error:
            return self._unwelcome(error)
        except (OSError, smtplib.SMTPException) as error:
            return TryAgain(reason=f"the mail server cannot be used: {error}")
        try:
            return self._hand_over(server, letter)
        finally:
            with suppress(OSError, smtplib.SMTPException):
                server.quit()

    def _connected(self) -> smtplib.SMTP:
        own = self._settings
        if own.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                own.host, own.port, timeout=own.timeout_s, context=self._context
            )
        else:
            server = smtplib.SMTP(own.host, own.port, timeout=own.timeout_s)
        with ExitStack() as undo:
            undo.callback(server.close)
            server.ehlo()
            if own.security == "starttls":
                server.starttls(context=self._context)
                server.ehlo()
            if own.user:
                server.login(own.user, self._password)
            undo.pop_all()
        return server

    def _unwelcome(self, error: smtplib.SMTPResponseException) -> Outcome:
        said = _said(error.smtp_code, error.smtp_error)
        if error.smtp_code < 500:
            return TryAgain(reason=f"the mail server is not ready: {said}")
        advice = _SETTINGS
        if isinstance(error, smtplib.SMTPAuthenticationError):
            advice = "correct [mail] user, or the credential `smtp-password`"
        return Refused(reason=f"the mail server refuses us: {said}", advice=advice, closed=True)

    def _hand_over(self, server: smtplib.SMTP, letter: Letter) -> Outcome:
        mail = mail_of(letter, self._settings.sender)
        try:
            for code, text in (
                server.mail(self._settings.sender),
                server.rcpt(letter.address),
            ):
                if code >= 400:
                    return _turned_away(code, text)
        except (OSError, smtplib.SMTPException) as error:
            return TryAgain(reason=f"the mail server broke off: {error}")
        try:
            code, text = server.data(mail.as_bytes())
        except smtplib.SMTPDataError as error:
            return _turned_away(error.smtp_code, error.smtp_error)
        except (OSError, smtplib.SMTPException) as error:
            return Unclear(f"the mail server broke off after the text: {error}")
        return Sent(str(mail["Message-ID"])) if code < 400 else _turned_away(code, text)


def _turned_away(code: int, text: bytes | str) -> Outcome:
    if code < 500:
        return TryAgain(reason=f"the mail server says not now: {_said(code, text)}", alone=True)
    return Refused(
        reason=f"the mail server refuses the mail: {_said(code, text)}",
        advice="check the address under [mail] recipients, or ask its owner",
    )


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())[:200]}"

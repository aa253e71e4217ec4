"""What a broken connection says: not sent for certain, or perhaps sent."""

from __future__ import annotations

import http.client
import socket
import ssl
from urllib.error import URLError

from daemon.outbox.sink import TryAgain, Unclear

#: Everything that a connection may throw.
CONNECTION_ERRORS = (OSError, http.client.HTTPException)

_NEVER_CONNECTED = (ConnectionRefusedError, socket.gaierror, ssl.SSLError)


def meaning_of_break(error: BaseException, other_side: str) -> TryAgain | Unclear:
    """Return whether the other side can have taken what was being sent.

    Without a connection it cannot. Once there was one, silence, a time-out or a reset may come
    after the message was taken: then nothing is repeated without a look.
    """
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, _NEVER_CONNECTED):
        return TryAgain(reason=f"{other_side} cannot be reached: {cause}")
    return Unclear(f"{other_side} broke off: {cause or type(error).__name__}")

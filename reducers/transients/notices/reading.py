"""Read a notice of whatever format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reducers.errors import BadNotice
from reducers.transients.notices.unified import read_unified
from reducers.transients.notices.voevent import read_voevent

if TYPE_CHECKING:
    from reducers.transients.notices.notice import TriggerNotice

#: Notices have a few kilobytes; with a sky map inside up to about one megabyte.
LARGEST_BYTES = 4_000_000


def read_notice(content: bytes) -> TriggerNotice:
    """Return what a VOEvent or a JSON notice says.

    Raises
    ------
    BadNotice
        And nothing else, whatever the bytes are.
    """
    if len(content) > LARGEST_BYTES:
        raise BadNotice(f"{len(content)} bytes are more than any notice has")
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"<"):
        return read_voevent(start)
    if start.startswith(b"{"):
        return read_unified(start)
    raise BadNotice("neither XML nor JSON" if start else "the notice is empty")

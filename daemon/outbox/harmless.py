"""Text that came from headers and people, made harmless before it leaves the machine."""

from __future__ import annotations

import re
import unicodedata

#: Marks that turn the direction of writing can make a text read as what it is not.
_TURNING = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_KEPT = frozenset("\n\t")
_PINGS = re.compile(r"@(?=(?:channel|here|everyone|group)\b)", re.IGNORECASE)
_NO_WIDTH = "\u2060"


def visible(text: str) -> str:
    """Return text in which whatever a terminal, mail reader or browser obeys is shown instead."""
    return "".join(c if _is_plain(c) else _shown(c) for c in text.replace("\r\n", "\n"))


def one_line(text: str, limit: int) -> str:
    """Return text fit for a header: one line, harmless, cut to the limit."""
    line = " ".join(visible(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def slack_text(text: str, limit: int = 3900) -> str:
    """Return text that Slack shows as it is: no mention, no link, no markup of its own.

    Slack obeys only what stands between < and >, so these three characters are what its manual
    asks to escape; names that ring for a whole channel are broken all the same. What is too long
    is cut between characters, never inside an escape.
    """
    clean = _PINGS.sub(f"@{_NO_WIDTH}", visible(text))
    cut = clean
    while len(_escaped(cut)) > limit:
        cut = cut[: len(cut) - max(1, (len(_escaped(cut)) - limit) // 5)]
    if len(cut) < len(clean):
        left = f"\n… ({len(clean) - len(cut) + 60} more characters)"
        return _escaped(cut[: max(0, len(cut) - 60)]) + left
    return _escaped(cut)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _is_plain(c: str) -> bool:
    if c in _KEPT:
        return True
    return c not in _TURNING and unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn")


def _shown(c: str) -> str:
    return f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}"

"""Packed designations of the Minor Planet Center, as people write them.

minorplanetcenter.net/iau/info/PackedDes.html.
"""

from __future__ import annotations

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CENTURIES = {"I": 18, "J": 19, "K": 20, "L": 21}
_SURVEYS = {"PLS": "P-L", "T1S": "T-1", "T2S": "T-2", "T3S": "T-3"}
_TILDE_STARTS = 620_000
#: Half-months are lettered without I.
_SECOND = "ABCDEFGHJKLMNOPQRSTUVWXYZ"


class BadDesignation(ValueError):
    """It is not a designation of the Minor Planet Center."""


def unpacked(text: str) -> str:
    """Return '(4)' for '00004', '1995 XA' for 'J95X00A', '2040 P-L' for 'PLS2040'.

    Raises
    ------
    BadDesignation
        If it is none.
    """
    try:
        if len(text) == 5:
            return f"({_permanent(text)})"
        if len(text) == 7 and text[:3] in _SURVEYS:
            return f"{int(text[3:])} {_SURVEYS[text[:3]]}"
        if len(text) == 7 and text[0] == "_":
            return _many(text)
        if len(text) == 7:
            return _provisional(text)
    except (ValueError, KeyError, IndexError):
        pass
    raise BadDesignation(f"'{text}' is no packed designation")


def _permanent(text: str) -> int:
    if text[0] == "~":
        return _TILDE_STARTS + _base62(text[1:])
    return _DIGITS.index(text[0]) * 10_000 + int(text[1:])


def _provisional(text: str) -> str:
    year = _CENTURIES[text[0]] * 100 + int(text[1:3])
    cycle = _DIGITS.index(text[4]) * 10 + int(text[5])
    if not (text[3].isupper() and text[6].isupper()):
        raise ValueError
    return f"{year} {text[3]}{text[6]}{cycle or ''}"


def _many(text: str) -> str:
    """Unpack '_QC0000': half-months with more than 15500 designations, since 2025."""
    year = 2000 + _DIGITS.index(text[1])
    order = _base62(text[3:]) + 15_500
    cycle, letter = divmod(order, 25)
    return f"{year} {text[2]}{_SECOND[letter]}{cycle}"


def _base62(text: str) -> int:
    value = 0
    for digit in text:
        value = value * 62 + _DIGITS.index(digit)
    return value

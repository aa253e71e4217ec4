"""Read the optical and readout set-up from a header."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reducers.header import integer_of, optional_text_of, text_of
from reducers.identity import Setup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reducers.instrument import Instrument

Window = tuple[int, int, int, int]

_WINDOW = re.compile(r"\[?\s*(\d{1,6})\s*:\s*(\d{1,6})\s*,\s*(\d{1,6})\s*:\s*(\d{1,6})\s*\]?")
_LARGEST_BINNING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupReading:
    """A set-up, and what of it could not be read or contradicts itself."""

    setup: Setup
    grism: str | None
    slit: str | None
    missing: tuple[str, ...]
    contradictions: tuple[str, ...]


def read_setup(header: Mapping[str, Any], instrument: Instrument) -> SetupReading:
    """Return the set-up; where a key is unusable the full frame at 1x1 stands in."""
    keys = instrument.header
    missing: list[str] = []
    binnings = [_binning(header, keys[name], missing) for name in ("x_binning", "y_binning")]
    window = _window(header, keys["window"], binnings)
    if window is None:
        missing.append(_named(keys["window"]))
    shown = window or (1, instrument.detector.columns, 1, instrument.detector.rows)
    grism = element(optional_text_of(header, keys["grism"]), instrument)
    slit = element(optional_text_of(header, keys["slit"]), instrument)
    for name, value in (("grism", grism), ("slit", slit)):
        if value is None:
            missing.append(_named(keys[name]))
    setup = Setup(
        x_binning=binnings[0] or 1,
        y_binning=binnings[1] or 1,
        window=shown,
        readout="-".join(text_of(header, key) or "?" for key in keys.get("readout", [])),
        grism=_spelt(grism or "", instrument.grisms),
        slit=_spelt(slit or "", instrument.slits_arcsec),
        filter=_filter(header, instrument, missing),
    )
    return SetupReading(
        setup=setup,
        grism=grism,
        slit=slit,
        missing=tuple(missing),
        contradictions=_contradictions(header, setup, instrument) if window else (),
    )


def element(name: str | None, instrument: Instrument) -> str | None:
    """Return the name of what a wheel holds: '' when it is empty, None when unknown."""
    if name is None:
        return None
    folded = name.casefold()
    empty = not name or any(word.casefold() in folded for word in instrument.out_of_beam)
    return "" if empty else name


def filter_name(header_name: str, instrument: Instrument) -> str:
    """Return the short name of a filter, or the header's own where the profile has none."""
    folded = header_name.casefold()
    for short, facts in instrument.filters.items():
        if str(facts.get("header", "")).casefold() == folded:
            return short
    return header_name


def _filter(header: Mapping[str, Any], instrument: Instrument, missing: list[str]) -> str:
    names = []
    for key in instrument.header["filters"]:
        name = element(optional_text_of(header, key), instrument)
        if name is None:
            missing.append(key)
        elif name:
            names.append(filter_name(name, instrument))
    return "+".join(names)


def _spelt(name: str, known: Mapping[str, Any]) -> str:
    plain = name.casefold().replace(" ", "_")
    for spelling in known:
        if spelling.casefold().replace(" ", "_") == plain:
            return spelling
    return name


def _binning(header: Mapping[str, Any], key: str, missing: list[str]) -> int | None:
    value = integer_of(header, key)
    if value is not None and 1 <= value <= _LARGEST_BINNING:
        return value
    missing.append(key)
    return None


def _window(header: Mapping[str, Any], where: Any, binnings: list[int | None]) -> Window | None:
    if isinstance(where, str):
        match = _WINDOW.fullmatch(text_of(header, where))
        if match is None:
            return None
        x1, x2, y1, y2 = (int(group) for group in match.groups())
    else:
        corner = [integer_of(header, where[name]) for name in ("x_start", "y_start")]
        sizes = [integer_of(header, where[name]) for name in ("columns", "rows")]
        if None in corner or None in sizes or None in binnings:
            return None
        x1, y1 = (value or 0 for value in corner)
        x2, y2 = (
            first + (size or 0) * (binning or 1) - 1
            for first, size, binning in zip((x1, y1), sizes, binnings, strict=True)
        )
    return (x1, x2, y1, y2) if 1 <= x1 <= x2 and 1 <= y1 <= y2 else None


def _contradictions(
    header: Mapping[str, Any], setup: Setup, instrument: Instrument
) -> tuple[str, ...]:
    x1, x2, y1, y2 = setup.window
    found = []
    if x2 > instrument.detector.columns or y2 > instrument.detector.rows:
        found.append("the window reaches beyond the detector")
    axes = (
        ("NAXIS1", x2 - x1 + 1, setup.x_binning),
        ("NAXIS2", y2 - y1 + 1, setup.y_binning),
    )
    for key, span, binning in axes:
        size = integer_of(header, key)
        if size is not None and size not in (span // binning, -(-span // binning)):
            found.append(f"{key} is {size}, but window and binning give {span // binning}")
    return tuple(found)


def _named(where: Any) -> str:
    return where if isinstance(where, str) else " ".join(str(key) for key in where.values())

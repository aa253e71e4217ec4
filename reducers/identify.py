"""Say what a raw frame is, from its header and the rules of its instrument."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from reducers.header import integer_of, moment_of, number_of, optional_text_of, text_of
from reducers.identity import FrameKind, Identity
from reducers.profile_checks import NUMBERS, TEXTS
from reducers.rules import Fact, holds
from reducers.setups import SetupReading, read_setup
from reducers.standards import Recognition, precess, recognise_standard, target_off_arcsec
from reducers.sun import altitude_deg

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reducers.instrument import Instrument

#: Wanted from every header; an absence is noted, and `_ESSENTIAL` ones leave the kind unknown.
_WANTED = ("started", "exposure", "object", "image_type", "ra", "dec")
_ESSENTIAL = ("started", "exposure")

#: Nobody observes lower: an altitude below is no altitude.
_LOWEST_DEG = 10.0

_OF_THE_SKY = (
    FrameKind.SPEC_STD,
    FrameKind.SPEC_OBJECT,
    FrameKind.SLITLESS,
    FrameKind.IMG_OBJECT,
    FrameKind.ACQUISITION,
    FrameKind.SLIT_IMAGE,
    FrameKind.POLARIMETRY,
)


def identify(header: Mapping[str, Any], instrument: Instrument) -> Identity:
    """Return everything the pipeline wants from a header; bad values never raise."""
    facts = _read_facts(header, instrument)
    reading = read_setup(header, instrument)
    _add_setup(facts, reading, header, instrument)
    _add_lamps(facts, header, instrument)
    observed_at = moment_of(header, instrument.header["started"])
    position, catalogue = _position(facts), _catalogue_entry(facts)
    star = _add_standard(facts, position, catalogue, observed_at, instrument)
    missing = _missing(facts, header, instrument) + reading.missing
    kind, because = _classify(facts, reading, missing, instrument)
    spectrum = kind in (FrameKind.SPEC_STD, FrameKind.SPEC_OBJECT)
    noted = (star.reason,) if star.reason and spectrum else ()
    missing += _missing_of_the_sky(facts, kind, instrument)
    cautions = tuple(entry.says for entry in instrument.warnings if holds(entry.where, facts))
    return Identity(
        instrument=instrument.name,
        kind=kind,
        setup=reading.setup,
        observed_at=observed_at,
        exposure_s=_number(facts, "exposure") or 0.0,
        object_name=str(facts.get("object", "")),
        target=_target(facts, kind),
        ra_deg=position[0] if position else None,
        dec_deg=position[1] if position else None,
        airmass=_airmass(facts, kind, position, observed_at, instrument),
        gain_e_per_adu=_within(_number(facts, "gain"), 1e-3, 1e3),
        read_noise_e=_within(_number(facts, "read_noise"), 1e-3, 1e3),
        lamps=_texts(facts, "lit"),
        standard=str(facts["standard"]) if kind is FrameKind.SPEC_STD else "",
        standard_off_arcsec=star.off_arcsec if kind is FrameKind.SPEC_STD else None,
        target_off_arcsec=_target_off(kind, star, position, catalogue),
        target_ra_deg=catalogue[0] if catalogue and kind in _OF_THE_SKY else None,
        target_dec_deg=catalogue[1] if catalogue and kind in _OF_THE_SKY else None,
        on_object=facts.get("image_category") == "CALIB_ON_OBJECT",
        aperture_y_px=_within(_number(facts, "aperture_y"), 1.0, 1e5),
        rotator_deg=_number(facts, "rotator"),
        field_deg=_number(facts, "field"),
        altitude_deg=_within(_number(facts, "altitude"), -90.0, 90.0),
        telescope_focus=_number(facts, "focus"),
        detector_temperature_c=_within(_number(facts, "detector_temperature"), -273.0, 100.0),
        programme=str(facts.get("programme", "")),
        block=str(facts.get("block", "")),
        sequence=_sequence(facts, header, instrument),
        reasons=(*because, *reading.contradictions, *noted, *cautions),
        missing=tuple(dict.fromkeys(missing)),
    )


def _read_facts(header: Mapping[str, Any], instrument: Instrument) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for name in TEXTS:
        text = optional_text_of(header, instrument.header.get(name, []))
        if text is not None:
            facts[name] = text
    for name in NUMBERS:
        number = number_of(header, instrument.header.get(name, []))
        if number is not None:
            facts[name] = number
    for name in ("block", "target", "programme"):
        if str(facts.get(name, "")).upper() in ("N/A", "UNDEFINED", "UNKNOWN"):
            facts[name] = ""
    if _number(facts, "exposure") is not None and not 0 <= (_number(facts, "exposure") or 0) < 1e5:
        del facts["exposure"]
    return facts


def _add_setup(
    facts: dict[str, Fact],
    reading: SetupReading,
    header: Mapping[str, Any],
    instrument: Instrument,
) -> None:
    for name, value in (("grism", reading.grism), ("slit", reading.slit)):
        wheel = optional_text_of(header, instrument.header[name])
        if value is not None and wheel is not None:
            facts[name], facts[f"{name}_wheel"] = value, wheel
    facts["filter"] = reading.setup.filter
    x1, x2, y1, y2 = reading.setup.window
    facts["x_span"], facts["y_span"] = x2 - x1 + 1, y2 - y1 + 1


def _add_lamps(facts: dict[str, Fact], header: Mapping[str, Any], instrument: Instrument) -> None:
    """Add the lamps that are lit, and those whose light the mirror lets in."""
    lit = tuple(name for key, name in instrument.lamps.items() if number_of(header, key) == 1)
    named = tuple(
        name
        for name, texts in instrument.header.get("lamps_by_type", {}).items()
        if str(facts.get("image_type", "")) in texts
    )
    facts["lit"] = lit + named
    facts["lamps"] = () if facts.get("mirror") == 0 else lit + named
    facts["flat_lamps"] = tuple(
        name for key, name in instrument.flat_lamps.items() if number_of(header, key) == 1
    )


def _add_standard(
    facts: dict[str, Fact],
    position: tuple[float, float] | None,
    catalogue: tuple[float, float] | None,
    observed_at: datetime | None,
    instrument: Instrument,
) -> Recognition:
    """Add the name of the standard, '' when there is none, and return how it was recognised."""
    names = (str(facts.get("target", "")), str(facts.get("object", "")))
    found = recognise_standard(
        instrument.standards,
        names,
        position,
        instrument.standard_radius_arcsec,
        year=observed_at.year + observed_at.month / 12 if observed_at else 2000.0,
        catalogue_deg=catalogue,
    )
    facts["standard"] = found.name
    return found


def _target_off(
    kind: FrameKind,
    star: Recognition,
    position: tuple[float, float] | None,
    catalogue: tuple[float, float] | None,
) -> float | None:
    """Return how far the pointing is from the entry; standards are held against the profile."""
    of_a_target = kind in _OF_THE_SKY and not star.name
    return target_off_arcsec(position, catalogue) if of_a_target else None


def _classify(
    facts: Mapping[str, Fact],
    reading: SetupReading,
    missing: tuple[str, ...],
    instrument: Instrument,
) -> tuple[FrameKind, tuple[str, ...]]:
    needed = [_shown(instrument.header[name]) for name in _ESSENTIAL]
    needed += [_shown(instrument.header[name]) for name in ("x_binning", "y_binning", "window")]
    lacking = [key for key in missing if key in needed]
    if lacking:
        return FrameKind.UNKNOWN, (f"cannot be used without {', '.join(lacking)}",)
    if reading.contradictions:
        return FrameKind.UNKNOWN, ()
    for rule in instrument.rules:
        if holds(rule.where, facts):
            return rule.kind, (rule.because,)
    return FrameKind.UNKNOWN, ("no rule of the profile holds",)


def _missing(
    facts: Mapping[str, Fact], header: Mapping[str, Any], instrument: Instrument
) -> tuple[str, ...]:
    wanted = [name for name in _WANTED if name not in facts]
    if moment_of(header, instrument.header["started"]) is None and "started" not in wanted:
        wanted.append("started")
    return tuple(_shown(instrument.header.get(name, name)) for name in wanted)


def _missing_of_the_sky(
    facts: Mapping[str, Fact], kind: FrameKind, instrument: Instrument
) -> tuple[str, ...]:
    """Return what exposures of the sky need beside, or have no sense in; others stand in for it."""
    if kind not in _OF_THE_SKY:
        return ()
    unknown = {
        "shutter": "shutter" not in facts,
        "airmass": _told_airmass(facts) is None,
        "ra": "ra" in facts and _right_ascension(facts) is None,
        "dec": "dec" in facts and _declination(facts) is None,
    }
    known = instrument.header
    return tuple(_shown(known[name]) for name, lacks in unknown.items() if lacks and name in known)


def _told_airmass(facts: Mapping[str, Fact]) -> float | None:
    return _within(_number(facts, "airmass"), 1.0, 40.0)


def _airmass(
    facts: Mapping[str, Fact],
    kind: FrameKind,
    position: tuple[float, float] | None,
    observed_at: datetime | None,
    instrument: Instrument,
) -> float | None:
    """Return the airmass at the start: the header's, else that of its altitude or of its place."""
    told = _told_airmass(facts)
    if told is not None or kind not in _OF_THE_SKY:
        return told
    height_deg = _number(facts, "altitude")
    if height_deg is None and position and observed_at:
        where = (instrument.longitude_deg, instrument.latitude_deg)
        height_deg = altitude_deg(*position, observed_at, *where)
    known = _within(height_deg, _LOWEST_DEG, 90.0)
    return None if known is None else 1 / math.sin(math.radians(known))


def _shown(where: Any) -> str:
    if isinstance(where, str):
        return where
    return str(where[0]) if isinstance(where, list) else " ".join(map(str, where.values()))


def _right_ascension(facts: Mapping[str, Fact]) -> float | None:
    return _within(_number(facts, "ra"), 0.0, 360.0)


def _declination(facts: Mapping[str, Fact]) -> float | None:
    return _within(_number(facts, "dec"), -90.0, 90.0)


def _position(facts: Mapping[str, Fact]) -> tuple[float, float] | None:
    ra, dec = _right_ascension(facts), _declination(facts)
    if ra is None or dec is None:
        return None
    equinox = _within(_number(facts, "equinox"), 1900.0, 2100.0) or 2000.0
    return (ra, dec) if equinox == 2000.0 else precess((ra, dec), equinox, 2000.0)


def _catalogue_entry(facts: Mapping[str, Fact]) -> tuple[float, float] | None:
    """Return the coordinates of the catalogue entry; without a target's name they are stale."""
    hours = _within(_number(facts, "object_ra_hours"), 0.0, 24.0)
    dec = _within(_number(facts, "object_dec"), -90.0, 90.0)
    if hours is None or dec is None or not facts.get("target"):
        return None
    return hours * 15.0, dec


def _target(facts: Mapping[str, Fact], kind: FrameKind) -> str:
    """Return the name in the telescope's catalogue; for exposures of the sky else the title."""
    name = str(facts.get("target", ""))
    return name or (str(facts.get("object", "")) if kind in _OF_THE_SKY else "")


def _sequence(
    facts: Mapping[str, Fact], header: Mapping[str, Any], instrument: Instrument
) -> tuple[int, int] | None:
    names = ("sequence_number", "sequence_total")
    declared = [integer_of(header, instrument.header.get(name, [])) for name in names]
    if declared[0] is not None and 1 <= declared[0] < 10_000:
        return declared[0], max(0, declared[1] or 0)
    pattern = instrument.header.get("sequence_pattern", "")
    match = re.match(pattern, text_of(header, instrument.header["object"])) if pattern else None
    if match is None:
        return None
    groups = match.groupdict()
    return int(groups["number"]), int(groups.get("total") or 0)


def _number(facts: Mapping[str, Fact], name: str) -> float | None:
    value = facts.get(name)
    return value if isinstance(value, float) else None


def _texts(facts: Mapping[str, Fact], name: str) -> tuple[str, ...]:
    value = facts.get(name)
    return value if isinstance(value, tuple) else ()


def _within(value: float | None, lowest: float, highest: float) -> float | None:
    return value if value is not None and lowest <= value <= highest else None

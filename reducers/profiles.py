"""Load an instrument profile and its tables of facts, and recognise whose header this is."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reducers.errors import NotRaw, ProfileError, UnknownInstrument
from reducers.header import text_of
from reducers.identity import FrameKind
from reducers.instrument import (
    Caution,
    Detector,
    Grism,
    Instrument,
    Rule,
    SetRule,
    VerticalSlits,
)
from reducers.profile_checks import check_header_map, check_rules
from reducers.profile_imaging import Imaging
from reducers.profile_schema import structure
from reducers.profile_tables import read_extinction, read_lines, read_standards

#: Where the profiles and their tables lie.
PROFILES = Path(__file__).parent / "instruments"

#: Every product of this pipeline carries this key in its primary header.
PRODUCT_KEY = "ALFOSCD"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    lines: str
    standards: str
    extinction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    same: tuple[str, ...]
    at_least: int
    closes_after_s: float
    within_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Profile:
    name: str
    telescope: str
    file_pattern: str
    longitude_deg: float
    latitude_deg: float
    elevation_m: float
    detector: Detector
    header: Mapping[str, Any]
    rules: tuple[Rule, ...]
    grisms: tuple[Grism, ...]
    slits_arcsec: Mapping[str, float]
    sets: Mapping[str, _Set]
    tables: _Tables
    recognised_by: Mapping[str, tuple[str, ...]]
    filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    running_number: str = ""
    warnings: tuple[Caution, ...] = ()
    lamps: Mapping[str, str] = field(default_factory=dict)
    flat_lamps: Mapping[str, str] = field(default_factory=dict)
    out_of_beam: tuple[str, ...] = ("open",)
    standard_radius_arcsec: float = 60.0
    slit_from_field_deg: float = 0.0
    slit_direction: int = 0
    target_x_px: float | None = None
    dark_sky_rate: float = 0.0
    unverified: tuple[str, ...] = ()
    vertical_slits: VerticalSlits | None = None
    imaging: Imaging | None = None


@cache
def load_instrument(name: str) -> Instrument:
    """Return the shipped profile `name` ('alfosc', 'efosc2'), read once."""
    if name not in instrument_names():
        raise ProfileError(f"no profile {name!r}; there are {', '.join(instrument_names())}")
    return read_instrument(PROFILES / f"{name}.toml")


def instrument_names() -> tuple[str, ...]:
    """Return the names of the shipped profiles."""
    return tuple(sorted(path.stem for path in PROFILES.glob("*.toml")))


def recognise(header: Mapping[str, Any], names: Sequence[str] = ()) -> Instrument:
    """Return the profile whose marks the header bears; `names` limits the search."""
    if PRODUCT_KEY in header:
        raise NotRaw
    for name in names or instrument_names():
        instrument = load_instrument(name)
        if all(
            any(option.casefold() in text_of(header, key).casefold() for option in options)
            for key, options in instrument.recognised_by.items()
        ):
            return instrument
    shown = text_of(header, "INSTRUME") or "missing"
    raise UnknownInstrument(f"no instrument profile recognises the header (INSTRUME {shown})")


def read_instrument(path: Path) -> Instrument:
    """Return the profile in one TOML file, its tables beside it."""
    try:
        raw = path.read_bytes()
        table = tomllib.loads(raw.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise ProfileError(f"{path.name}: {cause}") from cause
    profile = structure(_Profile, table, path.name)
    check_header_map(profile.header, path.name)
    check_rules((*profile.rules, *profile.warnings), path.name)
    return _assemble(profile, path.parent, hashlib.sha256(raw))


def _assemble(profile: _Profile, folder: Path, digest: Any) -> Instrument:
    lines, standards, extinction = (
        folder / profile.tables.lines,
        folder / profile.tables.standards,
        folder / profile.tables.extinction,
    )
    for table in (lines, extinction, *sorted(standards.glob("*"))):
        digest.update(table.read_bytes() if table.is_file() else b"")
    wavelengths, magnitudes = read_extinction(extinction)
    return Instrument(
        name=profile.name,
        telescope=profile.telescope,
        file_pattern=profile.file_pattern,
        running_number=profile.running_number,
        longitude_deg=profile.longitude_deg,
        latitude_deg=profile.latitude_deg,
        elevation_m=profile.elevation_m,
        detector=profile.detector,
        header=profile.header,
        rules=profile.rules,
        grisms={grism.name: grism for grism in profile.grisms},
        slits_arcsec=profile.slits_arcsec,
        lines=read_lines(lines),
        standards=read_standards(standards),
        extinction_angstrom=wavelengths,
        extinction_mag_per_airmass=magnitudes,
        sets={_kind(name): _set_rule(name, entry) for name, entry in profile.sets.items()},
        filters=profile.filters,
        warnings=profile.warnings,
        recognised_by=profile.recognised_by,
        lamps=profile.lamps,
        flat_lamps=profile.flat_lamps,
        out_of_beam=profile.out_of_beam,
        standard_radius_arcsec=profile.standard_radius_arcsec,
        slit_from_field_deg=profile.slit_from_field_deg,
        slit_direction=profile.slit_direction,
        target_x_px=profile.target_x_px,
        dark_sky_rate=profile.dark_sky_rate,
        unverified=profile.unverified,
        vertical_slits=profile.vertical_slits,
        imaging=profile.imaging,
        digest=digest.hexdigest(),
    )


def _kind(name: str) -> FrameKind:
    try:
        return FrameKind(name)
    except ValueError as cause:
        raise ProfileError(f"[sets.{name}] is not a kind of frame") from cause


def _set_rule(name: str, entry: _Set) -> SetRule:
    return SetRule(
        kind=_kind(name),
        same=entry.same,
        at_least=entry.at_least,
        closes_after_s=entry.closes_after_s,
        within_days=entry.within_days,
    )

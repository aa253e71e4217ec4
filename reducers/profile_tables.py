"""The tables of facts beside a profile: arc lines, standards, extinction."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reducers.errors import ProfileError
from reducers.instrument import ArcLine, Standard
from reducers.profile_schema import structure

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class _Star:
    name: str
    aliases: tuple[str, ...]
    ra_deg: float
    dec_deg: float
    table: str
    source: str
    medium: str = "air"
    pm_ra_mas_yr: float = 0.0
    pm_dec_mas_yr: float = 0.0
    radial_velocity_km_s: float = 0.0
    verified: bool = True
    position_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    star: tuple[_Star, ...]


def read_lines(path: Path) -> tuple[ArcLine, ...]:
    """Return the arc lines of a CSV table (vacuum Angstrom, ion, strength), by wavelength."""
    rows = _rows(path, 3)
    lines = [
        ArcLine(
            wavelength_angstrom=_number(row[0], path), ion=row[1], strength=_number(row[2], path)
        )
        for row in rows
    ]
    return tuple(sorted(lines, key=lambda line: line.wavelength_angstrom))


def read_extinction(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return wavelengths (Angstrom) and magnitudes per airmass of a CSV table."""
    wavelengths, magnitudes = _columns(path, 2)
    return wavelengths, magnitudes


def read_standards(folder: Path) -> tuple[Standard, ...]:
    """Return every standard of `index.toml` in a folder with its flux table."""
    index_path = folder / "index.toml"
    try:
        table = tomllib.loads(index_path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as cause:
        raise ProfileError(f"{index_path.name}: {cause}") from cause
    index = structure(_Index, table, index_path.name)
    return tuple(_standard(star, folder) for star in index.star)


def _standard(star: _Star, folder: Path) -> Standard:
    if star.medium not in ("air", "vacuum"):
        raise ProfileError(f"{star.name}: medium is 'air' or 'vacuum', not {star.medium!r}")
    wavelengths, magnitudes, bands = _columns(folder / star.table, 3)
    return Standard(
        name=star.name,
        aliases=star.aliases,
        ra_deg=star.ra_deg,
        dec_deg=star.dec_deg,
        wavelength_angstrom=wavelengths,
        ab_magnitude=magnitudes,
        bandpass_angstrom=bands,
        source=star.source,
        radial_velocity_km_s=star.radial_velocity_km_s,
        medium=star.medium,
        pm_ra_mas_yr=star.pm_ra_mas_yr,
        pm_dec_mas_yr=star.pm_dec_mas_yr,
        verified=star.verified,
    )


def _columns(path: Path, count: int) -> list[tuple[float, ...]]:
    rows = _rows(path, count)
    return [tuple(_number(row[index], path) for row in rows) for index in range(count)]


def _rows(path: Path, count: int) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as cause:
        raise ProfileError(f"{path.name}: {cause}") from cause
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)][1:]
    for row in rows:
        if len(row) != count:
            raise ProfileError(f"{path.name}: expected {count} columns in {','.join(row)!r}")
    return rows


def _number(text: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError as cause:
        raise ProfileError(f"{path.name}: {text!r} is not a number") from cause

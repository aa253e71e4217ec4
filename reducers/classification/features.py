"""Where stars, galaxies and active nuclei absorb and emit, as profiles on the logarithmic bins."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

import numpy as np
from scipy.special import expit

from reducers.classification.grid import BINS, FIRST_ANGSTROM, STEP
from reducers.frame import Vector, read_only
from reducers.spectroscopy.lines import vacuum_to_air

#: The bins go on so far to the blue, for lines of the far ultraviolet at high redshift.
BLUER_BINS = 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Lines and bands that come together.

    Attributes
    ----------
    name
        For people.
    emission
        Whether they are seen in emission.
    lines : tuple of (wavelength, relative depth, full width at half maximum)
        Air Angstrom.
    bands : tuple of (head, end, depth at the head, depth at the end)
        Air Angstrom.
    """

    name: str
    emission: bool
    lines: tuple[tuple[float, float, float], ...]
    bands: tuple[tuple[float, float, float, float], ...]


@cache
def groups() -> dict[str, Group]:
    """Return every group of lines by its key in `feature_lines.toml`."""
    text = resources.files(__package__).joinpath("feature_lines.toml").read_text(encoding="utf-8")
    found = {}
    for key, table in tomllib.loads(text).items():
        lines = [
            (
                float(vacuum_to_air(at)) if table["medium"] == "vacuum" and at > 2000 else at,
                depth,
                width,
            )
            for at, depth, width in table.get("lines", ())
        ]
        found[key] = Group(
            name=table["name"],
            emission=bool(table.get("emission", False)),
            lines=tuple(lines),
            bands=tuple(tuple(band) for band in table.get("bands", ())),
        )
    return found


def rest_profile(key: str, resolution_angstrom: float) -> Vector:
    """Return flux over continuum less one of a group at redshift 0, (BLUER_BINS + BINS,).

    Parameters
    ----------
    key
        Of a group, or of its line number n alone: 'calcium', 'calcium:1'.
    resolution_angstrom
        Full width at half maximum of an unresolved line; lines keep their equivalent widths.
    """
    return _rest_profile(key, round(resolution_angstrom, 1))


@lru_cache(maxsize=256)
def _rest_profile(key: str, resolution: float) -> Vector:
    name, _, number = key.partition(":")
    group = groups()[name]
    wave = FIRST_ANGSTROM * np.exp(STEP * (np.arange(-BLUER_BINS, BINS) + 0.5))
    values = np.zeros(wave.size)
    for at, depth, width in (group.lines[int(number)],) if number else group.lines:
        seen = float(np.hypot(width, resolution))
        values += depth * width / seen * np.exp(-4 * np.log(2) * ((wave - at) / seen) ** 2)
    for head, end, at_head, at_end in group.bands if not number else ():
        # A band begins and ends as sharply as the resolution lets it.
        within = expit(4 * (wave - head) / resolution) * expit(4 * (end - wave) / resolution)
        part = np.clip((wave - head) / (end - head), 0, 1)
        values += within * (at_head + (at_end - at_head) * part)
    return read_only(values if group.emission else -values, np.float64)


def at_lag(profile: Vector, lag: float) -> Vector:
    """Return a rest profile on the bins, (BINS,), moved to the red by `lag` bins (any number)."""
    index = np.arange(BINS) + BLUER_BINS - lag
    return np.asarray(np.interp(index, np.arange(profile.size), profile, left=0.0, right=0.0))

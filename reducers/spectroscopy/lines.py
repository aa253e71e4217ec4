"""Wavelengths of lamp and night-sky lines, and the conversion between air and vacuum."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.instrument import ArcLine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.instrument import Grism

#: Ions that each lamp shows; a lamp that is not named here shows every line of the list.
LAMP_IONS = {
    "He": ("HeI",),
    "Ne": ("NeI",),
    "Ar": ("ArI", "ArII"),
    "ThAr": ("ThAr", "ArI", "ArII"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyLine:
    """One isolated night-sky emission line: vacuum Angstrom and who emits it."""

    wavelength_angstrom: float
    emitter: str


def refractive_index(vacuum_angstrom: Any) -> Any:
    """Return the index of dry air at 15 C, 101325 Pa, 450 ppm CO2 (Ciddor 1996, Appl. Opt. 35)."""
    wavenumber_sq = (1e4 / np.asarray(vacuum_angstrom, dtype=np.float64)) ** 2
    excess = 0.05792105 / (238.0185 - wavenumber_sq) + 0.00167917 / (57.362 - wavenumber_sq)
    return 1.0 + excess


def vacuum_to_air(vacuum_angstrom: Any) -> Any:
    """Return air wavelengths (Angstrom) of vacuum wavelengths above 2000 A."""
    return np.asarray(vacuum_angstrom, dtype=np.float64) / refractive_index(vacuum_angstrom)


def air_to_vacuum(air_angstrom: Any) -> Any:
    """Return vacuum wavelengths (Angstrom) of air wavelengths: the exact inverse, by iteration."""
    air = np.asarray(air_angstrom, dtype=np.float64)
    vacuum = air.copy()
    for _ in range(4):
        vacuum = air * refractive_index(vacuum)
    return vacuum


def lines_of_lamps(lines: Sequence[ArcLine], lamps: Sequence[str]) -> tuple[ArcLine, ...]:
    """Return the lines that the lit `lamps` show; all of them when a lamp is not known."""
    if not lamps or any(lamp not in LAMP_IONS for lamp in lamps):
        return tuple(lines)
    ions = {ion for lamp in lamps for ion in LAMP_IONS[lamp]}
    return tuple(line for line in lines if line.ion in ions)


def reference_lines(grism: Grism, lines: Sequence[ArcLine]) -> tuple[ArcLine, ...]:
    """Return `lines` with strengths; lamps measured with this grism come from its own table.

    A line that nobody saw counts as the faintest of its ion, or 1 when none of them was measured.
    """
    measured = _measured().get(grism.name)
    known = {ion for lamp in measured.lamps for ion in LAMP_IONS[lamp]} if measured else set()
    completed = complete_strengths([line for line in lines if line.ion not in known])
    own = measured.lines if measured else ()
    return tuple(sorted([*own, *completed], key=lambda line: line.wavelength_angstrom))


def complete_strengths(lines: Sequence[ArcLine]) -> tuple[ArcLine, ...]:
    """Return `lines`; those without a strength count as the faintest of their ion."""
    faintest = {ion: _faintest(lines, ion) for ion in {line.ion for line in lines}}
    return tuple(
        line if line.strength > 0 else replace(line, strength=faintest[line.ion]) for line in lines
    )


def _faintest(lines: Sequence[ArcLine], ion: str) -> float:
    strengths = [line.strength for line in lines if line.ion == ion and line.strength > 0]
    return min(strengths, default=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceArc:
    """What the lamps show through one grism, measured once.

    Attributes
    ----------
    lamps : tuple of str
        Lamps whose lines the table holds completely.
    lines : tuple of ArcLine
        All lines, wavelength rising.
    row_of : mapping of float to float
        Vacuum Angstrom to detector y (unbinned px) of the lines that stand alone.
    """

    lamps: tuple[str, ...]
    lines: tuple[ArcLine, ...]
    row_of: Mapping[float, float]


def reference_arc(grism: Grism) -> ReferenceArc | None:
    """Return the measured reference of the grism; None where no arc of it has been seen."""
    return _measured().get(grism.name)


@cache
def _measured() -> dict[str, ReferenceArc]:
    tables = {}
    for entry in resources.files("reducers.instruments").joinpath("arcs").iterdir():
        if entry.name.endswith(".toml"):
            table = tomllib.loads(entry.read_text(encoding="utf-8"))
            alone = [(float(w), str(ion), float(s)) for _, w, ion, s in table["isolated"]]
            blended = [(float(w), str(ion), float(s)) for w, ion, s in table["blended"]]
            tables[str(table["grism"])] = ReferenceArc(
                lamps=tuple(table["lamps"]),
                lines=tuple(
                    ArcLine(wavelength_angstrom=w, ion=ion, strength=strength)
                    for w, ion, strength in sorted(alone + blended)
                ),
                row_of={float(w): float(row) for row, w, *_ in table["isolated"]},
            )
    return tables


def _sky(air_angstrom: float, emitter: str) -> SkyLine:
    return SkyLine(wavelength_angstrom=float(air_to_vacuum(air_angstrom)), emitter=emitter)


#: Night-sky lines that stand alone at a resolution near 400.  Air wavelengths of Osterbrock et al.
#: (1996, PASP 108, 277).  OH lines are left out: at this resolution every one of them is a blend
#: whose centre moves with the rotational temperature.
SKY_LINES: tuple[SkyLine, ...] = (
    _sky(5577.338, "[O I]"),
    _sky(6300.304, "[O I]"),
    _sky(6363.776, "[O I]"),
)

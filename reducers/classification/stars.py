"""The spectral class of a star, from the strengths of its lines and its colour."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from reducers.classification.features import groups
from reducers.classification.flat_spectrum import explained
from reducers.classification.grid import centres

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.classification.flat_spectrum import Flat
    from reducers.frame import Vector

_LETTERS = "OBAFGKM"
#: Features of a class are known no better than this part of them, and this (Angstrom).
_KNOWN_TO, _LEAST_WIDTH_ERROR = 0.25, 0.25
#: The slope of the continuum (d ln flux / d ln wavelength) is calibrated no better than this, and
#: dust makes stars redder by as much as this.
_SLOPE_ERROR, _DUST = 0.5, 1.5
#: A class is told when it is known to so many subclasses (tenths of a class), 1 sigma.
_SURE = 7.0
_STEP, _WIDE_SNR = 1.0, 6.0
_PLANCK = 1.43878e8
#: The line of each group whose equivalent width the table gives.
_OF = {
    "balmer": ("balmer:2",), "calcium": ("calcium:0",), "g_band": ("g_band:0",),
    "magnesium": ("magnesium:0", "magnesium:1", "magnesium:2"), "sodium": ("sodium:0", "sodium:1"),
    "helium": ("helium:2",), "ionised_helium": ("ionised_helium:1",),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StarClass:
    """A spectral class.

    Attributes
    ----------
    name
        'K3', 'DA' (white dwarf with hydrogen), 'DB' (with helium) or 'CV' (emission of a disc);
        '' where no class can be told.
    error
        In subclasses, a tenth of a class each; 0 where it is a kind of its own.
    """

    name: str = ""
    error: float = 0.0

    @property
    def words(self) -> str:
        """For people."""
        if not self.name:
            return "of no class that its lines settle"
        return f"{self.name} +- {self.error:.0f} subclasses" if self.error else self.name


def star_class(flat: Flat, strengths: dict[str, float], snr: dict[str, float]) -> StarClass:
    """Return the class of a star.

    Parameters
    ----------
    flat
        Its spectrum over its continuum.
    strengths, snr
        Of groups of features, all fitted together at redshift 0.

    Notes
    -----
    Measured equivalent widths are compared with those of a table of classes, interpolated to
    subclasses, and the slope of the continuum with Planck's law; dust may redden it. A class is
    told where the likely ones lie close together.
    """
    odd = _odd_kind(strengths, snr)
    if odd:
        return StarClass(name=odd)
    table = _classes()
    keys = [key for key in (*_OF, "titanium_oxide") if flat.covers(key, 0.0)]
    if sum(snr.get(key, 0.0) > 3.0 for key in keys) == 0:
        return StarClass()
    alone = explained(flat, [*keys, "iron", "break_4000", "calcium_hydride"], 0.0)
    codes = np.arange(table["code"][0], table["code"][-1] + 0.1, _STEP)
    chi2 = np.zeros(codes.size)
    for key in keys:
        expected = np.interp(codes, table["code"], table[key])
        scale = _width_of_unit(key)
        measured = alone.strengths[key] * scale
        error = _error(alone.strengths[key], alone.snr[key], scale)
        known = np.hypot(_KNOWN_TO * expected, _LEAST_WIDTH_ERROR if scale != 1 else 0.02)
        chi2 += ((measured - expected) ** 2) / (error**2 + known**2)
    chi2 += _colour(flat, np.interp(codes, table["code"], table["kelvin"]))
    weights = np.exp(-0.5 * (chi2 - chi2.min()))
    mean = float(np.average(codes, weights=weights))
    error = float(np.sqrt(np.average((codes - mean) ** 2, weights=weights)))
    if error > _SURE or chi2.min() > 30 + 6 * len(keys):
        return StarClass()
    return StarClass(name=_name(mean), error=max(error, 1.0))


def _odd_kind(strengths: dict[str, float], snr: dict[str, float]) -> str:
    """Return the kind of a star that is on no main sequence; '' for the others."""
    absorbed = strengths.get("balmer", 0.0) + strengths.get("balmer_broad", 0.0)
    # Emission that only fills the cores of lines corrects their shape.
    emitted = snr.get("balmer_emission", 0) > _WIDE_SNR and strengths["balmer_emission"]
    if emitted > max(absorbed, 0.15):
        return "CV"
    wide, helium = snr.get("balmer_broad", 0), snr.get("helium_broad", 0)
    if wide > _WIDE_SNR and strengths["balmer_broad"] > 1.0 * strengths.get("balmer", 0) + 0.1:
        return "DA"
    if helium > _WIDE_SNR and strengths["helium_broad"] > 0.1 and helium > 1.5 * wide:
        return "DB"
    return ""


@cache
def _classes() -> dict[str, Vector]:
    """Return the columns of the table; 'code' counts subclasses from O0."""
    text = resources.files(__package__).joinpath("star_classes.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    columns = dict(zip(table["columns"], zip(*table["rows"], strict=True), strict=True))
    code = [10 * _LETTERS.index(name[0]) + float(name[1:]) for name in columns.pop("class")]
    return {"code": np.array(code), **{key: np.array(each) for key, each in columns.items()}}


def _width_of_unit(key: str) -> float:
    """Return the equivalent width of a group of strength 1 (Angstrom); 1 for bands."""
    lines = groups()[key].lines
    of = [lines[int(each.partition(":")[2])] for each in _OF.get(key, ())]
    return sum(1.064 * depth * width for _, depth, width in of) if of else 1.0


def _error(strength: float, snr: float, scale: float) -> float:
    """Return the error of a strength; of one that is 0 only that it is not large."""
    return strength / snr * scale if snr > 0 else 0.5 * (scale if scale == 1 else 1.0)


def _colour(flat: Flat, kelvin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chi square of the continuum's slope at each temperature; dust makes redder."""
    wave = centres()[flat.start : flat.stop]
    inside = (wave > 4150) & (wave < 8800) & (flat.weights > 0)
    if np.ptp(wave[inside]) < 2000 if inside.any() else True:
        return np.zeros(kelvin.size)
    logs = np.log(wave[inside])
    slope = np.polyfit(logs, np.log(flat.continuum[inside]), 1)[0]
    planck = -5 * logs - np.log(np.expm1(_PLANCK / (wave[inside] * kelvin[:, None])))
    off = slope - np.polyfit(logs, planck.T, 1)[0]
    return np.asarray((off / np.where(off > 0, _DUST, _SLOPE_ERROR)) ** 2)


def _name(code: float) -> str:
    number = round(code)
    return f"{_LETTERS[min(number // 10, len(_LETTERS) - 1)]}{number % 10}"

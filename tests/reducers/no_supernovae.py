"""Made-up stars, galaxies, quasars and nothing: Planck's law and lines of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from collections.abc import Callable

Vector = NDArray[np.float64]

PIXEL, RESOLUTION = 3.35, 16.0

#: Temperature and equivalent widths (Angstrom, rough) of main-sequence stars, and the depth of
#: TiO at 7053 A: H-gamma, Ca K, G band, Mg b, Na D, He I 4471, He II 4542, TiO.
STARS = {
    "O5": (42000, 2.0, 0.1, 0.0, 0.0, 0.3, 0.4, 0.8, 0.0),
    "B0": (31000, 3.3, 0.1, 0.0, 0.0, 0.3, 1.0, 0.1, 0.0),
    "B5": (15500, 6.5, 0.2, 0.0, 0.0, 0.2, 0.7, 0.0, 0.0),
    "A0": (9700, 13.0, 0.8, 0.0, 0.2, 0.2, 0.0, 0.0, 0.0),
    "A5": (8100, 11.5, 2.6, 0.2, 0.6, 0.4, 0.0, 0.0, 0.0),
    "F0": (7200, 8.0, 4.8, 1.0, 0.8, 0.6, 0.0, 0.0, 0.0),
    "F5": (6550, 5.0, 6.8, 3.0, 1.3, 0.9, 0.0, 0.0, 0.0),
    "G0": (5930, 3.0, 8.0, 4.6, 2.2, 1.3, 0.0, 0.0, 0.0),
    "G5": (5660, 2.2, 9.0, 5.3, 3.0, 1.8, 0.0, 0.0, 0.0),
    "K0": (5270, 1.0, 10.5, 6.0, 4.5, 2.8, 0.0, 0.0, 0.0),
    "K5": (4440, 0.3, 13.0, 5.5, 8.5, 6.5, 0.0, 0.0, 0.03),
    "M0": (3850, 0.0, 13.0, 4.5, 9.0, 7.5, 0.0, 0.0, 0.16),
    "M3": (3400, 0.0, 12.0, 4.0, 8.0, 8.0, 0.0, 0.0, 0.35),
    "M5": (3050, 0.0, 11.0, 3.0, 7.0, 9.0, 0.0, 0.0, 0.52),
}
_TIO = ((4954, 5150, 0.75), (5167, 5400, 0.8), (5448, 5620, 0.5), (5847, 6050, 0.55),
        (6158, 6380, 0.7), (6651, 6830, 0.55), (7053, 7270, 1.0), (7589, 7800, 0.8),
        (8432, 8600, 0.8), (8859, 9100, 0.6))  # fmt: skip


def planck(wave: Vector, kelvin: float) -> Vector:
    light = wave**-5 / np.expm1(1.43878e8 / (wave * kelvin))
    return np.asarray(light / np.interp(5500.0, wave, light))


def line(wave: Vector, at: float, equivalent_width: float, fwhm: float) -> Vector:
    """Return a Lorentz-winged line's flux over the continuum less one; negative widths emit."""
    gauss = np.exp(-2.7726 * ((wave - at) / fwhm) ** 2) / (1.0645 * fwhm)
    lorentz = (fwhm / 2 / np.pi) / ((wave - at) ** 2 + (fwhm / 2) ** 2)
    return np.asarray(-equivalent_width * (0.6 * gauss + 0.4 * lorentz))


def star(wave: Vector, kind: str, rng: np.random.Generator) -> Vector:
    """Return the flux of a star of this class at vacuum wavelengths; widths are off by 15 %."""
    wave = wave / 1.000277  # the lines below are of air
    kelvin, hydrogen, k_line, g_band, mg, na, helium, helium_2, tio = STARS[kind]
    flux = planck(wave, kelvin * rng.uniform(0.97, 1.03))
    more = rng.normal(1, 0.15, 40)
    lines = [(6563.0, 0.75 * hydrogen, 16), (4861.0, 0.95 * hydrogen, 17),
             (4340.5, hydrogen, 17), (4101.7, hydrogen, 17), (3970.1, hydrogen, 15),
             (3889.1, 0.9 * hydrogen, 14), (3835.4, 0.8 * hydrogen, 13),
             (3933.7, k_line, 6 + k_line), (3968.5, 0.85 * k_line, 6 + k_line),
             (4304.0, g_band, 28), (4226.7, 0.2 * g_band, 6), (5167.3, 0.3 * mg, 5),
             (5172.7, 0.35 * mg, 6), (5183.6, 0.35 * mg, 6), (5893.0, na, 9),
             (4026.2, 0.8 * helium, 7), (4471.5, helium, 7), (5875.6, 0.7 * helium, 6),
             (6678.2, 0.6 * helium, 6), (4199.8, 0.8 * helium_2, 7), (4541.6, helium_2, 7),
             (4685.7, 1.2 * helium_2, 7), (5411.5, 1.2 * helium_2, 8),
             (8542.1, 0.3 * k_line, 6), (8662.1, 0.25 * k_line, 6), (8498.0, 0.12 * k_line, 5),
             (5270.0, 0.25 * g_band, 12), (4383.5, 0.25 * g_band, 8), (3820.0, 0.6 * g_band, 20),
             (4045.8, 0.2 * g_band, 8)]  # fmt: skip
    for number, (at, width, fwhm) in enumerate(lines):
        flux *= np.maximum(1 + line(wave, at, width * max(more[number], 0), fwhm), 0.05)
    for head, end, depth in _TIO:
        inside = (wave >= head) & (wave < end)
        flux[inside] *= 1 - tio * depth * (1 - (wave[inside] - head) / (end - head))
    if tio > 0.1:
        flux *= np.where((wave > 6780) & (wave < 7045), 1 - 0.4 * tio, 1)
    return flux * (wave / 5500) ** rng.uniform(0, 0.8)


def white_dwarf(wave: Vector, kind: str, rng: np.random.Generator) -> Vector:
    """Return a DA or DB white dwarf."""
    flux = planck(wave, rng.uniform(10000, 25000))
    hydrogen = ((6563, 20), (4861, 30), (4340, 32), (4102, 28), (3970, 15), (3889, 7))
    helium = ((4026, 12), (4471, 22), (4922, 10), (5016, 8), (5876, 15), (6678, 9))
    for at, width in hydrogen if kind == "DA" else helium:
        flux *= np.maximum(1 + line(wave, at, width * rng.uniform(0.6, 1.2), 60), 0.1)
    return flux


def cataclysmic(wave: Vector, rng: np.random.Generator) -> Vector:
    """Return a blue continuum with the emission of a disc."""
    flux = (wave / 5500) ** rng.uniform(-2.5, -1.0)
    strength, fwhm = rng.uniform(20, 90), rng.uniform(18, 34)
    for at, part in ((6563, 1), (4861, 0.6), (4340, 0.45), (4102, 0.35), (5876, 0.25),
                     (6678, 0.12), (4471, 0.12), (4686, 0.15), (7065, 0.1)):  # fmt: skip
        flux *= 1 + line(wave, at, -strength * part, fwhm * at / 6000)
    return flux


def galaxy(rest: Vector, kind: str, rng: np.random.Generator) -> Vector:
    """Return an old ('E'), mixed ('S') or star-forming ('H') galaxy."""
    old, young = star(rest, "K0", rng), star(rest, "A0", rng)
    for at, deep, fwhm in ((3860, 0.15, 70), (4175, 0.05, 50), (4668, 0.04, 40),
                           (5015, 0.05, 40), (5335, 0.05, 18), (5406, 0.03, 14),
                           (6190, 0.04, 90), (7130, 0.06, 120)):  # fmt: skip
        old *= 1 - deep * np.exp(-2.77 * ((rest - at) / fwhm) ** 2)
    old *= np.where(rest < 3990, rng.uniform(0.55, 0.75), 1)
    share = {"E": 0.0, "S": 0.15, "H": 0.5}[kind]
    flux = (1 - share) * old + share * young * (rest / 5500) ** 0.5
    strength = {"E": 0.0, "S": rng.uniform(2, 10), "H": rng.uniform(15, 60)}[kind]
    for at, part in ((6564.6, 1), (6585.3, 0.4), (6549.9, 0.13), (6718.3, 0.2), (6732.7, 0.17),
                     (4862.7, 0.25), (5008.2, 0.4), (4960.3, 0.13), (3728.5, 0.7)):  # fmt: skip
        flux += line(rest, at, -strength * part, 5) * np.interp(at, rest, flux)
    return flux


def quasar(rest: Vector, rng: np.random.Generator) -> Vector:
    """Return a power law with broad lines, iron and the forest."""
    flux = (rest / 3000) ** rng.uniform(-1.9, -0.8)
    fwhm = rng.uniform(2500, 8000) / 299792
    strength = rng.uniform(0.5, 1.5)
    for at, width, broader in ((1215.7, 80, 1), (1240.1, 18, 1.1), (1398.5, 8, 1.2),
                               (1549.1, 25, 1), (1640, 5, 1.2), (1908.7, 21, 1.3),
                               (2798.8, 32, 0.9),
                               (4102.9, 6, 1), (4341.7, 13, 1), (4862.7, 46, 1),
                               (6564.6, 190, 0.9)):  # fmt: skip
        more = strength * rng.uniform(0.7, 1.3)
        flux *= 1 + line(rest, at, -width * more, fwhm * at * broader)
    for at, high, wide in ((2080, 0.05, 60), (2250, 0.08, 90), (2480, 0.13, 140), (4570, 0.12, 130),
                           (5200, 0.06, 60), (5320, 0.08, 110), (3200, 0.1, 300)):  # fmt: skip
        flux *= 1 + strength * high * np.exp(-2.77 * ((rest - at) / wide) ** 2)
    narrow = rng.uniform(0, 15)
    for at, part in ((5008.2, 1), (4960.3, 0.33), (3728.5, 0.2)):
        flux *= 1 + line(rest, at, -narrow * part, 8)
    forest = rest < 1215.7
    flux[forest] *= 1 - rng.uniform(0.1, 0.5) * rng.uniform(0.2, 1.0, forest.sum())
    return flux


def seen(
    make: Callable[[Vector], Vector], rng: np.random.Generator, snr: float, redshift: float = 0.0,
    blue: float = 3500.0, red: float = 9100.0,
) -> Spectrum:  # fmt: skip
    """Return what grism 4 sees of a function of rest wavelength, with a calibration off by 2 %."""
    wave = np.arange(blue, red, PIXEL)
    flux = make(wave / (1 + redshift))
    ripple = gaussian_filter1d(rng.normal(size=wave.size), 60)
    flux = flux / np.median(flux) * (1 + 0.02 * ripple / ripple.std())
    flux = gaussian_filter1d(flux, RESOLUTION / 2.355 / PIXEL)
    through = np.interp(wave, [3500, 3900, 4500, 6000, 7500, 9100], [0.15, 0.5, 0.9, 1, 0.8, 0.4])
    error = np.sqrt(np.maximum(flux, 0.05) / through + 0.5 / through**2)
    error *= np.median(flux / error) / snr
    return Spectrum(
        wavelength=wave, flux=1e-16 * (flux + error * rng.normal(size=wave.size)),
        error=1e-16 * error, sky=np.zeros(wave.size), mask=np.zeros(wave.size, np.uint16),
        unit="erg / (s cm2 Angstrom)",
    )  # fmt: skip


def featureless(wave: Vector, rng: np.random.Generator) -> Vector:
    """Return a power law."""
    return np.asarray((wave / 5500) ** rng.uniform(-2.5, 1.5))

"""Light that reaches the slit: lamps, the night sky, and objects."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate.pointing import vacuum

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.records import Source

COLLECTING_AREA_CM2 = np.pi / 4 * 256**2
PLANCK_C_ERG_ANGSTROM = 1.98644586e-8
GAIN_E_PER_ADU = 0.18
PEAK_THROUGHPUT = 0.18
# fmt: off
#: Wavelength, shape relative to 5500 A: two standards through grism 4.
THROUGHPUT = (
    (2800, 3000, 3200, 3400, 3600, 3800, 4000, 4250, 4500, 5000, 5500, 6000, 6500, 7000, 7500,
     8000, 8500, 9000, 9300, 9700, 10500),
    (0, 0.0005, 0.01, 0.06, 0.14, 0.25, 0.50, 0.70, 0.86, 0.97, 1, 0.95, 0.86, 0.79, 0.71,
     0.58, 0.44, 0.27, 0.18, 0.10, 0.01),
)
#: Wavelength, ADU per 1x2 pixel in 1030 s through a 1.0 arcsec slit.
SKY_CONTINUUM = (
    (2800, 3200, 3400, 3500, 3600, 3740, 3850, 4000, 4250, 4450, 5000, 5500, 6000, 6500, 7000,
     7600, 8000, 8500, 9200, 9700),
    (4, 14, 20, 28, 36, 58, 82, 94, 124, 152, 155, 160, 178, 130, 124, 128, 80, 72, 62, 50),
)
#: Scattered sky light that no wavelength owns, in the same unit.
SKY_PEDESTAL_ADU = 22.0
#: Wavelength, ADU per 1x2 pixel in 5 s of halogen light: straight through, without scatter.
HALOGEN = (
    (3000, 3400, 3564, 3736, 3915, 4099, 4288, 4480, 4677, 4877, 5079, 5284, 5491, 5700, 5911,
     6124, 6338, 6554, 6770, 6988, 7208, 7428, 7649, 7871, 8094, 8317, 8541, 8764, 8988,
     9210, 9432, 9652, 9900),
    (0, 60, 500, 1000, 2000, 3100, 5200, 8600, 13000, 17400, 24000, 33000, 42500, 53500, 63000,
     72500, 80000, 87000, 95000, 104000, 117000, 128500, 136000, 138500, 139000, 135700, 125500,
     116500, 104500, 84000, 62000, 41000, 20000),
)
#: Binned row, ADU in 5 s: halogen light scattered inside the camera.
HALOGEN_SCATTER = (
    (0, 400, 800, 900, 930, 960, 990, 1031),
    (7000, 7400, 7200, 7100, 7000, 7700, 8200, 10200),
)
# fmt: on
#: Binned row, ADU in 3 s of He+Ne.
ARC_SCATTER = (
    (0, 100, 200, 350, 500, 550, 650, 800, 950, 1031),
    (3300, 4600, 3900, 2750, 2800, 1780, 1420, 1200, 960, 900),
)

#: The lamps at the calibration unit and what shines in them.
LAMP_IONS = {"He": ("HeI",), "Ne": ("NeI",), "ThAr": ("ThAr",)}


@cache
def line_table(name: str) -> tuple[tuple[float, str, float], ...]:
    """Return (wavelength, ion, strength) of a shipped line table, vacuum Angstrom."""
    text = (files("reducers.simulate") / "tables" / f"{name}.csv").read_text(encoding="ascii")
    rows = [line.split(",") for line in text.splitlines() if line and not line.startswith("#")]
    if name == "sky_lines":
        return tuple((float(vacuum(float(w))), "sky", float(s)) for w, s in rows)
    return tuple((float(w), ion, float(strength)) for w, ion, strength in rows)


def photon_throughput(wavelength_angstrom: Any) -> Any:
    """Return the share of photons that telescope, spectrograph and detector keep."""
    return PEAK_THROUGHPUT * np.interp(wavelength_angstrom, *THROUGHPUT, left=0, right=0)


def telluric(wavelength_angstrom: Any, airmass: float) -> Any:
    """Return the transmission of molecular oxygen and water, as broad as it looks at R = 400."""
    w = np.asarray(wavelength_angstrom, dtype=float)
    depth = np.zeros_like(w)
    bands = (
        (6280, 10, 0.03), (6872, 7, 0.22), (6892, 16, 0.16), (7185, 28, 0.10), (7250, 40, 0.06),
        (7607, 9, 0.85), (7640, 22, 0.62), (8160, 30, 0.08), (8230, 35, 0.12), (8980, 40, 0.14),
        (9340, 60, 0.45), (9480, 50, 0.22),
    )  # fmt: skip
    for centre, sigma, opacity in bands:
        depth += opacity * np.exp(-0.5 * ((w - centre) / sigma) ** 2)
    return np.exp(-depth * airmass**0.6)


def flux_of(source: Source, wavelength_angstrom: Any, instrument: Instrument) -> Any:
    """Return erg / (s cm2 A) of a source above the atmosphere at vacuum wavelengths."""
    w = np.asarray(wavelength_angstrom, dtype=float)
    if source.model.startswith("standard:"):
        return _standard_flux(source.model.removeprefix("standard:"), w, instrument)
    shape, at_5500 = MODELS[source.model](w), MODELS[source.model](np.array([5500.0]))[0]
    return ab_flux(source.ab_magnitude, 5500.0) * shape / at_5500


def ab_flux(ab_magnitude: Any, wavelength_angstrom: Any) -> Any:
    """Return erg / (s cm2 A) of an AB magnitude."""
    per_hertz = 10 ** (-0.4 * (np.asarray(ab_magnitude) + 48.60))
    return per_hertz * 2.99792458e18 / np.asarray(wavelength_angstrom) ** 2


def _standard_flux(name: str, w: Any, instrument: Instrument) -> Any:
    standard = next(s for s in instrument.standards if s.name == name)
    own = np.array(standard.wavelength_angstrom)
    at = own if standard.medium == "vacuum" else vacuum(own)
    return ab_flux(np.interp(w, at, np.array(standard.ab_magnitude)), w)


def _line(w: Any, centre: float, sigma: float, height: float) -> Any:
    return height * np.exp(-0.5 * ((w - centre) / sigma) ** 2)


def _black_body(w: Any, kelvin: float) -> Any:
    return w**-5.0 / np.expm1(1.43877e8 / (w * kelvin)) * 1e18


def quasar(w: Any) -> Any:
    """Return the shape of a quasar at redshift 0.9: power law and broad lines."""
    continuum = (w / 5500) ** -1.5
    return continuum * (
        1
        + _line(w, 2799.1 * 1.9, 45, 0.7)
        + _line(w, 4341.7 * 1.9, 60, 0.25)
        + _line(w, 1908.7 * 1.9, 45, 0.5)
        + _line(w, 3728.5 * 1.9, 12, 0.2)
    )


def supernova(w: Any) -> Any:
    """Return the shape of a type Ia supernova near maximum at redshift 0.03."""
    rest = w / 1.03
    troughs = (
        (3750, 70, 0.55), (4300, 70, 0.30), (4850, 90, 0.35), (5420, 50, 0.22), (5620, 45, 0.18),
        (6130, 60, 0.50), (7500, 120, 0.20), (8150, 110, 0.40),
    )  # fmt: skip
    shape = _black_body(rest, 11000)
    for centre, sigma, depth in troughs:
        shape = (
            shape
            * (1 - _line(rest, centre, sigma, depth))
            * (1 + _line(rest, centre + 170, sigma * 1.2, depth / 3))
        )
    return shape


def galaxy(w: Any) -> Any:
    """Return the shape of a star-forming galaxy at redshift 0.05."""
    rest = w / 1.05
    stars = _black_body(rest, 6000)
    for centre, sigma, depth in (
        (3934.8, 9, 0.4),
        (3969.6, 9, 0.4),
        (5176, 18, 0.12),
        (5895, 7, 0.12),
    ):
        stars = stars * (1 - _line(rest, centre, sigma, depth))
    lines = (
        (3728.5, 1.0),
        (4862.7, 0.6),
        (4960.3, 0.4),
        (5008.2, 1.2),
        (6564.6, 2.0),
        (6585.3, 0.7),
    )
    return stars * (1 + sum(_line(rest, at, 3.0, height) for at, height in lines))


def star(w: Any) -> Any:
    """Return the shape of a G star."""
    shape = _black_body(w, 5800)
    for centre, sigma, depth in (
        (3934.8, 9, 0.5),
        (3969.6, 9, 0.5),
        (4862.7, 7, 0.2),
        (6564.6, 6, 0.2),
    ):
        shape = shape * (1 - _line(w, centre, sigma, depth))
    return shape


MODELS = {"quasar": quasar, "supernova": supernova, "galaxy": galaxy, "star": star}

"""Made-up supernovae: P Cygni lines on a smooth continuum, and templates as SNID writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BINS, FIRST, LAST = 1024, 2500.0, 10000.0

#: Where each type absorbs and how deep; emission follows to the red.
FEATURES = {
    "Ia-norm": ((3750, 0.5), (4350, 0.3), (4900, 0.35), (5450, 0.25), (6150, 0.5), (8200, 0.4)),
    "Ib-norm": ((3800, 0.3), (4280, 0.3), (5650, 0.5), (6450, 0.2), (6850, 0.3), (8400, 0.3)),
    "IIP": ((3850, 0.3), (4230, 0.25), (4750, 0.45), (5050, 0.3), (6400, 0.6), (8450, 0.4)),
}


def shape(subtype: str, wavelength: NDArray[np.float64], phase_days: float) -> NDArray[np.float64]:
    """Return the flux over its continuum less one; every second line grows with phase."""
    values = np.zeros(wavelength.shape)
    for number, (at, usual) in enumerate(FEATURES[subtype]):
        depth = usual * np.exp((0.03 if number % 2 else -0.03) * phase_days)
        values -= depth * np.exp(-0.5 * ((wavelength - at) / 60) ** 2)
        values += 0.7 * depth * np.exp(-0.5 * ((wavelength - 1.03 * at) / 90) ** 2)
    return values


def template_text(name: str, subtype: str, phases_days: list[float], flag: int = 0) -> str:
    """Return a `.lnw` file in SNID's columns."""
    bins = FIRST * np.exp(np.log(LAST / FIRST) / BINS * (np.arange(BINS) + 0.5))
    count = len(phases_days)
    spectra = [shape(subtype, bins, phase) for phase in phases_days]
    seen = (bins > 3300) & (bins < 9400)
    lines = [
        f"{count:5d}{BINS:5d}{FIRST:10.2f}{LAST:10.2f}{1:7d}     {name:>12s}{-9.99:7.2f}  "
        f"{subtype:<10s}{1:3d}{2:3d}",
        f"{1:7d}" + "".join(f"{10:3d}{0.5:14.5f}" for _ in phases_days),
        f"{1:7d}" + "".join(f"{2.4:8.4f}{0.1:9.4f}" for _ in phases_days),
        f"{flag:8d}" + "".join(f"{phase:9.3f}" for phase in phases_days),
    ]
    for row, wave in enumerate(bins):
        values = [spectrum[row] if seen[row] else 0.0 for spectrum in spectra]
        lines.append(f"{wave:8.2f}" + "".join(f"{value:9.3f}" for value in values))
    return "\n".join(lines) + "\n"


def write_templates(folder: Path) -> Path:
    """Write two objects of every type and return the folder."""
    folder.mkdir(exist_ok=True)
    for subtype in FEATURES:
        for number, phases in enumerate(([-5.0, 0.0, 10.0, 20.0], [-2.0, 5.0, 15.0])):
            name = f"{subtype.replace('-', '')}{number}"
            (folder / f"{name}.lnw").write_text(template_text(name, subtype, phases))
    return folder


def observed(
    subtype: str,
    redshift: float,
    *,
    snr: float = 20.0,
    phase_days: float = 3.0,
    host_lines: float = 0.0,
    seed: int = 1,
) -> Spectrum:
    """Return a made-up supernova as a low-resolution spectrograph gives it (vacuum)."""
    rng = np.random.default_rng(seed)
    wave = np.arange(3600.0, 9000.0, 3.4)
    rest = wave / (1 + redshift)
    flux = (1 + shape(subtype, rest, phase_days)) * (rest / 5500) ** -0.8
    for at, strength in ((3728.48, 0.5), (4862.68, 0.4), (5008.24, 1.0), (6564.61, 1.2)):
        flux += host_lines * strength * np.exp(-0.5 * ((rest - at) / 6.8) ** 2)
    error = np.full(wave.size, np.median(flux) / snr)
    return Spectrum(
        wavelength=wave,
        flux=1e-16 * (flux + error * rng.normal(size=wave.size)),
        error=1e-16 * error,
        sky=np.zeros(wave.size),
        mask=np.zeros(wave.size, np.uint16),
        unit="erg / (s cm2 Angstrom)",
    )

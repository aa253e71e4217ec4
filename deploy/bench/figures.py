"""What came out of the bench: where lines stand, and how the standard's flux compares."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from scipy.optimize import curve_fit

from reducers.profiles import load_instrument
from reducers.spectroscopy.lines import air_to_vacuum
from reducers.spectroscopy.reference import reference_wavelengths
from reducers.spectroscopy.response import extinction_at

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

EFOSC2 = load_instrument("efosc2")
EG21 = next(star for star in EFOSC2.standards if star.name == "EG 21")
GREEN = 5578.89
BALMER = {"H-beta": (4862.69, 90.0), "H-gamma": (4341.69, 70.0), "H-delta": (4102.90, 55.0)}
BANDS = ((4000, 4500), (4500, 5000), (5000, 5500))


def figures_of_ours(folder: Path) -> None:
    """Print what alfoscd made of the set."""
    print("ours")
    science = next(folder.glob("night/*/J0618*/*.701_1d.fits"))
    standard = next(folder.glob("night/*/EG21/*.548_1d.fits"))
    header = fits.getheader(science)
    print(
        f"  arc rms {header['WAVERMS']:.2f} A, {header['WAVENLIN']:.0f} lines (its own statement)"
    )
    table = fits.getdata(science, 1)
    _sky(table["WAVE"], table["SKY"])
    _signal(table["WAVE"], table["FLUX"], table["ERR"], table["MASK"] == 0)
    star = fits.getdata(standard, 1)
    _balmer(star["WAVE"], star["COUNTS"])
    _flux(star["WAVE"], star["FLUX"])


def figures_of_pynot(folder: Path) -> None:
    """Print what PyNOT made of the set, its air wavelengths turned into vacuum."""
    print("PyNOT")
    log = (folder / "spex.log").read_text(errors="replace")
    said = re.findall(r"Residuals of wavelength solution: ([\d.]+)", log)
    print(f"  arc rms {said[-1] if said else 'not stated'} A (its own statement)")
    with fits.open(next(folder.glob("spectra/J0618*/*/ob1/SKYSUB2D_*.fits"))) as hdus:
        cards = hdus[0].header
        wavelength = cards["CRVAL1"] + cards["CDELT1"] * np.arange(cards["NAXIS1"])
        sky = np.median(hdus["SKY"].data[470:490], axis=0)
    _sky(air_to_vacuum(wavelength), sky)
    with fits.open(next(folder.glob("spectra/J0618*/*/ob1/FLUX1D_*.fits"))) as hdus:
        target = min(hdus[1:], key=lambda hdu: abs(hdu.header["OBJ_POS"] - 480)).data
    good = np.isfinite(target["FLUX"]) & (target["ERR"] > 0)
    _signal(air_to_vacuum(target["WAVE"]), target["FLUX"], target["ERR"], good)
    star = fits.getdata(next(folder.glob("spectra/std/eg21*/*_1d.fits")), 1)
    raw = fits.getheader(next(folder.glob("spectra/std/eg21*/*_1d.fits")), 1)
    response = fits.getdata(next(folder.glob("spectra/std/response_eg21*.fits")), 1)
    vacuum = air_to_vacuum(star["WAVE"])
    _balmer(vacuum, star["FLUX"])
    airmass = float(raw.get("HIERARCH ESO TEL AIRM START", 1.355))
    magnitude = np.interp(star["WAVE"], response["WAVE"], response["RESPONSE"])
    factor = 10 ** (0.4 * (airmass * extinction_at(EFOSC2, vacuum) - magnitude))
    rate = star["FLUX"] / float(raw.get("EXPTIME", 15.0)) / np.gradient(star["WAVE"])
    _flux(vacuum, rate * factor)


def warm_seconds(folder: Path, frames: Path) -> tuple[float, float]:
    """Return wall and CPU seconds of our recipe for the science frame, done a second time."""
    from reducers.fits import read_raw
    from reducers.identify import identify
    from reducers.products import read_master_frame, read_response, read_wavelengths
    from reducers.recipes import Exposure, SpectrumCalibrations, reduce_spectrum

    def master(name: str) -> Path:
        return next(folder.glob(f"night/*/calibrations/master_{name}.fits"))

    given = SpectrumCalibrations(
        bias=read_master_frame(master("bias*")),
        flat=read_master_frame(master("flat*1.2*")),
        wavelengths=read_wavelengths(master("arc*")),
        response=read_response(master("response*")),
    )
    path = next(frames.glob("EFOSC.2022-01-27T02*"))
    for _ in range(2):
        wall, cpu = time.monotonic(), time.process_time()
        raw = read_raw(path, EFOSC2.detector)
        exposure = Exposure(raw=raw, identity=identify(raw.header, EFOSC2), stem=path.stem)
        reduce_spectrum(exposure, given, EFOSC2)
        taken = time.monotonic() - wall, time.process_time() - cpu
    return taken


def _sky(wavelength: Array, sky: Array) -> None:
    near = np.abs(wavelength - GREEN) < 40
    y = sky[near] / np.nanmax(sky[near])

    def line(
        x: Array, height: float, centre: float, width: float, level: float, slope: float
    ) -> Array:
        return height * np.exp(-0.5 * ((x - centre) / width) ** 2) + level + slope * (x - GREEN)

    found, covariance = curve_fit(line, wavelength[near], y, [1, GREEN, 6, 0.2, 0])
    error = covariance[1, 1] ** 0.5
    print(
        f"  sky line [O I] 5577 of the science frame off by {found[1] - GREEN:+.2f} "
        f"+- {error:.2f} A"
    )


def _balmer(wavelength: Array, counts: Array) -> None:
    said = []
    for name, (expected, reach) in BALMER.items():
        # A shift of 31 A takes the line to the edge of the window: look where it is deepest first.
        wide = np.abs(wavelength - expected) < 60
        start = wavelength[wide][np.argmin(np.convolve(counts, np.ones(9) / 9, "same")[wide])]
        near = np.abs(wavelength - start) < reach

        def model(x: Array, *shape: float, middle: float = start) -> Array:
            depth, centre, width, level, slope, bend = shape
            off = x - middle
            return (level + slope * off + bend * off**2) * (
                1 - depth / (1 + ((x - centre) / width) ** 2)
            )

        y = counts[near] / np.median(counts[near])
        found, _ = curve_fit(model, wavelength[near], y, [0.5, start, 20, 1, 0, 0], maxfev=20000)
        said.append(f"{name} {found[1] - expected:+.1f}")
    print(f"  Balmer lines of EG 21 off by {', '.join(said)} A")


def _signal(wavelength: Array, flux: Array, error: Array, good: NDArray[np.bool_]) -> None:
    said = []
    for low, high in BANDS:
        band = (wavelength > low) & (wavelength < high) & good
        f = flux[band]
        second = np.median(np.abs(2 * f[2:-2] - f[:-4] - f[4:]))
        seen = np.median(f) / (1.4826 / np.sqrt(6) * second)
        said.append(f"{low}-{high} A {np.median(f / error[band]):.1f} stated, {seen:.1f} seen")
    print(f"  S/N per pixel of the science target: {'; '.join(said)}")
    band = (wavelength > 4500) & (wavelength < 5600) & good
    print(f"  its median flux 4500-5600 A: {np.median(flux[band]):.2e}")


def _flux(wavelength: Array, flux: Array) -> None:
    ratios = []
    for centre, magnitude, width in zip(
        reference_wavelengths(EG21), EG21.ab_magnitude, EG21.bandpass_angstrom, strict=True
    ):
        inside = np.abs(wavelength - centre) < width / 2
        if 3700 < centre < 5950 and inside.sum() > 5 and np.isfinite(flux[inside]).all():
            true = 10 ** (-0.4 * (magnitude + 48.6)) * 2.99792458e18 / centre**2
            ratios.append(float(flux[inside].mean() / true))
    scatter, middle = np.std(ratios), np.median(ratios)
    print(
        f"  EG 21 over its reference, {len(ratios)} bands 3700-5950 A: median {middle:.3f}, rms "
        f"{100 * scatter:.1f} %, {min(ratios):.2f} to {max(ratios):.2f}"
    )

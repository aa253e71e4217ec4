"""Injected objects come out with their flux and with true errors, whatever their shape.

The injected profile is no Moffat: a Gaussian core on a lopsided halo, wider at the ends of the
spectrum, sampled by pixels; the trace is curved. Position, trace and profile are measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from reducers.frame import Mask
from reducers.spectroscopy.extract import extract, model_variance
from reducers.spectroscopy.shape_fit import fit_profiles
from reducers.spectroscopy.sources import find_sources, slit_profile
from reducers.spectroscopy.trace import trace_source

ROWS, COLUMNS, NOISE_E, SKY_E = 800, 120, 5.8, 35.0
U = np.linspace(-1, 1, ROWS)


def image_profile(path: np.ndarray, fwhm_px: np.ndarray) -> np.ndarray:
    """Return the (rows, columns) share of the light, averaged over nine points per pixel."""
    total = np.zeros((ROWS, COLUMNS))
    width = fwhm_px[:, None]
    for step in (np.arange(9) - 4) / 9:
        away = np.arange(COLUMNS)[None, :] + step - path[:, None]
        core = np.exp(-0.5 * (away / (width / 2.3548)) ** 2) / (width * 1.0645)
        halo = (
            1 / (width * 1.2) / (1 + (away / (width * np.where(away > 0, 0.65, 0.52))) ** 2) ** 2.4
        )
        total += 0.55 * core + 0.45 * halo
    return total / total.sum(axis=1, keepdims=True)


@dataclass
class Injected:
    """Pulls and relative flux error of one object, and its noise over the least possible."""

    pulls: np.ndarray
    bias: float
    efficiency: float


def inject(
    snr: float, fwhm_px: float, *, tilt_px: float = 3.0, second: tuple[float, float] | None = None,
    seed: int = 1,
) -> Injected:  # fmt: skip
    """Extract an object of given S/N per row, with a second at (distance in FWHM, flux ratio)."""
    rng = np.random.default_rng(seed)
    width = fwhm_px * (1 + 0.10 * U**2 + 0.05 * U)
    path = 55.0 + rng.uniform(-0.5, 0.5) + tilt_px * (U / 2 + 0.1 * U**2)
    shapes = [image_profile(path, width)]
    pixels = 1 / float(np.median((shapes[0] ** 2).sum(axis=1)))
    noise = pixels * (SKY_E + NOISE_E**2)
    level = (snr**2 + np.sqrt(snr**4 + 4 * snr**2 * noise)) / 2
    fluxes = [level * (1 + 0.3 * U - 0.3 * U**2 + 0.1 * np.sin(12 * U))]
    if second is not None:
        shapes.append(image_profile(path + second[0] * fwhm_px, width))
        fluxes.append(second[1] * fluxes[0])
    light = sum(f[:, None] * s for f, s in zip(fluxes, shapes, strict=True))
    sky = np.full(light.shape, SKY_E)
    data = rng.poisson(light + sky) + rng.normal(0, NOISE_E, light.shape) - sky
    floor, good = np.full(data.shape, NOISE_E**2), np.ones(data.shape, bool)
    empty = model_variance(sky, np.zeros_like(sky), floor)
    sources = find_sources(*slit_profile(data, empty, good), seeing_px=1.25 * fwhm_px)
    assert len(sources) == len(shapes)
    traces = [trace_source(data, empty + np.maximum(data, 0), good, s) for s in sources]
    profiles = fit_profiles(data, empty, good, traces)
    mask = np.zeros(data.shape, np.uint16)
    found = extract(data, sky, floor, mask, good, traces, profiles)
    first = int(np.argmin([abs(np.median(t.columns - path)) for t in traces]))
    off = found[first].flux - fluxes[0]
    # The least possible noise: everything but the fluxes is known.
    weight = 1 / (light + sky + NOISE_E**2)
    normal = np.array([[(weight * a * b).sum(axis=1) for a in shapes] for b in shapes])
    least = np.linalg.inv(normal.transpose(2, 0, 1))[:, 0, 0]
    errors = np.sqrt(found[first].variance)
    return Injected(
        pulls=off / errors,
        bias=float(off.sum() / fluxes[0].sum()),
        efficiency=float(np.median(np.sqrt(least) / errors)),
    )


@pytest.mark.parametrize("fwhm_px", [2.2, 5.0])
@pytest.mark.parametrize(
    ("snr", "largest_bias"), [(1.0, 0.1), (5.0, 0.03), (15.0, 0.01), (50.0, 0.01), (150.0, 0.01)]
)
def test_flux_is_unbiased_and_errors_are_true(
    snr: float, largest_bias: float, fwhm_px: float
) -> None:
    found = [inject(snr, fwhm_px, seed=seed) for seed in (1, 2)]
    assert abs(np.mean([f.bias for f in found])) < largest_bias
    # 1600 pulls: their width is known to 1.8 %.
    assert np.std(np.concatenate([f.pulls for f in found])) == pytest.approx(1, abs=0.05)
    # At S/N 1 a profile of two pixels is known to a tenth of its width only.
    assert min(f.efficiency for f in found) > (0.95 if snr > 1 else 0.90)


@pytest.mark.parametrize(("distance_fwhm", "ratio"), [(1.5, 1.0), (2.0, 1.0), (2.0, 0.3)])
def test_a_blend_shares_its_light_rightly(distance_fwhm: float, ratio: float) -> None:
    for snr in (15.0, 100.0):
        found = inject(snr, 4.0, second=(distance_fwhm, ratio))
        assert abs(found.bias) < 0.012
        assert np.std(found.pulls) == pytest.approx(1, abs=0.08)


def test_a_steep_trace_costs_nothing() -> None:
    found = inject(50.0, 4.0, tilt_px=20.0)
    assert abs(found.bias) < 0.01
    assert np.std(found.pulls) == pytest.approx(1, abs=0.06)
    assert found.efficiency > 0.95


def test_emission_lines_neither_lose_flux_nor_lend_it_to_the_profile() -> None:
    path = 55.0 + 2 * U
    shape = image_profile(path, np.full(ROWS, 4.0))
    centres = np.arange(40, ROWS - 40, 37.3)
    line = np.exp(-0.5 * ((np.arange(ROWS)[:, None] - centres) * 2.3548 / 2.6) ** 2).sum(axis=1)
    flux = 30.0 + 3000.0 * line
    light, sky = flux[:, None] * shape, np.full(shape.shape, SKY_E)
    rng = np.random.default_rng(4)
    data = rng.poisson(light + sky) + rng.normal(0, NOISE_E, light.shape) - sky
    good, floor = np.ones(data.shape, bool), np.full(data.shape, NOISE_E**2)
    empty = sky + floor
    source = find_sources(*slit_profile(data, empty, good), seeing_px=5.0)[0]
    trace = trace_source(data, empty + np.maximum(data, 0), good, source)
    profiles = fit_profiles(data, empty, good, [trace])
    mask = np.zeros(data.shape, np.uint16)
    found = extract(data, sky, floor, mask, good, [trace], profiles)[0]
    peaks = np.round(centres).astype(int)
    off = (found.flux - flux)[peaks]
    assert abs(off.sum() / flux[peaks].sum()) < 0.015
    assert np.std(off / np.sqrt(found.variance[peaks])) < 1.4
    assert not (found.mask[peaks] & np.uint16(Mask.COSMIC_IN_PROFILE)).any()

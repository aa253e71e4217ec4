"""The page of a master flat: pixels, lamp, slit, photon transfer, fringes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import (
    LEFT,
    NARROW,
    RIGHT,
    WIDE,
    Evidence,
    draw_histogram,
    open_page,
    row_scale,
)
from daemon.publish.page import (
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    RED,
    Page,
    frame,
    known,
    middle,
    note,
    percentiles,
    robust_sigma,
    say,
    title,
)
from daemon.publish.view import limits, resampled, rows_on_grid
from reducers.detector.flat import FEWEST_ADU
from reducers.frame import Frame, Mask, Vector
from reducers.preparation import debiased, gain_and_read_noise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_FRINGES_FROM_ANGSTROM = 7500.0
_BLOCK = 20


def flat_page(case: Evidence) -> Page:
    """Draw a master flat with what its members say of lamp, slit and gain."""
    found = case.built.measurements
    page = open_page(
        case,
        "flat",
        [
            f"{len(case.exposures)} frames, level {known(found.get('level_adu'), '.0f')} adu",
            f"gain {known(found.get('gain_e_per_adu'), '.4f')} +- "
            f"{known(found.get('gain_error'), '.4f')} e/adu",
            f"pixel rms {known(100 * found.get('pixel_rms', math.nan), '.2f')} per cent",
            f"divided on {known(100 * found.get('lit_fraction', math.nan), '.0f')} per cent "
            "of the rows",
        ],
    )
    flat = case.image
    scale = row_scale(case, flat)
    frames = [debiased(exposure, case.given.bias, case.instrument) for exposure in case.exposures]
    page.panel("image", (LEFT, 610, WIDE, 250), _draw_image, flat, scale)
    page.panel("illumination", (RIGHT, 610, NARROW, 250), _draw_illumination, flat)
    page.panel("lamp", (LEFT, 350, WIDE, 190), _draw_lamp, case, frames, scale)
    page.panel("pixel_rms", (LEFT, 60, WIDE, 220), _draw_rms, flat, scale)
    page.panel("histogram", (RIGHT, 350, NARROW, 190), _draw_histogram, flat)
    page.panel("photon_transfer", (RIGHT, 60, NARROW, 220), _draw_transfer, case, frames)
    return page


def _lit(flat: Frame) -> NDArray[np.bool_]:
    return np.asarray(((flat.mask & np.uint16(Mask.NO_FLAT)) == 0).mean(axis=1) > 0.5)


def _draw_image(axes: Axes, flat: Frame, scale: tuple[Vector, str]) -> dict[str, Any]:
    wavelength, label = scale
    title(axes, "flat after the lamp's colour: black 0.97, white 1.03")
    low, high = limits(wavelength)
    plane = resampled(
        flat.data.astype(float), rows_on_grid(wavelength, np.linspace(low, high, WIDE))
    )
    axes.imshow(
        plane, origin="lower", aspect="auto", cmap="gray", vmin=0.97, vmax=1.03,
        interpolation="nearest", extent=(low, high, -0.5, flat.shape[1] - 0.5),
    )  # fmt: skip
    frame(axes, (low, high), (-0.5, flat.shape[1] - 0.5), y_label="slit (px)",
          x_label=label)  # fmt: skip
    lit = _lit(flat)
    return {"lit_fraction": float(lit.mean()), "bad_pixels": int((~flat.good).sum())}


def _draw_illumination(axes: Axes, flat: Frame) -> dict[str, Any]:
    title(axes, "light along the slit (median of lit rows)")
    lit = _lit(flat)
    if not lit.any():
        return say(axes, "no row is lit")
    along = np.median(flat.data[lit], axis=0).astype(float)
    axes.plot(along, np.arange(along.size), color=BLUE, lw=1.0, drawstyle="steps-mid")
    axes.axvline(1.0, color=PALE, lw=0.8)
    low, high = percentiles(along, (0.5, 99.5))
    room = 0.1 * (high - low) + 0.002
    frame(axes, (low - room, high + room), (-0.5, along.size - 0.5), x_label="relative to the row",
          y_label="slit (px)", x_ticks=4)  # fmt: skip
    return {"lowest": low, "highest": high}


def _draw_lamp(
    axes: Axes, case: Evidence, frames: list[Frame], scale: tuple[Vector, str]
) -> dict[str, Any]:
    wavelength, label = scale
    title(axes, "lamp: median along the slit of every frame (log10 adu)")
    peaks = []
    for one, colour in zip(frames, (BLUE, ORANGE, GREEN, RED, PALE) * len(frames), strict=False):
        along = np.median(one.data[:, ::4], axis=1)
        peaks.append(float(along.max()))
        axes.plot(wavelength, np.log10(np.maximum(along, 1.0)), color=colour, lw=0.8)
    nonlinear = case.instrument.detector.nonlinear_adu
    axes.axhline(math.log10(nonlinear), color=RED, lw=0.9, ls="--")
    axes.axhline(math.log10(FEWEST_ADU), color="0.5", lw=0.9, ls=":")
    top = max(math.log10(nonlinear), math.log10(max(*peaks, 10.0))) + 0.25
    note(axes, "dashed: not linear above; dotted: not divided below", x=0.5, y=0.1, ha="center")
    frame(axes, limits(wavelength), (1.5, top), x_label=label, y_label="log10 adu")
    return {"peak_adu": peaks, "nonlinear_adu": nonlinear}


def _draw_rms(axes: Axes, flat: Frame, scale: tuple[Vector, str]) -> dict[str, Any]:
    wavelength, label = scale
    title(axes, "pixel to pixel rms in blocks of rows (blue), what photons alone give (red); "
          "more than that in the red is fringes")  # fmt: skip
    lit = _lit(flat)
    if lit.sum() < 2 * _BLOCK:
        return say(axes, "hardly any row is lit")
    pixels = flat.data / np.median(flat.data[lit], axis=0)
    starts = range(0, flat.shape[0] - _BLOCK, _BLOCK)
    blocks = [slice(start, start + _BLOCK) for start in starts if lit[start : start + _BLOCK].all()]
    # Slow differences along the slit are not the pixels' own: take the row's median out.
    rms = np.array(
        [robust_sigma(pixels[b] - np.median(pixels[b], axis=1)[:, None]) for b in blocks]
    )
    photons = np.array([math.sqrt(max(middle(flat.variance[b], 0.0), 0.0)) for b in blocks])
    at = np.array([wavelength[b].mean() for b in blocks])
    axes.axvspan(_FRINGES_FROM_ANGSTROM, 12000, color="#f5dccf", lw=0, zorder=0)
    axes.plot(at, 100 * rms, "o-", color=BLUE, ms=3, lw=0.8)
    axes.plot(at, 100 * photons, color=RED, lw=1.0)
    top = percentiles(100 * rms, (97,))[0]
    frame(axes, limits(wavelength), (0, 1.6 * top), x_label=label, y_label="per cent")
    red = at > _FRINGES_FROM_ANGSTROM
    excess = np.sqrt(np.maximum(rms**2 - photons**2, 0))
    return {"median_rms": middle(rms), "excess_beyond_7500_angstrom": middle(excess[red]),
            "excess_elsewhere": middle(excess[~red])}  # fmt: skip


def _draw_histogram(axes: Axes, flat: Frame) -> dict[str, Any]:
    title(axes, "pixels about their column's median (blue)")
    lit = _lit(flat)
    if not lit.any():
        return say(axes, "no row is lit")
    inside = flat.data[lit]
    pixels = 100 * (inside / np.median(inside, axis=0) - 1)
    said: dict[str, Any] = draw_histogram(axes, pixels, robust_sigma(pixels), x_label="per cent")
    note(axes, f"red: Gaussian,\nsigma {said.get('sigma', math.nan):.2f}")
    return said


def _draw_transfer(axes: Axes, case: Evidence, frames: list[Frame]) -> dict[str, Any]:
    """Draw half the variance of the difference of two frames against their level."""
    title(axes, "photon transfer: blocks of one pair")
    if len(frames) < 2:
        return say(axes, "one frame: no pair to compare")
    level, variance = _transfer(frames[0], frames[1])
    _, noise = gain_and_read_noise(case.exposures[0].identity, case.given, case.instrument)
    gain = case.built.measurements.get("gain_e_per_adu", math.nan)
    high = percentiles(level, (99,))[0]
    axes.plot(level / 1e3, variance / 1e3, ".", ms=2, color=BLUE, alpha=0.5)
    if math.isfinite(gain) and gain > 0:
        x = np.linspace(0, high, 50)
        axes.plot(x / 1e3, (noise**2 + x / gain) / 1e3, color=RED, lw=1.2)
    note(axes, f"line: {known(gain, '.4f')} e/adu,\nread noise {known(noise, '.1f')} adu", x=0.02,
         ha="left")  # fmt: skip
    top = percentiles(variance / 1e3, (98,))[0]
    frame(axes, (0, 1.05 * high / 1e3), (0, 1.3 * top), x_label="level (1000 adu)",
          y_label="variance (1000 adu^2)", x_ticks=5)  # fmt: skip
    return {"gain_e_per_adu": gain, "read_noise_adu": noise, "blocks": int(level.size)}


def _transfer(first: Frame, second: Frame) -> tuple[Vector, Vector]:
    """Return level and variance (adu, adu^2) of the blocks of two frames."""
    rows, columns = (n // _BLOCK * _BLOCK for n in first.shape)

    def blocks(plane: NDArray[Any]) -> NDArray[np.float64]:
        shaped = plane[:rows, :columns].reshape(rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK)
        return shaped.swapaxes(1, 2).reshape(-1, _BLOCK, _BLOCK).astype(np.float64)

    a, b = blocks(first.data), blocks(second.data)
    good = blocks(first.good & second.good).all(axis=(1, 2))
    a, b = a[good], b[good]
    ratio = a.sum(axis=(1, 2)) / np.where(b.sum(axis=(1, 2)) == 0, 1, b.sum(axis=(1, 2)))
    # Difference along the rows again: the lamp's slow drift cancels (Janesick 2001, 2.2.8).
    step = np.diff(a - ratio[:, None, None] * b, axis=2)
    return (a + b).mean(axis=(1, 2)) / 2, step.var(axis=(1, 2)) / 4

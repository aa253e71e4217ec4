"""The page of a master bias: structure, levels, read noise."""

from __future__ import annotations

import math
from itertools import pairwise
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
    shrunk,
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
    plain,
    say,
    span,
    title,
)
from reducers.detector.combine import read_noise_of
from reducers.detector.overscan import overscan_level
from reducers.detector.start import start_frame
from reducers.preparation import levelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reducers.frame import Frame


def bias_page(case: Evidence) -> Page:
    """Draw a master bias with the levels and the noise of its members."""
    found = case.built.measurements
    page = open_page(
        case,
        "bias",
        [
            f"{len(case.exposures)} frames",
            f"read noise {known(found.get('read_noise_adu'), '.2f')} adu, the profile says "
            f"{case.instrument.detector.read_noise_adu:.2f}",
            f"overscan {known(found.get('overscan_adu'), '.1f')} adu",
            f"level above it {known(found.get('level_adu'), '.2f')} adu",
        ],
    )
    master = case.image
    frames = [levelled(exposure, case.instrument) for exposure in case.exposures]
    page.panel("image", (LEFT, 570, WIDE, 290), _draw_image, master)
    page.panel("columns", (RIGHT, 570, NARROW, 290), _draw_columns, master)
    page.panel("rows", (LEFT, 330, WIDE, 170), _draw_rows, master)
    page.panel("levels", (LEFT, 60, 480, 190), _draw_levels, case, frames)
    page.panel("read_noise", (LEFT + 590, 60, 486, 190), _draw_noise, case, frames)
    page.panel("histogram", (RIGHT, 60, NARROW, 440), _draw_histogram, case, master, frames)
    return page


def _draw_image(axes: Axes, master: Frame) -> dict[str, Any]:
    levels = percentiles(master.data[master.good], (1, 99))
    title(axes, f"master bias above the overscan, adu: black {known(levels[0], '.1f')}, "
          f"white {known(levels[1], '.1f')} (1 and 99 per cent)")  # fmt: skip
    rows, columns = master.shape
    low, high = span(levels[0], levels[1])
    axes.imshow(
        shrunk(master.data, WIDE, 290).T, origin="lower", aspect="auto", cmap="gray",
        interpolation="nearest", vmin=low, vmax=high,
        extent=(-0.5, rows - 0.5, -0.5, columns - 0.5),
    )  # fmt: skip
    frame(axes, (-0.5, rows - 0.5), (-0.5, columns - 0.5), x_label="row (px)",
          y_label="column (px)")  # fmt: skip
    return {"percentiles_1_99_adu": levels, "bad_pixels": int((~master.good).sum())}


def _draw_columns(axes: Axes, master: Frame) -> dict[str, Any]:
    mean = np.median(master.data, axis=0).astype(float)
    title(axes, "median of every column")
    axes.plot(mean, np.arange(mean.size), color=BLUE, lw=1.0, drawstyle="steps-mid")
    # The first columns ramp up by far more than all the rest.
    low, high = percentiles(mean, (0, 97))
    room = 0.08 * (high - low)
    note(axes, f"first column: {mean[0]:.0f} adu")
    frame(axes, (low - room, high + room), (-0.5, mean.size - 0.5), x_label="adu above overscan",
          y_label="column (px)", x_ticks=4)  # fmt: skip
    return {"lowest_adu": low, "highest_adu": high, "first_column_adu": float(mean[0])}


def _draw_rows(axes: Axes, master: Frame) -> dict[str, Any]:
    mean = np.median(master.data, axis=1).astype(float)
    title(axes, "median of every row")
    axes.plot(mean, color=BLUE, lw=0.8, drawstyle="steps-mid")
    axes.axhline(middle(mean, 0.0), color=RED, lw=0.8)
    low, high = percentiles(mean, (0.2, 99.8))
    room = 0.15 * (high - low)
    frame(axes, (-0.5, mean.size - 0.5), (low - room, high + room), x_label="row (px)",
          y_label="adu above overscan")  # fmt: skip
    return {"median_adu": middle(mean), "peak_to_peak_adu": high - low}


def _draw_levels(axes: Axes, case: Evidence, frames: list[Frame]) -> dict[str, Any]:
    detector = case.instrument.detector
    overscan = np.array(
        [
            overscan_level(start_frame(e.raw.data, e.identity.setup, detector), detector.overscan)[
                0
            ]
            for e in case.exposures
        ]
    )
    image = np.array([float(np.median(one.data[::3, ::3])) for one in frames])
    number = np.arange(1, overscan.size + 1)
    axes.axhline(0.0, color=PALE, lw=0.8)
    axes.plot(number, overscan - overscan.mean(), "o-", color=BLUE, ms=5, lw=0.8)
    axes.plot(number, image - image.mean(), "s-", color=ORANGE, ms=4, lw=0.8)
    title(axes, f"overscan of every frame (dots) about {overscan.mean():.1f} adu, and the pixels "
          "above it (squares)")  # fmt: skip
    values = [*(overscan - overscan.mean()), *(image - image.mean())]
    low, high = percentiles(values, (0, 100))
    room = 0.15 * (high - low) + 0.1
    frame(axes, (0.5, number.size + 0.5), (low - room, high + room),
          x_label=plain(f"frame, {case.exposures[0].stem} to {case.exposures[-1].stem}", 60),
          y_label="adu from the mean", x_ticks=min(number.size, 11))  # fmt: skip
    return {"overscan_adu": overscan, "image_above_overscan_adu": image}


def _draw_noise(axes: Axes, case: Evidence, frames: list[Frame]) -> dict[str, Any]:
    title(axes, "read noise of every pair of neighbours")
    if len(frames) < 2:
        return say(axes, "one frame: no pair to measure the noise on")
    pairs = np.array([read_noise_of([a, b]) for a, b in pairwise(frames)])
    number = np.arange(1, pairs.size + 1) + 0.5
    used = case.built.measurements.get("read_noise_adu", math.nan)
    expected = case.instrument.detector.read_noise_adu
    axes.plot(number, pairs, "o", color=BLUE, ms=5)
    if math.isfinite(used):
        axes.axhline(used, color=BLUE, lw=1.0)
    axes.axhline(expected, color=RED, lw=1.0, ls="--")
    note(axes, f"used {known(used, '.2f')} adu (blue line)\nprofile {expected:.2f} adu (dashed)")
    low, high = percentiles([*pairs, used, expected], (0, 100))
    room = 0.2 * (high - low) + 0.02 * expected
    frame(axes, (0.5, pairs.size + 1.5), (low - room, high + 2.5 * room),
          x_label="between frames", y_label="adu", x_ticks=min(pairs.size, 11))  # fmt: skip
    return {"pairs_adu": pairs, "used_adu": used, "expected_adu": expected}


def _draw_histogram(
    axes: Axes, case: Evidence, master: Frame, frames: list[Frame]
) -> dict[str, Any]:
    title(axes, "one frame minus the master (blue)")
    one = frames[len(frames) // 2]
    noise = case.built.measurements.get("read_noise_adu", math.nan)
    # The frame is part of the master, which takes 1/n of its noise out.
    sigma = noise * math.sqrt(1 - 1 / max(len(frames), 2))
    off = np.where(master.good, one.data - master.data, np.nan)
    off -= middle(off, 0.0)
    axes.axvline(0.0, color=GREEN, lw=0.6)
    said: dict[str, Any] = draw_histogram(axes, off, sigma, x_label="adu")
    note(axes, f"red: Gaussian of the read noise\nsigma {known(sigma, '.1f')} adu")
    return said

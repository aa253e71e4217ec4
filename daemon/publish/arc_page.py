"""The page of an arc: which lines were found, and what the solution leaves over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import LEFT, NARROW, RIGHT, WIDE, Evidence, open_page
from daemon.publish.page import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    WIDTH_PX,
    Page,
    frame,
    known,
    middle,
    note,
    numbers_along_y,
    percentiles,
    robust_sigma,
    say,
    span,
    title,
)
from daemon.publish.view import WAVELENGTH
from reducers.frame import Frame, Vector
from reducers.preparation import debiased
from reducers.recipes import total
from reducers.spectroscopy.lines import lines_of_lamps, reference_lines
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

#: Columns along the slit over which the arc is averaged, for the eye and for the centroids.
_MIDDLE_PX, _BINS = 20, 16
#: A listed line this strong, relative to the strongest of its ion, ought to be seen.
_OUGHT_TO_BE_SEEN = 0.15
#: Labels of lines keep this distance.
_LABEL_PX = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arc:
    """The arc along the dispersion, wavelength rising, with its solution and its lamps."""

    frame: Frame
    solution: WavelengthSolution
    lamps: tuple[str, ...]
    wavelength: Vector
    counts: Vector
    missing: tuple[tuple[float, str], ...]

    @property
    def ends(self) -> tuple[float, float]:
        return float(self.wavelength[0]), float(self.wavelength[-1])

    @property
    def angstrom_per_px(self) -> Vector:
        """Unbinned dispersion at every line."""
        row = np.asarray(self.solution.line_row, dtype=float)
        x = float(np.mean(self.solution.domain_x_px))
        step = self.solution.wavelength(row + 0.5, x) - self.solution.wavelength(row - 0.5, x)
        return np.asarray(step)


def arc_page(case: Evidence) -> Page:
    """Draw an arc with the lines that hold its wavelength solution."""
    arc = _look(case)
    solution = arc.solution
    page = open_page(
        case,
        "arc",
        [
            f"lamps {', '.join(arc.lamps) or 'unknown'}",
            f"rms {known(solution.rms_px, '.3f')} px = {known(solution.rms_angstrom, '.3f')} A",
            f"{solution.n_lines} lines used, {int((~solution.line_used).sum())} rejected, "
            f"{len(arc.missing)} listed but not seen",
            f"zero point {known(solution.shift_px, '+.1f')} px from where the slit predicts it",
            f"line width {known(solution.fwhm_px, '.1f')} px",
        ],
    )
    page.facts["lamps"] = list(arc.lamps)
    page.panel("arc", (LEFT, 560, WIDTH_PX - LEFT - 20, 300), _draw_arc, arc)
    page.panel("residuals", (LEFT, 320, WIDE, 170), _draw_residuals, arc)
    page.panel("along_slit", (LEFT, 60, WIDE, 190), _draw_along_slit, arc)
    page.panel("dispersion", (RIGHT, 320, NARROW, 170), _draw_dispersion, arc)
    page.panel("histogram", (RIGHT, 60, NARROW, 190), _draw_scatter, arc)
    return page


def _look(case: Evidence) -> _Arc:
    frames = [debiased(exposure, case.given.bias, case.instrument) for exposure in case.exposures]
    image, solution = total(frames), case.solution
    lamps = tuple(sorted({lamp for e in case.exposures for lamp in e.identity.lamps}))
    centre = image.shape[1] // 2
    columns = slice(max(centre - _MIDDLE_PX // 2, 0), centre + _MIDDLE_PX // 2)
    counts = np.median(image.data[:, columns], axis=1).astype(float)
    wavelength = solution.wavelength(
        image.geometry.detector_y(np.arange(image.shape[0])), image.geometry.detector_x(centre)
    )
    order = np.argsort(wavelength)
    wavelength, counts = wavelength[order], counts[order]
    listed = lines_of_lamps(reference_lines(solution.grism, case.instrument.lines), lamps)
    strongest: dict[str, float] = {}
    for line in listed:
        strongest[line.ion] = max(strongest.get(line.ion, 0.0), line.strength)
    expected = [
        (line.wavelength_angstrom, line.ion)
        for line in listed
        if line.strength >= _OUGHT_TO_BE_SEEN * strongest[line.ion] > 0
    ]
    missing = tuple(line for line in expected if not _seen(wavelength, counts, line[0]))
    return _Arc(frame=image, solution=solution, lamps=lamps, wavelength=wavelength, counts=counts,
                missing=missing)  # fmt: skip


def _seen(wavelength: Vector, counts: Vector, line: float) -> bool:
    """Tell whether the arc rises at a line; a line beyond the detector is not missed."""
    row = int(np.searchsorted(wavelength, line))
    if not 30 <= row < wavelength.size - 30:
        return True
    around = counts[row - 30 : row + 31]
    floor = float(np.percentile(around, 20))
    noise = max(1.4826 * middle(np.abs(around[around <= np.median(around)] - floor)), 1e-6)
    return bool(counts[row - 3 : row + 4].max() > floor + 8 * noise)


def _draw_arc(axes: Axes, arc: _Arc) -> dict[str, Any]:
    solution = arc.solution
    floor, top = percentiles(arc.counts, (10, 100))
    scale = max(2e-3 * (top - floor), 1e-6)
    shape = np.arcsinh((arc.counts - floor) / scale)
    high = float(shape.max())
    axes.plot(arc.wavelength, shape, color="k", lw=0.8, drawstyle="steps-mid")
    low_w, high_w = arc.ends
    used = np.asarray(solution.line_used, dtype=bool)
    for line in solution.line_wavelength[~used]:
        axes.plot([line, line], [1.03 * high, 1.08 * high], color=RED, lw=1.0)
    for line in solution.line_wavelength[used]:
        axes.plot([line, line], [1.03 * high, 1.14 * high], color=BLUE, lw=1.2)
    for line, _ in arc.missing:
        axes.plot([line, line], [-0.22 * high, -0.14 * high], color=PURPLE, lw=1.6)
    strength = np.interp(solution.line_wavelength, arc.wavelength, shape)
    apart = _LABEL_PX * (high_w - low_w) / (WIDTH_PX - LEFT - 20)
    named: list[float] = []
    for index in np.argsort(-strength):
        line = float(solution.line_wavelength[index])
        clear = all(abs(line - other) > apart for other in named)
        if used[index] and clear and low_w + apart < line < high_w - apart:
            named.append(line)
            axes.text(line, 1.17 * high, f"{solution.line_ion[index]} {line:.1f}", rotation=90,
                      ha="center", va="bottom", fontsize=7.5, color=BLUE)  # fmt: skip
    title(axes, "arc at mid slit, asinh scale; ticks above: lines used (long, blue) and rejected "
          "(short, red); below: listed for these lamps but not seen (purple)")  # fmt: skip
    frame(axes, arc.ends, (-0.27 * high, 1.72 * high), x_label=WAVELENGTH, x_ticks=14, y_ticks=0)
    powers = [10.0**p for p in range(1, 7) if scale < 10.0**p < 1.2 * (top - floor)]
    ticks = {float(np.arcsinh(v / scale)): f"{v:g}" for v in powers[-4:]}
    numbers_along_y(axes, {0.0: "0", **ticks}, label="adu")
    return {
        "used": solution.line_wavelength[used],
        "rejected": solution.line_wavelength[~used],
        "not_seen": [{"wavelength_angstrom": line, "ion": ion} for line, ion in arc.missing],
        "peak_adu": top,
    }


def _draw_residuals(axes: Axes, arc: _Arc) -> dict[str, Any]:
    solution = arc.solution
    used = np.asarray(solution.line_used, dtype=bool)
    title(axes, "measured minus fitted: used (dots) and rejected (crosses, at the edge if beyond)")
    if not used.any():
        frame(axes, arc.ends, (-1, 1), x_label=WAVELENGTH, y_ticks=0)
        return say(axes, "no line is used")
    off = solution.line_residual_angstrom / arc.angstrom_per_px
    reach = max(4.5 * float(solution.rms_px), 0.15)
    inside = np.clip(off, -reach, reach)
    axes.axhspan(-solution.rms_px, solution.rms_px, color="#dce9f5", lw=0)
    axes.axhline(0.0, color=PALE, lw=0.8)
    axes.plot(solution.line_wavelength[~used], inside[~used], "x", ms=5, color=RED)
    axes.plot(solution.line_wavelength[used], inside[used], "o", ms=4.5, color=BLUE)
    frame(axes, arc.ends, (-1.12 * reach, 1.12 * reach), x_label=WAVELENGTH, y_label="pixel",
          x_ticks=10)  # fmt: skip
    return {"rms_px": solution.rms_px, "rms_angstrom": solution.rms_angstrom,
            "residual_px": off[used], "largest_px": float(np.abs(off[used]).max())}  # fmt: skip


def _draw_along_slit(axes: Axes, arc: _Arc) -> dict[str, Any]:
    """Draw how the lines bend along the slit against the fitted surface, line by line."""
    title(axes, "the same along the slit: median of all used lines (blue) and their scatter; a "
          "slope or bend is tilt that was not fitted")  # fmt: skip
    place, off = _slit_residuals(arc)
    if not off.size or not np.isfinite(off).any():
        return say(axes, "no line could be followed along the slit")
    centre = np.array([middle(column) for column in off.T])
    spread = np.array([robust_sigma(column) for column in off.T])
    axes.axhline(0.0, color=PALE, lw=0.8)
    axes.fill_between(place, centre - spread, centre + spread, color=BLUE, alpha=0.2, lw=0)
    axes.plot(place, centre, "o-", color=BLUE, ms=4, lw=0.9)
    reach = max(0.1, 1.4 * percentiles(np.abs(centre) + spread, (100,))[0])
    frame(axes, span(place[0], place[-1]), (-reach, reach), x_label="slit (unbinned detector px)",
          y_label="pixel", x_ticks=10)  # fmt: skip
    return {"slit_px": place, "median_px": centre, "scatter_px": spread}


def _slit_residuals(arc: _Arc) -> tuple[Vector, NDArray[np.float64]]:
    """Return places along the slit and centroid minus fit (line, place), each line's mean off."""
    solution, image = arc.solution, arc.frame
    lines = solution.line_wavelength[np.asarray(solution.line_used, dtype=bool)]
    pixel = image.geometry.y_binning
    half = max(round(1.3 * solution.fwhm_px / pixel), 2)
    groups = np.array_split(np.arange(image.shape[1]), min(_BINS, image.shape[1]))
    place = np.array([float(image.geometry.detector_x(g.mean())) for g in groups])
    off = np.full((lines.size, place.size), np.nan)
    for k, group in enumerate(groups):
        counts = image.data[:, group].mean(axis=1)
        rows = image.geometry.row(solution.row(lines, place[k]))
        for n, row in enumerate(rows):
            first = round(float(row)) - half
            window = counts[max(first, 0) : first + 2 * half + 1]
            if first < 0 or window.size < 2 * half + 1:
                continue
            light = window - window.min()
            if light.sum() > 0:
                centroid = first + float((light * np.arange(light.size)).sum() / light.sum())
                off[n, k] = (centroid - row) * pixel
    # A neighbour in the window pulls a line by the same amount all along the slit.
    return place, off - np.array([middle(line) for line in off]).reshape(-1, 1)


def _draw_dispersion(axes: Axes, arc: _Arc) -> dict[str, Any]:
    title(axes, "dispersion")
    step = np.gradient(arc.wavelength) / arc.frame.geometry.y_binning
    axes.plot(arc.wavelength, step, color=GREEN, lw=1.2)
    used = arc.solution.line_wavelength[np.asarray(arc.solution.line_used, dtype=bool)]
    if used.size:
        axes.axvspan(arc.ends[0], used.min(), color="#e6e6e6", lw=0, zorder=0)
        axes.axvspan(used.max(), arc.ends[1], color="#e6e6e6", lw=0, zorder=0)
        note(axes, "grey: beyond the lines", x=0.5, y=0.12, ha="center")
    low, high = percentiles(step, (0, 100))
    room = 0.15 * (high - low) + 1e-3
    frame(axes, arc.ends, (low - 2 * room, high + room), x_label=WAVELENGTH, x_ticks=5,
          y_label="A per unbinned px")  # fmt: skip
    return {"lowest": low, "highest": high,
            "line_range_angstrom": [used.min(), used.max()] if used.size else None}  # fmt: skip


def _draw_scatter(axes: Axes, arc: _Arc) -> dict[str, Any]:
    """Draw how large the residuals of the used lines are, ion by ion."""
    title(axes, "residual of the used lines, by ion")
    solution = arc.solution
    used = np.asarray(solution.line_used, dtype=bool)
    if not used.any():
        return say(axes, "no line is used")
    off = solution.line_residual_angstrom / arc.angstrom_per_px
    ions = sorted({ion for ion, kept in zip(solution.line_ion, used, strict=True) if kept})
    for number, (ion, colour) in enumerate(zip(ions, (BLUE, ORANGE, GREEN, PURPLE) * 4,
                                               strict=False)):  # fmt: skip
        mine = used & np.array([one == ion for one in solution.line_ion])
        axes.plot(off[mine], np.full(mine.sum(), float(number)), "|", ms=16, mew=1.5, color=colour)
    axes.axvline(0.0, color=GREY, lw=0.8)
    reach = max(3.5 * float(solution.rms_px), 0.1)
    frame(axes, (-reach, reach), (-0.6, len(ions) - 0.4), x_label="pixel", x_ticks=5, y_ticks=0)
    numbers_along_y(axes, {float(n): ion for n, ion in enumerate(ions)})
    return {
        ion: {"lines": int((used & (np.array(solution.line_ion) == ion)).sum()),
              "median_px": middle(off[used & (np.array(solution.line_ion) == ion)], math.nan)}
        for ion in ions
    }  # fmt: skip

"""The pages of the images' own masters: sky flat, dark and fringe pattern."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import LEFT, Evidence, draw_histogram, open_page
from daemon.publish.page import (
    BLUE,
    GREEN,
    LIGHT_BLUE,
    ORANGE,
    PALE,
    PURPLE,
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
from reducers.frame import UNUSABLE, Mask
from reducers.imaging.image_products import blocks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from reducers.frame import Frame

_BOX = (LEFT, 48, 800, 810)
_RIGHT, _WIDE = 970, 610
_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, LIGHT_BLUE)
_UNLIT = np.uint16(UNUSABLE | Mask.NO_FLAT | Mask.VIGNETTED)


def sky_flat_page(case: Evidence) -> Page:
    """Draw a sky flat: the light of the field, the pixels, and what each exposure was like."""
    found = case.built.measurements
    page = _open(case, "sky flat", [
        f"{known(found.get('frames'), '.0f')} of {len(case.exposures)} frames",
        f"gain {known(found.get('gain_e_per_adu'), '.4f')} +- "
        f"{known(found.get('gain_error'), '.4f')} e/adu",
        f"pixel rms {known(100 * found.get('pixel_rms', math.nan), '.2f')} per cent",
    ])  # fmt: skip
    flat = case.image
    page.panel("image", _BOX, _draw_flat, flat)
    page.panel("field", (_RIGHT, 640, _WIDE, 200), _draw_light, flat)
    page.panel("levels", (_RIGHT, 360, _WIDE, 190), _draw_levels, case)
    page.panel("pixels", (_RIGHT, 80, _WIDE, 190), _draw_pixels, flat)
    return page


def dark_page(case: Evidence) -> Page:
    """Draw a master dark: its structure, its level and its warm pixels."""
    found = case.built.measurements
    page = _open(case, "dark", [
        f"{len(case.exposures)} frames",
        f"{known(found.get('dark_e_per_hour'), '.2f')} electrons per pixel and hour",
    ])  # fmt: skip
    page.panel("image", _BOX, _draw_plane, case.image, "dark signal, adu per second")
    page.panel("levels", (_RIGHT, 500, _WIDE, 300), _draw_levels, case)
    page.panel("pixels", (_RIGHT, 100, _WIDE, 300), _draw_values, case.image, "adu per second")
    return page


def fringe_page(case: Evidence) -> Page:
    """Draw a fringe pattern and how strong it is."""
    found = case.built.measurements
    page = _open(case, "fringes", [
        f"{len(case.exposures)} frames",
        f"amplitude {known(100 * found.get('amplitude', math.nan), '.2f')} per cent of the sky",
        f"the telescope moved by {known(found.get('dither_arcsec'), '.1f')} arcsec",
    ])  # fmt: skip
    page.panel("image", _BOX, _draw_plane, case.image, "fringe pattern, of unit amplitude")
    page.panel("levels", (_RIGHT, 500, _WIDE, 300), _draw_levels, case)
    page.panel("pixels", (_RIGHT, 100, _WIDE, 300), _draw_values, case.image, "of the amplitude")
    return page


def _open(case: Evidence, kind: str, about: list[str]) -> Page:
    own = case.exposures[0].identity.setup
    binning = f"binning {own.x_binning}x{own.y_binning}"
    return open_page(case, f"{kind} {own.filter}".strip(), [*about, binning])


def _usable(master: Frame) -> NDArray[np.bool_]:
    return np.asarray((master.mask & _UNLIT) == 0)


def _show(
    axes: Axes, master: Frame, levels: tuple[float, float], colours: str
) -> NDArray[np.float32]:
    plane, step = blocks(master.data, _usable(master), _BOX[2] + 300)
    ny, nx = plane.shape
    axes.imshow(
        plane, origin="lower", cmap=colours, vmin=levels[0], vmax=levels[1], aspect="auto",
        interpolation="nearest", extent=(-0.5, nx * step - 0.5, -0.5, ny * step - 0.5),
    )  # fmt: skip
    side = max(nx, ny) * step
    frame(axes, (-0.5, max(nx * step, side * _BOX[2] / _BOX[3]) - 0.5), (-0.5, side - 0.5),
          x_label="image pixel")  # fmt: skip
    return plane


def _draw_flat(axes: Axes, flat: Frame) -> dict[str, Any]:
    lit = flat.data[_usable(flat)]
    low, high = percentiles(lit, (1, 99))
    _show(axes, flat, (low, high), "gray")
    title(axes, f"response: black {low:.3f}, white {high:.3f}")
    return {"levels": (low, high), "lit_fraction": float(_usable(flat).mean())}


def _draw_plane(axes: Axes, master: Frame, what: str) -> dict[str, Any]:
    values = master.data[_usable(master)]
    low, high = percentiles(values, (1, 99))
    _show(axes, master, (low, high), "gray")
    title(axes, f"{what}: black {low:.3g}, white {high:.3g}")
    return {"levels": (low, high)}


def _draw_light(axes: Axes, flat: Frame) -> dict[str, Any]:
    """Draw the light along the middle rows and columns."""
    title(axes, "response along the middle rows (blue) and columns (red), medians of 32 lines")
    data = np.where(_usable(flat), flat.data, np.nan).astype(float)
    ny, nx = data.shape
    along_x = np.array([middle(each) for each in data[ny // 2 - 16 : ny // 2 + 16].T])
    along_y = np.array([middle(each) for each in data[:, nx // 2 - 16 : nx // 2 + 16]])
    for line, colour in ((along_x, BLUE), (along_y, RED)):
        axes.plot(np.linspace(0, 1, line.size), line, color=colour, lw=0.9)
    low, high = percentiles(np.concatenate([along_x, along_y]), (0.5, 99.5))
    room = 0.1 * (high - low) + 0.002
    axes.axhline(1.0, color=PALE, lw=0.8)
    frame(axes, (0, 1), (low - room, high + room), x_label="from the first to the last pixel",
          y_label="response")  # fmt: skip
    return {"lowest": low, "highest": high}


def _draw_levels(axes: Axes, case: Evidence) -> dict[str, Any]:
    """Draw the median of every raw exposure."""
    levels = [float(np.median(exposure.raw.data[::4, ::4])) for exposure in case.exposures]
    title(axes, "median of every raw exposure (adu, bias included)")
    for number, level in enumerate(levels, start=1):
        axes.plot([number], [level], "o", ms=6, color=_COLOURS[(number - 1) % len(_COLOURS)])
    low, high = min(levels), max(levels)
    limit = case.instrument.detector.nonlinear_adu
    if high > 0.5 * limit:
        axes.axhline(limit, color=RED, ls="--", lw=0.9)
        note(axes, "dashed: not linear above")
        high = max(high, limit)
    room = 0.35 * (high - low) + 0.02 * abs(high) + 1
    frame(axes, (0.4, len(levels) + 0.6), (low - room, high + room), x_ticks=0, y_label="adu")
    for number, exposure in enumerate(case.exposures[:12], start=1):
        said = f"{exposure.stem[-4:]}\n{exposure.identity.exposure_s:g} s"
        axes.text(number, low - 0.85 * room, said, fontsize=7, ha="center", va="bottom",
                  parse_math=False)  # fmt: skip
    return {"median_adu": dict(zip([e.stem for e in case.exposures], levels, strict=True))}


def _draw_pixels(axes: Axes, flat: Frame) -> dict[str, Any]:
    """Draw how much pixels differ from their neighbours."""
    title(axes, "pixels against the mean of their neighbours left and right (blue)")
    usable = _usable(flat)
    inner = usable[:, 1:-1] & usable[:, :-2] & usable[:, 2:]
    if np.count_nonzero(inner) < 100:
        return say(axes, "hardly any pixel is lit")
    data = flat.data
    off = 100 * (data[:, 1:-1] / (0.5 * (data[:, :-2] + data[:, 2:])) - 1)[inner]
    sigma = robust_sigma(off)
    said: dict[str, Any] = draw_histogram(axes, off, sigma, x_label="per cent")
    photons = 100 * math.sqrt(1.5 * max(middle(flat.variance[usable][::50]), 0.0))
    note(axes, f"red: Gaussian, sigma {sigma:.2f}\nof which photons {photons:.2f}")
    return said | {"photons_per_cent": photons}


def _draw_values(axes: Axes, master: Frame, unit: str) -> dict[str, Any]:
    title(axes, "values of the pixels (blue)")
    values = master.data[_usable(master)]
    if values.size < 100:
        return say(axes, "hardly any pixel is usable")
    centre = middle(values[::10])
    said: dict[str, Any] = draw_histogram(
        axes, values, robust_sigma(values[::10]), x_label=unit, centre=centre
    )
    return said | {"median": centre}

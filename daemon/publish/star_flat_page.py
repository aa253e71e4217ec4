"""The page of a star flat: where stars are fainter or brighter than the flat has them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import LEFT, Evidence, open_page
from daemon.publish.page import (
    BLUE,
    PALE,
    RED,
    Page,
    frame,
    known,
    note,
    say,
    span,
    title,
)
from reducers.imaging.star_correction import at_stars
from reducers.imaging.star_flat_fit import ROUND
from reducers.imaging.super_sky import super_sky

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BOX = (LEFT, 48, 800, 810)
_RIGHT, _WIDE = 970, 610
#: Medians of the stars are drawn for so many parts along an axis.
_PARTS = 12


def star_flat_page(case: Evidence) -> Page:
    """Draw a star flat: the surface, the stars along both axes, and the sky of the same images."""
    found = case.built.measurements
    own = case.exposures[0].identity.setup

    def mmag(name: str, digits: int = 1) -> str:
        return known(1000 * found.get(name, math.nan), f".{digits}f")

    page = open_page(case, f"star flat {own.filter}".strip(), [
        f"{known(found.get('stars'), '.0f')} stars on {known(found.get('images'), '.0f')} images",
        f"{_shape(found.get('order', 0.0))}, rms {mmag('rms_mag')} mmag",
        f"error {mmag('error_mag')} mmag, single stars scatter by {mmag('scatter_mag')} mmag",
    ])  # fmt: skip
    page.panel("surface", _BOX, _draw_surface, case)
    page.panel("along_x", (_RIGHT, 640, _WIDE, 200), _draw_stars, case, "x")
    page.panel("along_y", (_RIGHT, 360, _WIDE, 190), _draw_stars, case, "y")
    page.panel("sky", (_RIGHT, 80, _WIDE, 190), _draw_sky, case)
    return page


def _shape(order: float) -> str:
    return "order 2 and round" if order == ROUND else f"order {order:.0f}"


def _draw_surface(axes: Axes, case: Evidence) -> dict[str, Any]:
    plane = 1085.7 * np.log(case.image.data[::4, ::4])
    reach = max(float(np.percentile(np.abs(plane), 99)), 1.0)
    ny, nx = case.image.shape
    axes.imshow(
        plane, origin="lower", cmap="gray", vmin=-reach, vmax=reach, aspect="auto",
        interpolation="nearest", extent=(-0.5, nx - 0.5, -0.5, ny - 0.5),
    )  # fmt: skip
    side = max(nx, ny)
    frame(axes, (-0.5, max(nx, side * _BOX[2] / _BOX[3]) - 0.5), (-0.5, side - 0.5),
          x_label="image pixel")  # fmt: skip
    title(axes, f"response to stars over the flat: black {-reach:.0f}, white {reach:.0f} mmag")
    return {"reach_mmag": reach}


def _draw_stars(axes: Axes, case: Evidence, along: str) -> dict[str, Any]:
    """Draw medians of the stars' residuals along an axis, before and after."""
    material = case.stars
    title(axes, f"stars along {along}: before (red) and after (blue), medians, mmag")
    if material is None or not material.images:
        return say(axes, "no stars were read")
    place = np.concatenate([getattr(image, along) for image in material.images])
    before = np.concatenate([image.residual - np.median(image.residual)
                             for image in material.images])  # fmt: skip
    taken = np.concatenate([at_stars(case.image, i.x, i.y)[0] for i in material.images])
    after = before - taken
    length = case.image.shape[1 if along == "x" else 0]
    part = np.clip(place / length * _PARTS, 0, _PARTS - 1).astype(int)
    drawn: dict[str, Any] = {}
    values: list[float] = []
    for name, residual, colour in (("before", before, RED), ("after", after, BLUE)):
        middles = [
            1000 * float(np.median(residual[part == n])) if (part == n).sum() > 2 else math.nan
            for n in range(_PARTS)
        ]
        axes.plot((np.arange(_PARTS) + 0.5) / _PARTS * length, middles, "o-", ms=4, color=colour)
        drawn[name] = middles
        values += [each for each in middles if math.isfinite(each)]
    axes.axhline(0.0, color=PALE, lw=0.8)
    low, high = (min(values), max(values)) if values else (-1.0, 1.0)
    frame(axes, (0, length), span(low - 3, high + 3), x_label="image pixel", y_label="mmag")
    return drawn


def _draw_sky(axes: Axes, case: Evidence) -> dict[str, Any]:
    """Draw the sky of the images along their middle rows, and what the stars do not share of it."""
    material = case.stars
    title(axes, "night sky along the middle rows (red), and without what stars share (blue)")
    if material is None:
        return say(axes, "no images were read")
    seen = super_sky([(i.sky, i.sky_step) for i in material.images if i.sky is not None])
    if seen is None:
        return say(axes, "the sky of no image is bright enough, or free of an earlier star flat")
    plane, step = seen
    half = step // 2
    response = case.image.data[half::step, half::step]
    if response.shape != plane.shape:
        return say(axes, "the models of the sky have other pixels")
    rows = slice(plane.shape[0] // 2 - 4, plane.shape[0] // 2 + 4)
    columns = half + step * np.arange(plane.shape[1])
    lines = [100 * (np.median(each[rows], axis=0) - 1) for each in (plane, plane / response)]
    for line, colour in zip(lines, (RED, BLUE), strict=True):
        axes.plot(columns, line, color=colour, lw=1.0)
    low, high = (float(f(np.concatenate(lines))) for f in (np.min, np.max))
    note(axes, "what is left (blue) is light added: it leaves with the sky")
    frame(axes, (0, case.image.shape[1]), span(low - 0.3, high + 0.5), x_label="image pixel",
          y_label="per cent")  # fmt: skip
    return {"lowest_per_cent": low, "highest_per_cent": high}

"""The page of a quick look: what the camera saw, seconds ago."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from daemon.publish.page import (
    BLUE,
    Page,
    Picture,
    frame,
    known,
    middle,
    note,
    percentiles,
    say,
    title,
)
from daemon.publish.sky_picture import draw_compass, draw_sky
from daemon.publish.strip import circumstances, write_strip
from reducers.imaging.quick_products import small

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from reducers.imaging.quick_look import QuickLook
    from reducers.reduced import Exposure

_COLOUR = "#33557a"
_BOX = (60, 45, 1000, 810)


def look_picture(seen: QuickLook, exposure: Exposure, notes: Sequence[str]) -> Picture:
    """Return the page of a quick look, and what it says as JSON."""
    return look_page(seen, exposure, notes).finish()


def words_of(seen: QuickLook) -> list[str]:
    """Return what an observer wants to know at once."""
    found = seen.measurements
    return [
        f"{known(found.get('stars'), '.0f')} stars",
        f'seeing {known(found.get("seeing_arcsec"), ".2f")}"',
        f"sky {known(found.get('sky_e'), '.0f')} electrons",
        f"saturated {known(100 * found.get('saturated_fraction', math.nan), '.2f')} per cent",
        "placed by stars" if seen.solved else "placed by the header alone",
        "the product follows",
    ]


def look_page(seen: QuickLook, exposure: Exposure, notes: Sequence[str]) -> Page:
    """Draw an image as it is known before it is reduced."""
    page = Page("quick look")
    identity, found = exposure.identity, seen.measurements
    write_strip(
        page,
        name=identity.target or identity.object_name,
        badge=f"quick look, {identity.kind}",
        colour=_COLOUR,
        about=[
            *(said for said in circumstances(identity) if not said.startswith("no ")),
            f"filter {identity.setup.filter or 'none'}",
        ],
        reasons=words_of(seen),
        right=exposure.stem,
        aside=notes,
    )
    page.facts |= {
        "frame": exposure.stem,
        "target": identity.target or identity.object_name,
        "measurements": dict(found),
        "calibrations": list(notes),
    }
    page.panel("image", _BOX, _draw_image, seen)
    page.panel("rows", (1140, 520, 430, 300), _draw_profile, seen, 1)
    page.panel("columns", (1140, 120, 430, 300), _draw_profile, seen, 0)
    return page


def _draw_image(axes: Axes, seen: QuickLook) -> dict[str, Any]:
    plane, step = small(seen)
    low, high = draw_sky(axes, plane, (_BOX[2], _BOX[3]), step=step)
    title(axes, f"image less the sky: white {low:.0f}, black {high:.0f} electrons")
    return {"levels": (low, high), **draw_compass(axes, seen.sky_map, seen.image.shape)}


def _draw_profile(axes: Axes, seen: QuickLook, axis: int) -> dict[str, Any]:
    """Draw the median sky along rows (axis 1) or columns, where a lamp or a gradient shows."""
    along = "row" if axis == 1 else "column"
    title(axes, f"sky model along the middle {along}s, electrons")
    ny, nx = seen.background.shape
    middle_rows = slice(ny // 3, 2 * ny // 3 + 1)
    plane = (
        seen.background[middle_rows]
        if axis == 1
        else seen.background[:, nx // 3 :][:, : nx // 3 + 1]
    )
    line = plane[::8].mean(axis=0) if axis == 1 else plane[:, ::8].mean(axis=1)
    low, high = percentiles(line, (0, 100))
    if not math.isfinite(low):
        return say(axes, "no sky: every pixel is masked")
    axes.plot(line, color=BLUE, lw=1.0)
    room = 0.1 * (high - low) + 0.01 * abs(middle(line)) + 1e-6
    other = "column" if axis == 1 else "row"
    frame(axes, (0, len(line) - 1), (low - room, high + room), x_label=f"image {other}", x_ticks=6)
    uneven = (high - low) / middle(line) if middle(line) else math.nan
    note(axes, f"from end to end {100 * uneven:.1f} per cent of the sky")
    return {"lowest_e": low, "highest_e": high}

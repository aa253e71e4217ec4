"""A piece of sky on a panel: grey by zscale, with directions, a scale and what catalogues know."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.visualization import ZScaleInterval

from daemon.publish.page import ORANGE, frame, percentiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from reducers.imaging.sky_map import SkyMap

#: Scale bars that may be drawn, arcsec, and their names.
_BARS = ((1.0, '1"'), (5.0, '5"'), (10.0, '10"'), (30.0, '30"'), (60.0, "1'"), (120.0, "2'"))


def draw_sky(
    axes: Axes, plane: NDArray[Any], box: tuple[float, float], *, step: int = 1
) -> tuple[float, float]:
    """Draw an image, dark stars on a bright sky; return the values shown white and black.

    Parameters
    ----------
    plane
        Image pixels averaged in blocks of `step`.
    box
        Width and height of the panel in screen pixels, so that pixels stay square.
    """
    low, high = grey_range(plane)
    ny, nx = plane.shape
    axes.imshow(
        plane, origin="lower", cmap="gray_r", vmin=low, vmax=high, aspect="auto",
        interpolation="nearest", extent=(-0.5, nx * step - 0.5, -0.5, ny * step - 0.5),
    )  # fmt: skip
    x, y = _square((nx * step, ny * step), box)
    frame(axes, x, y, x_label="image pixel", x_ticks=8, y_ticks=8)
    return low, high


def grey_range(plane: NDArray[Any]) -> tuple[float, float]:
    """Return the values of white and black by the zscale algorithm of IRAF."""
    good = np.asarray(plane, float)[np.isfinite(plane) & (plane != 0)]
    if good.size < 10:
        return 0.0, 1.0
    low, high = ZScaleInterval(contrast=0.25).get_limits(good)
    if not high > low:
        low, high = percentiles(good, (1, 99))
    return float(low), float(max(high, low + 1e-6))


def _square(
    size: tuple[float, float], box: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return limits that show all of an image with square pixels in a box."""
    scale = max(size[0] / box[0], size[1] / box[1])
    spare = [(scale * room - side) / 2 for room, side in zip(box, size, strict=True)]
    return (-0.5 - spare[0], size[0] - 0.5 + spare[0]), (-0.5 - spare[1], size[1] - 0.5 + spare[1])


def draw_compass(axes: Axes, sky_map: SkyMap | None, shape: tuple[int, int]) -> dict[str, Any]:
    """Draw arrows to the north and east, and a bar of round length."""
    if sky_map is None:
        return {"directions": None}
    ny, nx = shape
    x, y = nx / 2, ny / 2
    ra, dec = (float(value) for value in sky_map.sky(x, y))
    around = 0.01
    up = sky_map.pixels(ra, min(dec + around, 89.99))
    left = sky_map.pixels(ra + around / max(math.cos(math.radians(dec)), 0.01), dec)
    corner, length = np.array([0.90 * nx, 0.12 * ny]), 0.06 * min(nx, ny)
    said: dict[str, Any] = {}
    white = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.5}
    for name, tip in (("N", up), ("E", left)):
        way = np.array([float(tip[0]) - x, float(tip[1]) - y])
        if not np.isfinite(way).all() or not np.hypot(*way) > 0:
            continue
        way *= length / np.hypot(*way)
        tip_x, tip_y = (float(value) for value in corner + way)
        axes.annotate("", (tip_x, tip_y), (float(corner[0]), float(corner[1])),
                      arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 1.8})  # fmt: skip
        axes.text(tip_x + 0.25 * float(way[0]), tip_y + 0.25 * float(way[1]), name, color=ORANGE,
                  ha="center", va="center", fontsize=10, weight="bold", bbox=white)  # fmt: skip
        said[name] = float(np.degrees(np.arctan2(way[1], way[0])))
    scale = sky_map.pixel_scale_arcsec
    bar, text = max((each for each in _BARS if each[0] / scale < 0.3 * nx), default=_BARS[0])
    start = 0.04 * nx
    axes.plot([start, start + bar / scale], [0.05 * ny] * 2, color=ORANGE, lw=2.5)
    axes.text(start + bar / scale / 2, 0.06 * ny, text, color=ORANGE, ha="center", va="bottom",
              fontsize=10, weight="bold", bbox=white)  # fmt: skip
    return {"directions_deg": said, "pixel_scale_arcsec": scale, "ra_deg": ra, "dec_deg": dec}

"""Finder chart of a place, and stamps of a candidate: north up, east left."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import map_coordinates

from daemon.publish.page import ORANGE, plain
from daemon.publish.sky_picture import grey_range
from reducers.imaging.tangent_plane import onto_plane, sky_map

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from reducers.imaging.sky_map import SkyMap
    from reducers.transients.difference.epoch import StarList

#: Pixels of a chart and of a stamp along each side.
_CHART_PX, _STAMP_PX = 600, 160
#: Bars that may stand on a picture, arcsec.
_BARS = (1, 2, 5, 10, 20, 30, 60, 120)
#: Offset stars: how many, how near and how bright, as a rank among the stars.
OFFSET_STARS, NEAREST_ARCSEC = 3, 5.0
_COLOURS = ("#0b6bcb", "#1a7f37", "#8b1a8b")
_WHITE = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8}


@dataclass(frozen=True, slots=True)
class OffsetStar:
    """A star from which the telescope is offset to the target.

    Attributes
    ----------
    east_arcsec, north_arcsec : float
        To be moved from the star to the target.
    """

    label: str
    ra_deg: float
    dec_deg: float
    magnitude: float
    east_arcsec: float
    north_arcsec: float


def offset_stars(
    stars: StarList,
    place: SkyMap,
    ra_deg: float,
    dec_deg: float,
    *,
    radius_arcsec: float,
    zero_point_mag: float = math.nan,
    exposure_s: float = 1.0,
) -> tuple[OffsetStar, ...]:
    """Return the brightest clean stars around a place with the way from each to it."""
    ra, dec = place.sky(stars.x, stars.y)
    east, north = onto_plane(ra, dec, (ra_deg, dec_deg))
    away = np.hypot(east, north)
    with np.errstate(invalid="ignore"):
        fit = stars.usable & (away > NEAREST_ARCSEC) & (away < 0.9 * radius_arcsec)
        fit &= (stars.flux > 0) & (stars.flux > 30 * stars.flux_error)
    chosen = np.flatnonzero(fit)
    chosen = chosen[np.argsort(-stars.flux[chosen])][:OFFSET_STARS]
    return tuple(
        OffsetStar(
            label=f"S{number}",
            ra_deg=float(ra[one]),
            dec_deg=float(dec[one]),
            magnitude=zero_point_mag - 2.5 * math.log10(float(stars.flux[one]) / exposure_s),
            east_arcsec=-float(east[one]),
            north_arcsec=-float(north[one]),
        )
        for number, one in enumerate(chosen, start=1)
    )


def finder_chart(
    light: NDArray[np.float32],
    place: SkyMap,
    ra_deg: float,
    dec_deg: float,
    *,
    name: str,
    stars: Sequence[OffsetStar] = (),
    width_arcsec: float = 180.0,
    remark: str = "",
) -> bytes:
    """Return a finder chart as PNG: arrows, scale bar, offset stars and how to go from them.

    Parameters
    ----------
    light : (ny, nx) float32
        The image, sky subtracted.
    remark
        A line below the name: filter, date, magnitude.
    """
    figure = Figure(figsize=(8.0, 8.9), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.03, 0.155, 0.94, 0.815 * 8.0 / 8.9 * 1.02))
    cut = north_up(light, place, ra_deg, dec_deg, width_arcsec, _CHART_PX)
    _show(axes, cut, width_arcsec)
    _cross(axes, width_arcsec)
    _compass(axes, width_arcsec)
    for star, colour in zip(stars, _COLOURS, strict=False):
        x, y = star.east_arcsec, -star.north_arcsec  # east is to the left
        circle = 0.022 * width_arcsec
        axes.plot(x, y, "o", ms=16, mfc="none", mec=colour, mew=1.8)
        axes.text(x + circle, y + circle, star.label, color=colour, fontsize=12, weight="bold",
                  bbox=_WHITE)  # fmt: skip
    figure.text(0.03, 0.965, plain(name, 60), fontsize=15, weight="bold", va="center",
                parse_math=False)  # fmt: skip
    place_words = f"{_sexagesimal(ra_deg / 15, 2)}  {_sexagesimal(dec_deg, 1, signed=True)}  ICRS"
    figure.text(0.97, 0.965, place_words, fontsize=12, ha="right", va="center")
    figure.text(0.03, 0.935, plain(remark, 120), fontsize=10, va="center", color="#444444",
                parse_math=False)  # fmt: skip
    lines = [_way(star) for star in stars] or ["no star in this field is fit to offset from"]
    for number, line in enumerate(lines):
        colour = _COLOURS[number] if stars else "#444444"
        figure.text(0.03, 0.115 - 0.032 * number, line, fontsize=10.5, color=colour,
                    family="monospace")  # fmt: skip
    return _png(figure)


def stamps_picture(
    planes: Mapping[str, NDArray[np.float32]],
    place: SkyMap,
    ra_deg: float,
    dec_deg: float,
    *,
    name: str = "",
    width_arcsec: float = 30.0,
) -> bytes:
    """Return stamps side by side as PNG.

    Parameters
    ----------
    planes
        Title -> (ny, nx) image, all on the grid of `place`: 'science', 'template', 'difference'.
        Science and template share their grey; a difference has zero in the middle of its own.
    """
    figure = Figure(figsize=(2.6 * len(planes) + 0.2, 3.0), dpi=100)
    FigureCanvasAgg(figure)
    cuts = {
        title: north_up(plane, place, ra_deg, dec_deg, width_arcsec, _STAMP_PX)
        for title, plane in planes.items()
    }
    core = np.s_[_STAMP_PX // 3 : -_STAMP_PX // 3, _STAMP_PX // 3 : -_STAMP_PX // 3]
    constant = [cut[core].ravel() for title, cut in cuts.items() if title != "difference"]
    shared = _range(np.concatenate(constant)) if constant else (0.0, 1.0)
    share = 1 / len(planes)
    for number, (title, cut) in enumerate(cuts.items()):
        axes = figure.add_axes((share * (number + 0.03), 0.03, share * 0.94, 0.80))
        _show(axes, cut, width_arcsec, _even(cut) if title == "difference" else shared)
        _cross(axes, width_arcsec, gap=0.07, length=0.09)
        axes.set_title(title, fontsize=11, pad=3)
        if number == 0:
            _compass(axes, width_arcsec, small=True)
    if name:
        figure.text(0.5, 0.975, plain(name, 80), fontsize=10, ha="center", va="top",
                    weight="bold", parse_math=False)  # fmt: skip
    return _png(figure)


def north_up(
    light: NDArray[np.float32],
    place: SkyMap,
    ra_deg: float,
    dec_deg: float,
    width_arcsec: float,
    pixels: int,
) -> NDArray[np.float32]:
    """Return a square around a place, north up and east left; NaN where there is no image."""
    scale = width_arcsec / pixels
    centre = ((pixels - 1) / 2, (pixels - 1) / 2)
    axes = np.diag([-1.0, 1.0]) * scale / 3600
    grid = sky_map((ra_deg, dec_deg), centre, axes, (pixels, pixels))
    x, y = np.meshgrid(np.arange(pixels, dtype=float), np.arange(pixels, dtype=float))
    own_x, own_y = place.pixels(*grid.sky(x.ravel(), y.ravel()))
    at = np.nan_to_num(np.stack([own_y, own_x]), nan=-1e6)
    clean = np.nan_to_num(np.asarray(light, np.float32), nan=0.0)
    values = map_coordinates(clean, at, order=1, mode="constant", cval=np.nan)
    known = np.isfinite(light).astype(np.float32)
    seen = map_coordinates(known, at, order=0, mode="constant", cval=0.0) > 0.5
    return np.asarray(np.where(seen, values, np.nan).reshape(pixels, pixels), np.float32)


def _range(values: NDArray[Any]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    if known.size < 10:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(known, (2, 99.7)))
    return low - 0.2 * (high - low), max(high, low + 1e-6)


def _even(cut: NDArray[Any]) -> tuple[float, float]:
    known = np.abs(cut[np.isfinite(cut)])
    most = float(np.percentile(known, 99.3)) if known.size else 1.0
    return -max(most, 1e-6), max(most, 1e-6)


def _show(
    axes: Axes, cut: NDArray[Any], width: float, shown: tuple[float, float] | None = None
) -> None:
    low, high = shown if shown is not None else grey_range(cut)
    half = width / 2
    axes.set_facecolor("#dfe6ee")
    axes.imshow(cut, origin="lower", cmap="gray_r", vmin=low, vmax=high, interpolation="nearest",
                extent=(-half, half, -half, half), aspect="equal")  # fmt: skip
    axes.set(xlim=(-half, half), ylim=(-half, half), xticks=[], yticks=[])


def _cross(axes: Axes, width: float, *, gap: float = 0.012, length: float = 0.035) -> None:
    """Draw two lines that leave the place itself free."""
    near, far = gap * width, (gap + length) * width
    axes.plot([near, far], [0, 0], color=ORANGE, lw=2)
    axes.plot([0, 0], [near, far], color=ORANGE, lw=2)


def _compass(axes: Axes, width: float, *, small: bool = False) -> None:
    """Draw north, east and a bar of round length."""
    length, size = (0.13, 8) if small else (0.09, 12)
    start = 0.40 * width, -0.44 * width
    for word, way in (("N", (0.0, 1.0)), ("E", (-1.0, 0.0))):
        tip = start[0] + way[0] * length * width, start[1] + way[1] * length * width
        axes.annotate("", tip, start, arrowprops={"arrowstyle": "->", "color": ORANGE, "lw": 1.8})
        axes.text(tip[0] + 0.03 * width * way[0], tip[1] + 0.03 * width * way[1], word,
                  color=ORANGE, fontsize=size, weight="bold", ha="center", va="center",
                  bbox=_WHITE)  # fmt: skip
    bar = max((each for each in _BARS if each < 0.3 * width), default=_BARS[0])
    left, low = -0.46 * width, -0.45 * width
    axes.plot([left, left + bar], [low, low], color=ORANGE, lw=3)
    axes.text(left + bar / 2, low + 0.02 * width, f'{bar}"', color=ORANGE, fontsize=size,
              weight="bold", ha="center", va="bottom", bbox=_WHITE)  # fmt: skip


def _way(star: OffsetStar) -> str:
    east, north = star.east_arcsec, star.north_arcsec
    across = f'{abs(east):6.2f}" {"E" if east >= 0 else "W"}'
    along = f'{abs(north):6.2f}" {"N" if north >= 0 else "S"}'
    mag = f"{star.magnitude:5.2f} mag" if math.isfinite(star.magnitude) else ""
    place = f"{_sexagesimal(star.ra_deg / 15, 2)} {_sexagesimal(star.dec_deg, 1, signed=True)}"
    return f"{star.label}  {place}  {mag}  to the target {across} {along}"


def _sexagesimal(value: float, digits: int, *, signed: bool = False) -> str:
    steps = round(abs(value) * 3600 * 10**digits)
    whole, rest = divmod(steps, 3600 * 10**digits)
    minutes, seconds = divmod(rest, 60 * 10**digits)
    sign = ("-" if value < 0 else "+") if signed else ""
    width = digits + 3
    return f"{sign}{whole:02d}:{minutes:02d}:{seconds / 10**digits:0{width}.{digits}f}"


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()

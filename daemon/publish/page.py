"""One picture of 1600 x 1000 pixels and its description for machines, filled panel by panel.

Axes are drawn here with one marker line and a few texts each: matplotlib's own ticks are
objects of several parts, and took more time than everything else on the page.
"""

from __future__ import annotations

import json
import math
import textwrap
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation
from PIL import Image

from reducers.errors import ReductionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

WIDTH_PX = 1600
HEIGHT_PX = 1000
_DPI = 100
SMALL, NORMAL = 8.0, 9.0
#: Width of a letter over the size of the font.
_LETTER = 0.58

#: Colours that colour-blind people tell apart (Okabe & Ito 2008).
BLUE, RED, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
LIGHT_BLUE, PURPLE, GREY, PALE = "#56b4e9", "#cc79a7", "0.45", "0.75"

#: What odd numbers make a plotting library raise; a full disk or memory is not among these.
DRAWING_ERRORS = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    AttributeError,
    ReductionError,
)

Box = tuple[float, float, float, float]


class Picture(NamedTuple):
    """A finished page: the PNG, and the JSON that says what it shows."""

    png: bytes
    json: bytes


class Page:
    """A page being drawn.

    Attributes
    ----------
    facts
        What the JSON will say; `panels` holds what every panel returned.
    """

    def __init__(self, kind: str) -> None:
        size = (WIDTH_PX / _DPI, HEIGHT_PX / _DPI)
        self.figure = Figure(figsize=size, dpi=_DPI, facecolor="white")
        self.facts: dict[str, Any] = {"kind": kind, "panels": {}}

    def panel(self, name: str, box: Box, draw: Callable[..., Mapping[str, Any]], *of: Any) -> None:
        """Draw one panel, or say in its place why it could not be drawn.

        Parameters
        ----------
        box
            Left, bottom, width, height in pixels from the lower left corner.
        draw
            Called with the axes and `of`; returns what it has drawn, for the JSON.
        """
        axes = self._axes(box)
        try:
            with np.errstate(all="ignore"):
                said = draw(axes, *of)
        except DRAWING_ERRORS as error:
            axes.remove()
            said = {"failed": f"{type(error).__name__}: {error}"}
            say(self._axes(box), plain(f"{name} could not be drawn: {error}", 90))
        self.facts["panels"][name] = said

    def write(self, x_px: float, y_px: float, text: str, **how: Any) -> None:
        """Write text at a place in pixels; its top is there unless told otherwise."""
        usual: dict[str, Any] = {"va": "top", "parse_math": False, "fontsize": NORMAL}
        self.figure.text(x_px / WIDTH_PX, y_px / HEIGHT_PX, text, **(usual | how))

    def finish(self) -> Picture:
        """Return the page as PNG and JSON, and let go of the figure."""
        canvas = FigureCanvasAgg(self.figure)
        with rc_context({"text.hinting": "none"}):  # hinting costs more than it shows
            canvas.draw()  # type: ignore[no-untyped-call]
        out = BytesIO()
        # Without the alpha plane the file is written a third faster.
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        Image.fromarray(np.ascontiguousarray(pixels)).save(out, format="png", compress_level=2)
        return Picture(png=out.getvalue(), json=as_json(self.facts))

    def _axes(self, box: Box) -> Axes:
        left, bottom, width, height = box
        place = (left / WIDTH_PX, bottom / HEIGHT_PX, width / WIDTH_PX, height / HEIGHT_PX)
        axes = self.figure.add_axes(place)
        axes.xaxis.set_visible(False)
        axes.yaxis.set_visible(False)
        return axes


def as_json(facts: Mapping[str, Any]) -> bytes:
    """Return facts as JSON that any reader takes: numbers that are not finite become null."""
    return (json.dumps(_json_value(facts), indent=1, allow_nan=False) + "\n").encode()


def _json_value(value: Any) -> Any:
    if hasattr(value, "items"):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _json_value(value.tolist())
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return str(value)


def frame(
    axes: Axes,
    x: tuple[float, float],
    y: tuple[float, float],
    *,
    x_label: str = "",
    y_label: str = "",
    x_ticks: int = 8,
    y_ticks: int = 4,
) -> None:
    """Set the limits of a panel and draw its scales.

    Parameters
    ----------
    x, y
        Lowest and highest; anything that is not a range becomes 0 to 1.
    x_label, y_label
        Quantity and unit.
    x_ticks, y_ticks
        Numbers along each axis, about; 0 for none.
    """
    low, high = axes.set_xlim(*span(*x))
    if x_ticks:
        numbers_along_x(axes, nice_numbers(low, high, x_ticks), label=x_label)
    low, high = axes.set_ylim(*span(*y))
    if y_ticks:
        numbers_along_y(axes, nice_numbers(low, high, y_ticks), label=y_label)


def span(low: float, high: float, default: tuple[float, float] = (0.0, 1.0)) -> tuple[float, float]:
    """Return the range, or the default where it is none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return default
    if not high - low > 1e-9 * max(abs(low), abs(high)):
        room = 0.5 * abs(low) or 1e-20
        return low - room, high + room
    return float(low), float(high)


def nice_numbers(low: float, high: float, count: int) -> dict[float, str]:
    """Return about as many round numbers of a range, each with its text."""
    values = MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    step = values[1] - values[0]
    inside = [float(v) for v in values if low - 1e-6 * step <= v <= high + 1e-6 * step]
    if step >= 1e-3 and max(abs(low), abs(high)) < 1e5:
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        digits += abs(step * 10**digits - round(step * 10**digits)) > 1e-6
        return {v: f"{v + 0.0:.{digits}f}" for v in inside}
    return {v: f"{v:.3g}" if abs(v) > 1e-9 * step else "0" for v in inside}


def numbers_along_x(axes: Axes, ticks: Mapping[float, str], *, label: str = "") -> None:
    """Draw ticks with their numbers below a panel, and its label under them."""
    across = axes.get_xaxis_transform()
    places = list(ticks)
    axes.plot(
        places, [0.0] * len(places), ls="", marker=TICKDOWN, ms=3.5, color="k", mew=0.8,
        transform=across, clip_on=False,
    )  # fmt: skip
    below = across + _shift(axes, 0, -5)
    for place, number in ticks.items():
        axes.text(place, 0, number, transform=below, ha="center", va="top", fontsize=SMALL)
    if label:
        under = axes.transAxes + _shift(axes, 0, -15)
        axes.text(
            0.5, 0, label, transform=under, ha="center", va="top", fontsize=NORMAL,
            parse_math=False,
        )  # fmt: skip


def numbers_along_y(axes: Axes, ticks: Mapping[float, str], *, label: str = "") -> None:
    """Draw ticks with their numbers left of a panel, and its label left of them."""
    along = axes.get_yaxis_transform()
    places = list(ticks)
    axes.plot(
        [0.0] * len(places), places, ls="", marker=TICKLEFT, ms=3.5, color="k", mew=0.8,
        transform=along, clip_on=False,
    )  # fmt: skip
    beside = along + _shift(axes, -5, 0)
    for place, number in ticks.items():
        axes.text(0, place, number, transform=beside, ha="right", va="center", fontsize=SMALL)
    if label:
        widest = max((len(number) for number in ticks.values()), default=0)
        aside = axes.transAxes + _shift(axes, -9 - 5.2 * widest, 0)
        axes.text(
            0, 0.5, label, transform=aside, ha="right", va="center", rotation=90,
            fontsize=NORMAL, parse_math=False,
        )  # fmt: skip


def _shift(axes: Axes, x_points: float, y_points: float) -> ScaledTranslation:
    return ScaledTranslation(x_points / 72, y_points / 72, axes.figure.dpi_scale_trans)


def title(axes: Axes, text: str) -> None:
    """Write the name of a panel above its upper left corner."""
    above = axes.transAxes + _shift(axes, 0, 3)
    axes.text(0, 1, text, transform=above, va="bottom", fontsize=NORMAL, parse_math=False)


def note(axes: Axes, text: str, x: float = 0.99, y: float = 0.95, **how: Any) -> None:
    """Write a remark inside a panel, on white; x and y from 0 to 1, by default upper right."""
    box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 1.5}
    usual: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": SMALL, "bbox": box}
    axes.text(x, y, text, transform=axes.transAxes, parse_math=False, **(usual | how))


def say(axes: Axes, sentence: str) -> dict[str, Any]:
    """Write one sentence where there is nothing to draw; return it for the JSON."""
    points = axes.get_window_extent().width * 72 / _DPI
    letters = max(12, int(points / (_LETTER * NORMAL)))
    axes.text(
        0.5, 0.5, textwrap.fill(sentence, letters), transform=axes.transAxes,
        ha="center", va="center", color="0.3", fontsize=NORMAL, parse_math=False,
    )  # fmt: skip
    return {"missing": sentence}


def plain(text: str, limit: int = 200) -> str:
    """Return text that any font can draw: printable, one line, no longer than the limit."""
    line = "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def known(value: float | None, form: str) -> str:
    """Return the number in this form, or 'unknown'."""
    return "unknown" if value is None or not np.isfinite(value) else format(value, form)


def middle(values: Any, default: float = math.nan) -> float:
    """Return the median of the finite values, or the default when there is none."""
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    return float(np.median(array)) if array.size else default


def percentiles(values: Any, shares: Sequence[float]) -> list[float]:
    """Return percentiles of the finite values; NaN when there is none."""
    array = np.asarray(values, dtype=float)
    array = array[np.isfinite(array)]
    if not array.size:
        return [math.nan] * len(shares)
    return [float(value) for value in np.percentile(array, shares)]


def robust_sigma(values: Any) -> float:
    """Return 1.4826 times the median absolute deviation of the finite values."""
    return 1.4826 * middle(np.abs(np.asarray(values, dtype=float) - middle(values)))

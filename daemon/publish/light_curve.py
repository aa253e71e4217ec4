"""The light curve of a watched target: magnitudes and limits, as a table and as a picture."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from daemon.publish.page import plain
from reducers.julian_date import mjd_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.archive_differences import LightRecord

_COLOURS = ("#0b6bcb", "#c01c28", "#1a7f37", "#8b1a8b", "#a66f00", "#444444")


@dataclass(frozen=True, slots=True)
class Brightness:
    """A point of a light curve in magnitudes.

    Attributes
    ----------
    magnitude, error
        Of a detection above three sigma, the zero point's error included; else NaN.
    limit_3, limit_5
        Faintest star that would have been so significant.
    """

    magnitude: float
    error: float
    limit_3: float
    limit_5: float


def brightness(point: LightRecord) -> Brightness:
    """Return magnitude or limits of a point; NaN without a zero point or a measurement."""
    flux, error = point.flux, point.flux_error
    if not (error > 0 and point.exposure_s > 0 and math.isfinite(point.zero_point_mag + flux)):
        return Brightness(math.nan, math.nan, math.nan, math.nan)

    def magnitude(light: float) -> float:
        return point.zero_point_mag - 2.5 * math.log10(light / point.exposure_s)

    seen = flux > 3 * error
    known = point.zero_point_error_mag
    shared = known if math.isfinite(known) else 0.0
    return Brightness(
        magnitude=magnitude(flux) if seen else math.nan,
        error=math.hypot(1.0857 * error / flux, shared) if seen else math.nan,
        limit_3=magnitude(max(flux, 0.0) + 3 * error) if not seen else magnitude(3 * error),
        limit_5=magnitude(max(flux, 0.0) + 5 * error) if not seen else magnitude(5 * error),
    )


def light_curve_csv(points: Sequence[LightRecord]) -> str:
    """Return a light curve as a table, one point a line."""
    lines = [
        "target,stem,utc_middle,method,band,magnitude,magnitude_error,limit_3_sigma,"
        "limit_5_sigma,flux_e,flux_error_e,exposure_s,zero_point_mag,remark"
    ]
    for one in points:
        seen = brightness(one)
        when = one.observed_at.isoformat(timespec="seconds") if one.observed_at else ""
        numbers = [seen.magnitude, seen.error, seen.limit_3, seen.limit_5]
        tail = [one.flux, one.flux_error, one.exposure_s, one.zero_point_mag]
        cells = [_text(one.target), one.stem, when, one.method, one.band]
        cells += [_number(value, 3) for value in numbers]
        cells += [_number(tail[0], 1), _number(tail[1], 1), _number(tail[2], 3)]
        cells += [_number(tail[3], 3), _text(one.why)]
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""


def _text(text: str) -> str:
    return '"' + text.replace('"', "'") + '"' if "," in text or '"' in text else text


def light_curve_picture(name: str, points: Sequence[LightRecord]) -> bytes:
    """Return the light curve as PNG: a colour for each band, triangles for limits of 3 sigma.

    Filled marks are those of differences, open ones those of images.
    """
    figure = Figure(figsize=(9.0, 5.0), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.12, 0.88, 0.78))
    bands = sorted({point.band for point in points})
    colours = {band: _COLOURS[n % len(_COLOURS)] for n, band in enumerate(bands)}
    shown: set[str] = set()
    for point in points:
        seen = brightness(point)
        if point.observed_at is None or not math.isfinite(seen.limit_3):
            continue
        colour, when = colours[point.band], mjd_of(point.observed_at)
        face = colour if point.method == "difference" else "white"
        label = f"{point.band} {point.method}"
        again = label in shown
        shown.add(label)
        if math.isfinite(seen.magnitude):
            axes.errorbar(when, seen.magnitude, seen.error, fmt="o", ms=6, color=colour, mfc=face,
                          capsize=2, label="_" if again else label)  # fmt: skip
        else:
            axes.plot(when, seen.limit_3, "v", ms=7, color=colour, mfc=face,
                      label="_" if again else label)  # fmt: skip
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.set_xlabel("MJD (UTC), middle of the exposure")
    axes.set_ylabel("magnitude")
    said = f"{plain(name, 60)}: measured above 3 sigma, else the limit (triangles)"
    axes.set_title(said, fontsize=11, parse_math=False)
    axes.grid(alpha=0.25)
    if shown:
        axes.invert_yaxis()
        axes.legend(fontsize=9, loc="best")
    else:
        axes.text(0.5, 0.5, "nothing was measured", transform=axes.transAxes, ha="center")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()

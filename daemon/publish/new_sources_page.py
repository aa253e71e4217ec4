"""The figure of a search: the image with its candidates, circles and catalogue, and stamps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.new_sources_text import sexagesimal
from daemon.publish.page import (
    BLUE,
    GREEN,
    GREY,
    LIGHT_BLUE,
    ORANGE,
    RED,
    Page,
    Picture,
    known,
    title,
)
from daemon.publish.sky_picture import draw_compass, draw_sky, grey_range
from daemon.publish.strip import write_strip
from reducers.frame import UNUSABLE
from reducers.imaging.image_products import blocks
from reducers.imaging.references import References
from reducers.transients.candidate import Standing
from reducers.transients.localisation import Colour
from reducers.transients.new_source_table import counted, in_words, reasons_of, told
from reducers.transients.new_sources import NewSources
from reducers.transients.search_image import SearchImage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from reducers.transients.candidate import Candidate
    from reducers.transients.localisation import Localisation

COLOURS = {Colour.RED: RED, Colour.ORANGE: ORANGE, Colour.GREEN: GREEN}
_BOX = (56, 45, 815, 815)
#: Stamps on the page, how many in a row, and the half-width of each in arcsec.
_STAMPS, _IN_ROW, _HALF_ARCSEC = 12, 4, 8.0
_CIRCLES, _MARKS = 400, 60
#: Squares of catalogues, that of positions first.
_ENTRIES = (BLUE, LIGHT_BLUE, LIGHT_BLUE, LIGHT_BLUE)
_TURN = np.linspace(0, 2 * np.pi, 181)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search with what it was made on."""

    found: NewSources
    image: SearchImage
    references: References


def new_sources_picture(found: NewSources, image: SearchImage, references: References) -> Picture:
    """Return the figure of a search, and what it says as JSON."""
    page = Page("new sources")
    search = Search(found=found, image=image, references=references)
    _write_header(page, search)
    page.panel("image", _BOX, _draw_field, search)
    for place, one in enumerate(_shown(found)[:_STAMPS]):
        row, column = divmod(place, _IN_ROW)
        box = (915 + 170 * column, 655 - 275 * row, 155, 155)
        page.panel(f"stamp_{place + 1}", box, _draw_stamp, search, one)
        _caption(page, box, place + 1, one)
    page.facts["candidates"] = [_facts(one) for one in told(found)]
    return page.finish()


def _shown(found: NewSources) -> list[Candidate]:
    """Return the candidates in the order in which a person looks at them: open ones first."""
    chosen = told(found)
    held = (Standing.KNOWN, Standing.VETOED)
    return sorted(chosen, key=lambda one: one.standing in held)


def _write_header(page: Page, search: Search) -> None:
    found, image = search.found, search.image
    standing = found.standing
    best = max((one.colour for one in standing), default=None)
    badge = counted(found.candidates) if not found.suspicious else "frame to be doubted"
    colour = COLOURS[best] if best is not None else "#33557a"
    said = in_words(found, image)
    write_strip(
        page,
        name=image.target or image.name,
        badge=badge,
        colour=RED if found.suspicious else colour,
        about=[
            "time unknown" if image.middle is None else f"{image.middle:%Y-%m-%d %H:%M:%S} UT",
            f"{image.exposure_s:g} s",
            f"limit {known(found.limit_mag, '.1f')} mag",
        ],
        reasons=said,
        right=f"{image.name}  {image.filter}",
        aside=["red 0: outside every circle", "orange 1: in a circle of arcmin, or none given",
               "green 2: in a circle of arcsec", "squares: catalogues; grey: held back"],
    )  # fmt: skip
    page.facts |= {"frame": image.name, "said": said, "suspicious": found.suspicious}


def _draw_field(axes: Axes, search: Search) -> dict[str, Any]:
    image = search.image
    usable = (image.mask & np.uint16(UNUSABLE)) == 0
    plane, step = blocks(image.light, usable, max(_BOX[2:]) + 400)
    draw_sky(axes, plane, (_BOX[2], _BOX[3]), step=step)
    said: dict[str, Any] = {"entries": _draw_entries(axes, search)}
    for circle in search.found.localisations:
        said[f"circle_{circle.kind}"] = _draw_circle(axes, search, circle)
    for rank, one in enumerate(_shown(search.found)[:_MARKS], start=1):
        _mark(axes, image, rank, one)
    title(axes, "image less the sky: candidates, circles of 90 %, catalogue entries")
    if image.sky_map is not None:
        said |= draw_compass(axes, image.sky_map, image.shape)
    return said


def _draw_entries(axes: Axes, search: Search) -> int:
    """Mark the brightest entries of the catalogues; return how many."""
    image, drawn = search.image, 0
    if image.sky_map is None:
        return 0
    rows, columns = image.shape
    for catalogue, colour in zip(search.references.each, _ENTRIES, strict=False):
        first = next(iter(catalogue.magnitudes.values()), np.zeros(len(catalogue)))
        order = np.argsort(np.where(np.isfinite(first), first, np.inf))
        x, y = image.sky_map.pixels(catalogue.ra_deg[order], catalogue.dec_deg[order])
        with np.errstate(invalid="ignore"):
            inside = (x > 0) & (y > 0) & (x < columns - 1) & (y < rows - 1)
        x, y = x[inside][:_CIRCLES], y[inside][:_CIRCLES]
        axes.plot(x, y, "s", ms=7, mfc="none", mec=colour, mew=0.8)
        drawn += len(x)
    return drawn


def _draw_circle(axes: Axes, search: Search, circle: Localisation) -> bool:
    """Draw a circle of 90 % as it lies on the sky; return whether any of it is on the panel."""
    sky_map = search.image.sky_map
    if sky_map is None:
        return False
    radius = circle.r90_arcsec / 3600
    dec = np.clip(circle.dec_deg + radius * np.sin(_TURN), -90, 90)
    ra = circle.ra_deg + radius * np.cos(_TURN) / np.maximum(np.cos(np.radians(dec)), 1e-6)
    x, y = sky_map.pixels(ra % 360, dec)
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(x, y, "--" if circle.kind == "XRT" else ":", color=RED if circle.kind == "XRT"
              else "k", lw=1.4)  # fmt: skip
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    with np.errstate(invalid="ignore"):
        on = (x > limits[0][0]) & (x < limits[0][1]) & (y > limits[1][0]) & (y < limits[1][1])
    if on.any():
        at = int(np.flatnonzero(on)[np.argmax(y[on])])
        axes.text(x[at], y[at] + 0.012 * search.image.shape[0], circle.kind, color="k",
                  fontsize=9, weight="bold", ha="center")  # fmt: skip
    return bool(on.any())


def _mark(axes: Axes, image: SearchImage, rank: int, one: Candidate) -> None:
    held = one.standing in (Standing.KNOWN, Standing.VETOED)
    colour = GREY if held else COLOURS[one.colour]
    axes.plot([one.x_px], [one.y_px], "o", ms=9 if held else 14, mfc="none", mec=colour,
              mew=0.8 if held else 2.2)  # fmt: skip
    if not held or rank <= _STAMPS:
        axes.text(one.x_px + 0.018 * image.shape[1], one.y_px, str(rank), color=colour,
                  fontsize=9 if held else 12, weight="bold", va="center")  # fmt: skip


def _draw_stamp(axes: Axes, search: Search, one: Candidate) -> dict[str, Any]:
    """Draw what is around a candidate, with the entries of the catalogues."""
    image = search.image
    half = _HALF_ARCSEC / image.pixel_scale_arcsec if image.pixel_scale_arcsec > 0 else 40.0
    left, right = (round(one.x_px + side * half) for side in (-1, 1))
    low, high = (round(one.y_px + side * half) for side in (-1, 1))
    cut = image.light[max(low, 0) : high + 1, max(left, 0) : right + 1]
    white, black = grey_range(image.light[::7, ::7])
    black = max(black, 0.6 * float(np.nanmax(cut)) if cut.size else black)
    axes.imshow(
        cut, origin="lower", cmap="gray_r", vmin=white, vmax=black, aspect="auto",
        interpolation="nearest",
        extent=(max(left, 0) - 0.5, max(left, 0) + cut.shape[1] - 0.5,
                max(low, 0) - 0.5, max(low, 0) + cut.shape[0] - 0.5),
    )  # fmt: skip
    if image.sky_map is not None:
        for catalogue in search.references.each:
            x, y = image.sky_map.pixels(catalogue.ra_deg, catalogue.dec_deg)
            with np.errstate(invalid="ignore"):
                near = np.hypot(x - one.x_px, y - one.y_px) < 1.5 * half
            axes.plot(x[near], y[near], "s", ms=9, mfc="none", mec=BLUE, mew=1.0)
    colour = GREY if one.standing is Standing.VETOED else COLOURS[one.colour]
    axes.plot([one.x_px], [one.y_px], "o", ms=26, mfc="none", mec=colour, mew=1.4)
    axes.set_xlim(one.x_px - half, one.x_px + half)
    axes.set_ylim(one.y_px - half, one.y_px + half)
    return {"half_width_arcsec": _HALF_ARCSEC}


def _caption(page: Page, box: tuple[int, int, int, int], rank: int, one: Candidate) -> None:
    ra, dec = sexagesimal(one.ra_deg, one.dec_deg)
    error = known(one.magnitude_error, ".2f")
    why = reasons_of(one).lower().replace(",", ", ").replace("_", " ")
    text = "\n".join(
        [
            f"{rank}  {one.standing.value}  {one.band} {known(one.magnitude, '.2f')} +- {error}",
            f"{ra} {dec}",
            f"score {known(one.score, '.2f')}  S/N {known(one.snr, '.0f')}",
            *_folded("" if why == "-" else why),
        ]
    )
    page.write(box[0], box[1] - 5, text, fontsize=7.5)


def _folded(text: str, width: int = 32) -> list[str]:
    words, lines = text.split(), [""]
    for word in words:
        if len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [line for line in lines if line][:4]


def _facts(one: Candidate) -> dict[str, Any]:
    plain = ("number", "ra_deg", "dec_deg", "x_px", "y_px", "magnitude", "magnitude_error",
             "band", "snr", "score", "name", "method")  # fmt: skip
    return {
        **{name: getattr(one, name) for name in plain},
        "class": int(one.colour),
        "standing": one.standing.value,
        "reasons": list(one.reasons),
        "vetoes": [flag.name for flag in one.vetoes],
        "measurements": {
            name: value for name, value in one.measurements.items() if math.isfinite(value)
        },
    }

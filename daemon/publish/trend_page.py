"""Pages of trends: every series with the band of each night and its changes."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

from daemon.health.bands import Standing
from daemon.health.lines import change_words, standing_words
from daemon.publish.page import (
    BLUE,
    HEIGHT_PX,
    LIGHT_BLUE,
    ORANGE,
    PALE,
    RED,
    SMALL,
    Page,
    Picture,
    frame,
    note,
    plain,
    say,
    title,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from daemon.health.changes import Judged
    from daemon.health.condition import Condition

_COLUMNS, _ROWS = 3, 4
PER_PAGE = _COLUMNS * _ROWS
_LEFT, _WIDE, _STEP_X = 84, 420, 520
_TOP, _HIGH, _STEP_Y = 880, 138, 222
_COLOURS = {Standing.WARN: ORANGE, Standing.ERROR: RED}
_LEGEND = (
    "pale: 3 and 5 sigma bands, each night's from the nights before it      grey: readings      "
    "blue, orange, red: nights within, beyond 3, beyond 5 sigma      red line: a change"
)


def trend_pages(conditions: Sequence[Condition], nights: int = 30) -> list[Picture]:
    """Return the pages of these series, twelve on each; none without a series."""
    pages = [conditions[i : i + PER_PAGE] for i in range(0, len(conditions), PER_PAGE)]
    return [
        _page(shown, nights, f"page {number} of {len(pages)}")
        for number, shown in enumerate(pages, start=1)
    ]


def _page(conditions: Sequence[Condition], nights: int, which: str) -> Picture:
    page = Page("trends")
    page.facts["night"] = conditions[0].night
    heading = f"Instrument trends, {nights} nights up to {conditions[0].night}    {which}"
    page.write(24, HEIGHT_PX - 14, heading, fontsize=14, weight="bold")
    page.write(24, HEIGHT_PX - 44, _LEGEND, fontsize=SMALL, color="0.3")
    for index, item in enumerate(conditions):
        row, column = divmod(index, _COLUMNS)
        box = (_LEFT + column * _STEP_X, _TOP - _HIGH - row * _STEP_Y + 18, _WIDE, _HIGH)
        page.panel(item.series.name, box, _draw, item, nights)
    return page.finish()


def _draw(axes: Axes, item: Condition, nights: int) -> dict[str, Any]:
    last = date.fromisoformat(item.night).toordinal()
    shown = [each for each in item.course.judged if last - each.night.day < nights]
    title(axes, plain(f"{item.series.name}   {standing_words(item)}", 64))
    if not shown:
        return say(axes, f"nothing in {nights} nights")
    frame(
        axes, (-nights + 0.5, 0.7), _range(item, shown), y_label=item.series.rule.unit, x_ticks=7,
        x_label="nights before",
    )  # fmt: skip
    for each in shown:
        _draw_band(axes, each, last)
    _draw_readings(axes, item, last, nights)
    for each in shown:
        standing = Standing.OK if each.band is None else each.band.standing(each.night.value)
        colour = _COLOURS.get(standing, BLUE)
        axes.plot(each.night.day - last, each.night.value, "o", ms=4, color=colour, zorder=3)
    told = []
    for change in item.course.changes:
        day = date.fromisoformat(change.began).toordinal() - last
        if day > -nights:
            axes.axvline(day - 0.5, color=RED, lw=1.2, zorder=2)
            told.append(change_words(item, change))
    if told:
        words = plain(told[-1].removeprefix(f"{item.series.name} "), 58)
        note(axes, words, x=0.01, y=0.97, ha="left", color=RED)
    return {
        "nights": [each.night.night for each in shown],
        "values": [each.night.value for each in shown],
        "standing": str(item.standing or "not measured"),
        "changes": told,
    }


def _draw_band(axes: Axes, each: Judged, last: int) -> None:
    if each.band is None:
        return
    x = each.night.day - last
    for (low, high), alpha in ((each.band.bad, 0.12), (each.band.warn, 0.22)):
        axes.fill_between(
            (x - 0.5, x + 0.5), low, high, color=LIGHT_BLUE, alpha=alpha, lw=0, zorder=0
        )
    axes.plot((x - 0.5, x + 0.5), (each.band.middle,) * 2, color=LIGHT_BLUE, lw=1, zorder=1)


def _draw_readings(axes: Axes, item: Condition, last: int, nights: int) -> None:
    found = [
        (date.fromisoformat(reading.night).toordinal() - last, reading.value)
        for reading in item.series.readings
        if reading.night <= item.night
    ]
    places = [(x, y) for x, y in found if x > -nights]
    if len(places) > len({x for x, _ in places}):
        axes.plot(*zip(*places, strict=True), ".", ms=3, color=PALE, zorder=1)


def _range(item: Condition, shown: Sequence[Judged]) -> tuple[float, float]:
    """Return the range of the nights' values and of their 3-sigma bands."""
    values = [each.night.value for each in shown]
    for each in shown:
        if each.band is not None:
            values += each.band.warn
    low, high = min(values), max(values)
    room = 0.08 * (high - low) or max(abs(high) * 0.02, 1e-6)
    return (low - room, high + 2 * room) if math.isfinite(room) else (0.0, 1.0)

"""The static page trends.html: pictures, and every series in a table with what to do."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from daemon.health.bands import Standing
from daemon.health.condition import worst_first
from daemon.health.lines import bars, change_words, standing_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.health.condition import Condition

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5em auto; max-width: 1240px; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .2em .7em; text-align: left }
tr { border-bottom: 1px solid #ddd } .bars { font-family: monospace; white-space: pre }
.warn { background: #fff3d6 } .error { background: #fbdcd0 } .quiet { color: #777 }
img { width: 100%; border: 1px solid #ccc; margin: .5em 0 }
"""
_ROW_CLASS = {Standing.WARN: "warn", Standing.ERROR: "error", None: "quiet"}


def trends_html(
    conditions: Sequence[Condition],
    pictures: Sequence[str],
    remarks: Sequence[str] = (),
    nights: int = 30,
) -> str:
    """Return the page; pictures are file names beside it, remarks plain lines."""
    night = conditions[0].night if conditions else "no night"
    rows = "\n".join(_rows(item, nights) for item in worst_first(conditions))
    images = "\n".join(f'<img src="{escape(name)}" alt="trends">' for name in pictures)
    said = "".join(f"<li>{escape(line)}</li>" for line in remarks)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Trends to {escape(night)}</title>
<style>{_STYLE}</style></head><body>
<h1>Instrument trends to {escape(night)}</h1>
<p>Every value is judged by the band of its own day: median and scatter of the nights before it.</p>
<ul>{said}</ul>
<table><tr><th>series</th><th>last {nights} nights</th><th>value</th><th>expected</th>
<th>standing</th></tr>
{rows}
</table>
{images}
</body></html>
"""


def _rows(item: Condition, nights: int) -> str:
    rule, latest, band = item.series.rule, item.latest, item.band
    value = "-" if latest is None else f"{latest.value:{rule.form}} {rule.unit}"
    usual = "-" if band is None else f"{band.middle:{rule.form}} ± {band.sigma:.2g}"
    cells = (bars(item, nights), value, usual, standing_words(item))
    kind = _ROW_CLASS.get(item.standing, "")
    cells_html = "".join(
        f"<td{' class=bars' if place == 0 else ''}>{escape(cell)}</td>"
        for place, cell in enumerate(cells)
    )
    told = "".join(
        f'<tr class="warn"><td colspan="5">{escape(change_words(item, change))}. '
        f"{escape(rule.sentence)} {escape(rule.cause)} <b>{escape(rule.advice)}</b></td></tr>"
        for change in item.course.changes[-1:]
    )
    return f'<tr class="{kind}"><td>{escape(item.series.name)}</td>{cells_html}</tr>{told}'

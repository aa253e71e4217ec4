"""The trends as lines of text: for the nightly report and for `alfoscd trends`."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from daemon.health.bands import Standing
from daemon.health.condition import worst_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.health.changes import Change
    from daemon.health.condition import Condition

_BARS = "▁▂▃▄▅▆▇█"
_GAP = "·"
WIDTH = 90


def trend_lines(
    conditions: Sequence[Condition],
    nights: int = 30,
    *,
    width: int = WIDTH,
    most: int = 12,
) -> list[str]:
    """Return the trends of a night for its report: what wants attention first.

    Parameters
    ----------
    conditions
        As `health_of(archive, night)` gives them.
    nights
        Length of the bars, one for each calendar night up to this one.
    most
        Series that are listed; how many others lie in their bands is said in a last line.
    """
    tonight = [item for item in conditions if item.latest is not None]
    if not tonight:
        return ["  nothing was measured this night"]
    ordered = worst_first(tonight)
    shown = [item for item in ordered if item.wants_attention]
    shown += [item for item in ordered if not item.wants_attention][: max(0, most - len(shown))]
    lines = [line[:width] for item in shown for line in condition_lines(item, nights)]
    calm = sum(item.standing is Standing.OK for item in tonight if item not in shown)
    new = sum(item.standing is Standing.NO_HISTORY for item in tonight if item not in shown)
    if calm or new:
        lines.append(f"  {calm} more in their bands, {new} more without history yet")
    return lines


def condition_lines(item: Condition, nights: int = 30) -> list[str]:
    """Return one series as a line, and a further one for each change told on this night."""
    rule, latest = item.series.rule, item.latest
    value = "-" if latest is None else f"{latest.value:{rule.form}} {rule.unit}"
    lines = [
        f"  {item.series.name:<25.25} {bars(item, min(nights, 30)):<30} {value:<12} "
        f"{standing_words(item)}"
    ]
    lines += [f"      ! {change_words(item, change)}" for change in item.new_changes]
    return lines


def standing_words(item: Condition) -> str:
    """Return how a series stands: 'ok +0.3', 'ERROR +7.1', with its drift."""
    latest, band, standing = item.latest, item.band, item.standing
    if latest is None or standing is None:
        return "not measured"
    if band is None:
        changes = item.course.changes
        return f"changed {changes[-1].began}" if changes else str(standing)
    word = standing if standing is Standing.OK else standing.upper()
    text = f"{word} {band.sigmas(latest.value):+.1f}"
    drift = item.drift
    if drift is None:
        return text
    if item.series.rule.floor_relative > 0 and band.middle:
        return f"{text} {700 * drift.per_day / abs(band.middle):+.1f}%/week"
    return f"{text} {7 * drift.per_day:+.2g}/week"


def change_words(item: Condition, change: Change) -> str:
    """Return what has changed, in one line."""
    rule = item.series.rule
    what = "is back" if change.back else "changed"
    return (
        f"{item.series.name} {what}: {change.before:{rule.form}} -> {change.after:{rule.form}} "
        f"{rule.unit} since {change.began}"
    )


def bars(item: Condition, nights: int) -> str:
    """Return a bar for every calendar night up to this one, a point where there was none."""
    last = date.fromisoformat(item.night)
    wanted = [(last - timedelta(days=n)).isoformat() for n in range(nights - 1, -1, -1)]
    values = {each.night.night: each.night.value for each in item.course.judged}
    known = [values[night] for night in wanted if night in values]
    if not known:
        return _GAP * nights
    low, span = min(known), max(known) - min(known)
    step = (len(_BARS) - 1) / span if span > 0 else 0.0
    return "".join(_BARS[round((values[n] - low) * step)] if n in values else _GAP for n in wanted)


def condition_json(item: Condition, nights: int = 30) -> dict[str, Any]:
    """Return one series for machines: every night with its band, and its changes."""
    since = (date.fromisoformat(item.night) - timedelta(days=nights - 1)).isoformat()
    shown = [each for each in item.course.judged if each.night.night >= since]
    return {
        "name": item.series.name,
        "unit": item.series.rule.unit,
        "standing": None if item.standing is None else str(item.standing),
        "nights": [
            {
                "night": each.night.night,
                "value": each.night.value,
                "error": each.night.error,
                "readings": each.night.count,
                "expected": None if each.band is None else each.band.middle,
                "sigma": None if each.band is None else each.band.sigma,
            }
            for each in shown
        ],
        "changes": [
            {
                "began": change.began,
                "told": change.told,
                "before": change.before,
                "after": change.after,
                "sigmas": change.sigmas,
                "back": change.back,
            }
            for change in item.course.changes
        ],
    }

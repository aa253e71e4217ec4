"""What is on disc of the catalogues, in words."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from calibration_store.catalogues.coverage import OUTSIDE, date_of
from calibration_store.catalogues.local import WHOLE
from calibration_store.catalogues.sky import PIXEL_ORDER
from daemon.publish.words import clean, table

if TYPE_CHECKING:
    from pathlib import Path

    from calibration_store.catalogues.references import Catalogues
    from calibration_store.catalogues.sky import Cone

_PIXELS_PER_SQUARE_DEGREE = 12 * 4**PIXEL_ORDER / 41252.96
_OLD_DAYS = 400
_SHOWN = 30


def status_lines(catalogues: Catalogues, folder: Path) -> list[str]:
    """Return what is held, how old it is, which services rest and what is wanted."""
    lines = [f"Reference catalogues in {folder}"]
    rows, old = [], []
    for name in catalogues.tiles.names():
        row, oldest = _holding(catalogues, name)
        rows.append(row)
        if oldest and (catalogues.now().date() - date.fromisoformat(oldest)).days > _OLD_DAYS:
            old.append(name)
    if rows:
        head = ("name", "what", "square degrees", "tiles", "entries", "size", "fetched")
        lines += ["", *table(head, rows, width=110)]
    else:
        lines.append("  none is on disc: alfoscd catalogues fetch --schedule FILE before the night")
    missing = [name for name in catalogues.known.by_name if name not in catalogues.tiles.names()]
    if rows and missing:
        lines.append(f"  not on disc: {', '.join(missing)}")
    if old:
        names = ",".join(old)
        lines.append(f"  in part older than a year: fetch with --again --catalogue {names}")
    return [*lines, "", *_services(catalogues), *_waiting(catalogues)]


def coverage_lines(catalogues: Catalogues, cone: Cone) -> list[str]:
    """Return how well one field is covered by each catalogue."""
    lines = [f"Field {cone.ra_deg:.4f} {cone.dec_deg:+.4f}, radius {cone.radius_deg:.3f} degrees:"]
    for name, facts in catalogues.known.by_name.items():
        own = catalogues.tiles.read(name, cone)
        found = catalogues.read(name, cone, facts.epoch_year)
        when = f", fetched {found.retrieved}" if found.retrieved else ""
        if not facts.reaches(cone):
            said = "does not reach this declination"
        elif found.covered >= WHOLE:
            said = f"complete, {len(found)} entries, {found.release or 'release unknown'}{when}"
        elif own.asked >= WHOLE:
            said = f"{found.covered:.0%}, {len(found)} entries{when}; it has not looked at the rest"
        elif found.covered > 0:
            said = f"{found.covered:.0%}, {len(found)} entries{when}; the rest is not on disc"
        else:
            said = "not on disc"
        lines.append(f"  {facts.title:<16} {said}")
        lines += [f"  {'':<16} damaged, fetch it --again: {path}" for path in own.damaged]
    return lines


def wanted_lines(catalogues: Catalogues) -> list[str]:
    """Return the fields that images needed and did not get."""
    wishes = catalogues.wanted.everything()
    if not wishes:
        return ["nothing is wanted: every image got its catalogues"]
    lines = [f"{_fields(len(wishes))} wanted, the oldest first:"]
    for wish in wishes[:_SHOWN]:
        names = " and ".join(" or ".join(choice) for choice in wish.needs)
        since = wish.since[:16].replace("T", " ")
        lines.append(f"  {wish.ra_deg:9.4f} {wish.dec_deg:+9.4f}  since {since}  {names}")
        lines.append(f"      {clean(wish.why, 160)}")
    if len(wishes) > _SHOWN:
        lines.append(f"  and {len(wishes) - _SHOWN} more")
    lines.append("alfoscd catalogues wanted --fetch tries again now")
    return lines


def _holding(catalogues: Catalogues, name: str) -> tuple[tuple[str, ...], str]:
    """Return the line of one catalogue, and its oldest date."""
    held = catalogues.tiles.holding(name)
    pixels = entries = size = tiles = 0
    days: set[int] = set()
    for tile in catalogues.tiles.tiles(name):
        looked = tile.cover[tile.cover["release"] != OUTSIDE]
        pixels += int((looked["stop"] - looked["start"]).sum())
        days |= set(looked["day"].tolist())
        entries, size, tiles = entries + tile.entries, size + tile.size_bytes, tiles + 1
    dates = sorted(date_of(day) for day in days if day >= 0)
    releases = ", ".join(release for release in held.releases if release) if held else ""
    when = f"{dates[0]} to {dates[-1]}" if len(dates) > 1 else (dates or ["date unknown"])[0]
    row = (
        name,
        releases or "release unknown",
        f"{pixels / _PIXELS_PER_SQUARE_DEGREE:.2f}",
        str(tiles),
        str(entries),
        f"{size / 1e6:.1f} MB",
        when,
    )
    return row, dates[0] if dates else ""


def _services(catalogues: Catalogues) -> list[str]:
    if not catalogues.online:
        return ["Services are not asked: [catalogues] online = false"]
    lines = ["Services are asked for fields that are not on disc"]
    for what, rest in catalogues.hosts.resting().items():
        times = "once" if rest.failures == 1 else f"{rest.failures} times in a row"
        lines.append(f"  {what} failed {times} and rests until {rest.until[11:16]} UT: {rest.why}")
    return lines


def _waiting(catalogues: Catalogues) -> list[str]:
    wishes = catalogues.wanted.everything()
    if not wishes:
        return ["No image waits for a catalogue"]
    since = wishes[0].since[:10]
    return [f"{_fields(len(wishes))} wanted, the oldest since {since}: alfoscd catalogues wanted"]


def _fields(count: int) -> str:
    return "1 field is" if count == 1 else f"{count} fields are"

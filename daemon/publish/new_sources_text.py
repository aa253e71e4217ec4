"""New sources as lines on a terminal, in the colours of their classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from daemon.publish.words import clean, number
from reducers.transients.candidate import Standing
from reducers.transients.localisation import Colour
from reducers.transients.new_source_table import in_words, reasons_of, told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.publish.words import Paint
    from reducers.transients.candidate import Candidate
    from reducers.transients.new_sources import NewSources
    from reducers.transients.search_image import SearchImage

_PAINTS = {Colour.RED: "red", Colour.ORANGE: "amber", Colour.GREEN: "green"}
_HEAD = (" #", "standing", "RA", "Dec", "mag", "error", "S/N", "score", "class", "why")


def new_sources_lines(found: NewSources, image: SearchImage, paint: Paint) -> list[str]:
    """Return the lines that `alfoscd findnew` prints."""
    chosen = told(found)
    lines = _table(chosen, paint) if chosen else []
    for rank, one in enumerate(chosen, start=1):
        if one.standing is not Standing.VETOED:
            lines.append(f"  {rank:>2}: {clean(' '.join(one.reasons), 300)}")
    return [*lines, *(f"  {clean(text, 300)}" for text in in_words(found, image))]


def _table(chosen: Sequence[Candidate], paint: Paint) -> list[str]:
    rows = [_HEAD, *(_cells(rank, one) for rank, one in enumerate(chosen, start=1))]
    wide = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for rank, row in enumerate(rows):
        padded = zip(row, wide, strict=True)
        line = "  " + "  ".join(cell.ljust(width) for cell, width in padded).rstrip()
        lines.append(line if rank == 0 else paint(line, _paint_of(chosen[rank - 1])))
    return lines


def _paint_of(one: Candidate) -> str:
    open_ones = (Standing.NEW, Standing.UNVETTED)
    return _PAINTS[one.colour] if one.standing in open_ones else "dim"


def _cells(rank: int, one: Candidate) -> tuple[str, ...]:
    ra, dec = sexagesimal(one.ra_deg, one.dec_deg)
    return (
        f"{rank:>2}",
        one.standing.value.upper() if one.standing is Standing.NEW else one.standing.value,
        ra,
        dec,
        number(one.magnitude, ".2f"),
        number(one.magnitude_error, ".2f"),
        number(one.snr, ".0f"),
        number(one.score, ".2f"),
        f"{int(one.colour)} {one.colour.name.lower()}",
        clean(reasons_of(one), 60),
    )


def sexagesimal(ra_deg: float, dec_deg: float) -> tuple[str, str]:
    """Return right ascension in hours and declination in degrees, as 12:34:56.78 +12:34:56.7."""
    if not (math.isfinite(ra_deg) and math.isfinite(dec_deg)):
        return "unknown", "unknown"
    ticks = round(ra_deg % 360 / 15 * 360_000) % (24 * 360_000)
    seconds, hundredths = divmod(ticks, 100)
    ra = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{hundredths:02d}"
    tenths = round(abs(dec_deg) * 36_000)
    arcsec, tenth = divmod(tenths, 10)
    sign = "-" if dec_deg < 0 and tenths else "+"
    dec = f"{sign}{arcsec // 3600:02d}:{arcsec // 60 % 60:02d}:{arcsec % 60:02d}.{tenth}"
    return ra, dec

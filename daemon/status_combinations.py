"""The combinations of a night, as `alfoscd status` lists them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from daemon.status_lines import CombinationLine

if TYPE_CHECKING:
    import sqlite3

    from daemon.status_queries import Reader

_QUERY = (
    "SELECT target, setup, state, quality, exposure_s, members, excluded, measurements, paths"
    " FROM combination WHERE night = ? ORDER BY group_key"
)


def combinations(reader: Reader, night: str) -> tuple[CombinationLine, ...]:
    """Return the combinations of a night; none where a database is too old to know any."""
    known = reader.value("SELECT 1 FROM sqlite_master WHERE name = 'combination'")
    return tuple(_line(row) for row in reader.rows(_QUERY, night)) if known else ()


def _line(row: sqlite3.Row) -> CombinationLine:
    measured = json.loads(row["measurements"])
    return CombinationLine(
        target=row["target"],
        setup=row["setup"],
        state=row["state"],
        quality=row["quality"],
        exposure_s=row["exposure_s"],
        members=tuple(
            (each["stem"], each["factor"] or 0.0, each["weight"] or 0.0, each["remark"])
            for each in json.loads(row["members"])
        ),
        excluded=tuple((stem, reason) for stem, reason in json.loads(row["excluded"])),
        measurements={name: value for name, value in measured.items() if value is not None},
        paths=json.loads(row["paths"]),
    )

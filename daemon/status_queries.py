"""The questions of `alfoscd status`, as plain SELECTs over the standard library's SQLite.

SQLAlchemy alone takes as long to import as the whole answer may take.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from daemon.layout import version_of
from daemon.status_lines import (
    FrameLine,
    JobLine,
    MasterLine,
    ProductSummary,
    TroubleLine,
    WorkerLine,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


_SCIENCE = {"SPEC_OBJECT", "SPEC_STD", "IMG_OBJECT"}


class Reader:
    """A read-only connection that gives rows by name."""

    def __init__(self, path: Path) -> None:
        log = path.with_name(path.name + "-wal")
        # Without a log nobody writes, and a user who may not write here can still look.
        mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
        self._connection = sqlite3.connect(f"file:{quote(str(path))}?{mode}", uri=True, timeout=2)
        self._connection.row_factory = sqlite3.Row

    def __enter__(self) -> Reader:
        self._connection.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return every row."""
        return self._connection.execute(query, values).fetchall()

    def pairs(self, query: str, *values: Any) -> dict[str, int]:
        """Return the first column as keys of the second."""
        return {str(row[0]): int(row[1]) for row in self._connection.execute(query, values)}

    def value(self, query: str, *values: Any) -> Any:
        """Return the first column of the first row; None without one."""
        row = self._connection.execute(query, values).fetchone()
        return None if row is None else row[0]


def workers(reader: Reader, now: datetime) -> tuple[WorkerLine, ...]:
    """Return every process that has given a sign of life."""
    lines = []
    for row in reader.rows("SELECT who, pid, at, state, progress FROM heartbeat ORDER BY who"):
        at = _time(row["at"]) or now - timedelta(days=999)
        lines.append(
            WorkerLine(
                who=row["who"],
                pid=row["pid"],
                state=row["state"],
                age_s=max((now - at).total_seconds(), 0.0),
                progress=row["progress"],
            )
        )
    return tuple(lines)


def jobs(reader: Reader, state: str, recent: int) -> tuple[JobLine, ...]:
    """Return the newest jobs in a state."""
    query = (
        "SELECT kind, key, payload, state, attempts, error, coalesce(ended_at, submitted_at) AS at"
        " FROM job WHERE state = ? ORDER BY id DESC LIMIT ?"
    )
    return tuple(
        JobLine(
            kind=row["kind"],
            about=_about(reader, row["key"], _object(row["payload"])),
            state=row["state"],
            attempts=row["attempts"],
            error=row["error"],
            at=_time(row["at"]),
        )
        for row in reader.rows(query, state, recent)
    )


def _about(reader: Reader, key: str, payload: Mapping[str, Any]) -> str:
    """Return what a job is about in words instead of hashes."""
    if "role" in payload:
        return f"{payload['role']} of {payload.get('night', 'unknown night')}"
    if "frame_id" in payload:
        stem = reader.value("SELECT stem FROM frame WHERE id = ?", payload["frame_id"])
        return str(stem or f"frame {payload['frame_id']}")
    path = payload.get("path")
    return str(path).rsplit("/", 1)[-1] if path else key


def frames(reader: Reader, night: str) -> dict[str, int]:
    """Return how many exposures of each kind a night has."""
    query = "SELECT kind, count(*) FROM revision WHERE current = 1 AND night = ? GROUP BY kind"
    return reader.pairs(query, night)


def newest_science_night(reader: Reader) -> str:
    """Return the last night with a spectrum of an object or a standard, or an image; else ''."""
    for night in reversed(nights(reader)):
        if not _SCIENCE.isdisjoint(frames(reader, night)):
            return night
    return ""


def last_frames(reader: Reader, recent: int, night: str | None = None) -> tuple[FrameLine, ...]:
    """Return the exposures that arrived last, of one night or of all."""
    query = (
        "SELECT f.stem, r.kind, r.sha256, r.observed_at, r.identity, r.frame_id FROM revision r"
        " JOIN frame f ON f.id = r.frame_id WHERE r.current = 1"
        + (" AND r.night = ?" if night else "")
        + " ORDER BY r.arrived_at DESC LIMIT ?"
    )
    values = (night, recent) if night else (recent,)
    return tuple(
        FrameLine(
            stem=row["stem"],
            kind=row["kind"],
            target=_target(_object(row["identity"])),
            observed_at=_time(row["observed_at"]),
            state=_state_of_frame(reader, row),
        )
        for row in reader.rows(query, *values)
    )


def _state_of_frame(reader: Reader, row: sqlite3.Row) -> str:
    product = reader.rows(
        "SELECT state, quality FROM product WHERE frame_id = ? AND state <> 'superseded'",
        row["frame_id"],
    )
    if product:
        return f"{product[0]['state']}, quality {product[0]['quality']}"
    for state in ("running", "waiting", "blocked"):
        if reader.value(
            "SELECT 1 FROM job WHERE state = ? AND key IN (?, ?)",
            state,
            f"reduce:{row['sha256']}",
            f"redo:{row['sha256']}",
        ):
            return {"running": "being reduced"}.get(state, "waiting")
    if reader.value(
        "SELECT 1 FROM master_input i JOIN master m ON m.id = i.master_id"
        " WHERE i.sha256 = ? AND m.state = 'current'",
        row["sha256"],
    ):
        return "in a master"
    failed = reader.value(
        "SELECT error FROM job WHERE state = 'failed' AND key = ?", f"reduce:{row['sha256']}"
    )
    if failed is not None:
        return f"failed: {failed}"
    remarks = [
        reader.value(
            "SELECT error FROM job WHERE state = 'done' AND key = ? ORDER BY id DESC LIMIT 1",
            f"{kind}:{row['sha256']}",
        )
        for kind in ("reduce", "look")
    ]
    said = next((remark for remark in remarks if remark), "")
    if remarks[1] == "":
        return f"shown in quicklook/; {said}" if said else "shown in quicklook/"
    if said:
        return str(said)
    calibration = row["kind"] in ("BIAS", "ARC", "SPEC_FLAT", "IMG_FLAT", "DARK")
    if calibration:
        return "waiting for its set"
    why = _object(row["identity"]).get("reasons") or [""]
    return f"recorded: {why[0]}" if why[0] else "recorded"


def masters(reader: Reader, night: str) -> tuple[MasterLine, ...]:
    """Return the masters of a night that were not superseded."""
    query = (
        "SELECT m.role, m.setup, m.observed_at, m.state, m.reason, m.path, m.measurements,"
        " (SELECT count(*) FROM master_input i WHERE i.master_id = m.id) AS frames"
        " FROM master m WHERE m.night = ? AND m.state <> 'superseded'"
        " ORDER BY m.role, m.observed_at"
    )
    return tuple(
        MasterLine(
            role=row["role"],
            setup=setup_text(_object(row["setup"])),
            frames=row["frames"],
            observed_at=_time(row["observed_at"]),
            state=row["state"],
            reason=row["reason"],
            path=row["path"],
            measurements=_numbers(_object(row["measurements"])),
        )
        for row in reader.rows(query, night)
    )


def products(reader: Reader, night: str, recent: int) -> tuple[ProductSummary, ...]:
    """Return the current products of a night, the latest exposure first."""
    query = (
        "SELECT p.id, p.stem, p.target, p.state, p.quality, p.paths, p.latency_s, p.frame_id,"
        " p.verdict, p.verdict_by,"
        " r.kind, r.observed_at, r.identity"
        " FROM product p LEFT JOIN revision r ON r.frame_id = p.frame_id AND r.current = 1"
        " WHERE p.night = ? AND p.state <> 'superseded' ORDER BY r.observed_at DESC LIMIT ?"
    )
    return tuple(_product(reader, row) for row in reader.rows(query, night, recent))


def _product(reader: Reader, row: sqlite3.Row) -> ProductSummary:
    identity = _object(row["identity"])
    flags = reader.rows(
        "SELECT name, sentence FROM flag WHERE product_id = ? ORDER BY quality DESC, position",
        row["id"],
    )
    choices = reader.rows("SELECT role, reason FROM decision WHERE product_id = ?", row["id"])
    paths = {str(role): str(path) for role, path in _object(row["paths"]).items()}
    measured = reader.rows("SELECT name, value FROM measurement WHERE product_id = ?", row["id"])
    return ProductSummary(
        stem=row["stem"],
        kind=row["kind"] or "unknown",
        target=row["target"],
        state=row["state"],
        quality=row["quality"],
        observed_at=_time(row["observed_at"]),
        exposure_s=identity.get("exposure_s"),
        setup=setup_text(identity.get("setup") or {}),
        flags=tuple((flag["name"], flag["sentence"]) for flag in flags),
        measurements=_numbers({line["name"]: line["value"] for line in measured}),
        choices={choice["role"]: choice["reason"] for choice in choices},
        paths=paths,
        version=version_of(paths.get("spectrum") or paths.get("image", "")),
        latency_s=row["latency_s"],
        verdict=f"{row['verdict']} by {row['verdict_by']}" if row["verdict"] else "",
        programme=str(identity.get("programme") or ""),
    )


def troubles(reader: Reader, recent: int) -> tuple[TroubleLine, ...]:
    """Return the files that are quarantined or held."""
    return (*files_in(reader, "quarantined", recent), *files_in(reader, "held", recent))


def files_in(reader: Reader, state: str, recent: int) -> tuple[TroubleLine, ...]:
    """Return the files in one state, the last that came to it first."""
    query = (
        "SELECT path, state, reason, first_seen FROM file WHERE state = ?"
        " ORDER BY last_seen DESC LIMIT ?"
    )
    return tuple(
        TroubleLine(
            path=row["path"],
            state=row["state"],
            reason=row["reason"],
            since=_time(row["first_seen"]),
        )
        for row in reader.rows(query, state, recent)
    )


def latency(reader: Reader, night: str) -> dict[str, float]:
    """Return the seconds from arrival to first product: p50, p95, max."""
    query = (
        "SELECT min(latency_s) AS first FROM product WHERE night = ? AND latency_s IS NOT NULL"
        " GROUP BY frame_id"
    )
    return _quantiles([row["first"] for row in reader.rows(query, night)])


def shutter_latency(reader: Reader, night: str) -> dict[str, float]:
    """Return the seconds from the closing of the shutter, by the header, to the first product."""
    query = (
        "SELECT min(p.created_at) AS made, r.observed_at AS taken,"
        " json_extract(r.identity, '$.exposure_s') AS exposure_s FROM product p"
        " JOIN revision r ON r.frame_id = p.frame_id AND r.current = 1"
        " WHERE p.night = ? AND r.observed_at IS NOT NULL GROUP BY p.frame_id"
    )
    waits = []
    for row in reader.rows(query, night):
        made, taken = _time(row["made"]), _time(row["taken"])
        if made is not None and taken is not None:
            waits.append((made - taken).total_seconds() - float(row["exposure_s"] or 0.0))
    return _quantiles([wait for wait in waits if wait >= 0])


def untouched_nights(reader: Reader, night: str) -> int:
    """Return how many nights with products in a row, up to this one, nobody had to touch.

    It looks back two months.
    """
    query = (
        "SELECT night, max(verdict = 'rejected' OR redo <> '{}') AS touched FROM product"
        " WHERE night <= ? AND night >= date(?, '-60 days') GROUP BY night ORDER BY night DESC"
    )
    count = 0
    for row in reader.rows(query, night, night):
        if row["touched"]:
            break
        count += 1
    return count


def verdicts(reader: Reader) -> dict[str, int]:
    """Return how many products people have accepted and rejected, by their last word."""
    return reader.pairs(
        "SELECT decision, count(*) FROM judgement WHERE id IN"
        " (SELECT max(id) FROM judgement GROUP BY product_key) GROUP BY decision"
    )


def _quantiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered, last = sorted(values), len(values) - 1
    return {
        "p50": ordered[round(0.50 * last)],
        "p95": ordered[round(0.95 * last)],
        "max": ordered[last],
    }


def setup_text(setup: Mapping[str, Any]) -> str:
    """Return a set-up in a few words: 'Grism_#4 Slit_1.0 1x1'."""
    binning = f"{setup.get('x_binning', '?')}x{setup.get('y_binning', '?')}"
    parts = (setup.get("grism"), setup.get("slit"), setup.get("filter"), binning)
    return " ".join(str(part) for part in parts if part)


def _target(identity: Mapping[str, Any]) -> str:
    return str(identity.get("target") or identity.get("object_name") or "")


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {str(key): float(v) for key, v in values.items() if isinstance(v, int | float)}


def _object(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def held_since(reader: Reader, when: datetime) -> int:
    """Return how many files have been held since before this time."""
    query = "SELECT count(*) FROM file WHERE state = 'held' AND first_seen < ?"
    return int(reader.value(query, when.strftime("%Y-%m-%d %H:%M:%S")))


def bad_notices_since(reader: Reader, when: datetime) -> int:
    """Return how many notices of events could not be read since this time."""
    query = "SELECT count(*) FROM trigger WHERE state = 'bad' AND received_at >= ?"
    return int(reader.value(query, when.strftime("%Y-%m-%d %H:%M:%S")))


def nights(reader: Reader) -> tuple[str, ...]:
    """Return every night with frames, oldest first."""
    return tuple(str(row["night"]) for row in reader.rows(_NIGHTS))


#: Steps from night to night along the index instead of reading every frame.
_NIGHTS = (
    "WITH RECURSIVE n(night) AS (SELECT min(night) FROM revision WHERE current = 1 UNION ALL"
    " SELECT (SELECT min(night) FROM revision WHERE current = 1 AND night > n.night) FROM n"
    " WHERE n.night IS NOT NULL) SELECT night FROM n WHERE night IS NOT NULL"
)

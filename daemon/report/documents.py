"""The report for programs: one JSON document, and tables that a spreadsheet opens unharmed."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from daemon.outbox.harmless import visible
from daemon.report.verdict import actions_of, findings_of, subject_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.report.night_report import NightReport

#: Raised when a field changes its meaning or goes; new fields do not count.
SCHEMA = 1
#: A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_LONGEST = 1000
_PRODUCTS = ("frame", "kind", "programme", "target", "observed_at", "exposure_s", "setup",
             "quality", "state", "version", "verdict", "airmass", "snr", "seeing_arcsec",
             "zero_point_mag", "limit_5_sigma_mag", "flexure_px", "arc_age_h", "redshift",
             "flags", "file")  # fmt: skip
_MASTERS = ("role", "setup", "night", "frames", "first", "last", "state", "version", "used_by",
            "checks", "reason", "key", "sha256", "file")  # fmt: skip


def report_json(report: NightReport) -> str:
    """Return everything the report knows; numbers that are not finite are null."""
    colour, rule = verdict_of(report)
    document = {
        "schema": SCHEMA,
        "night": report.night,
        "version": report.version,
        "final": report.final,
        "written": report.at,
        "subject": subject_of(report),
        "verdict": colour,
        "rule": rule,
        "findings": findings_of(report),
        "actions": actions_of(report),
        "broken_identities": report.broken,
        "frames": report.status.frames,
        "account": report.account,
        "lost": report.lost,
        "products": report.status.products,
        "combinations": report.status.combinations,
        "masters": report.masters,
        "borrowed": report.borrowed,
        "debts": report.debts,
        "trends": report.trends,
        "sources": report.sources,
        "changes": report.changes,
        "failures": report.failures,
        "troubles": report.troubles,
        "machine": report.machine,
        "outbox": report.deliveries,
        "times": report.turns,
        "new_or_strange": report.oddities,
        "software": report.software,
        "configuration": report.config_digest,
        "comment": report.comment,
        "unknown": report.unknown,
    }
    return json.dumps(_plain(document), indent=1, ensure_ascii=True) + "\n"


def products_csv(report: NightReport) -> str:
    """Return one line per product and per science frame without one."""
    rows: list[Sequence[object]] = []
    for line in (*report.spectra, *report.images):
        found = line.measurements
        seeing = found.get("seeing_arcsec", found.get("fwhm_arcsec"))
        rows.append(
            (
                line.stem, line.kind, line.programme, line.target, line.observed_at,
                line.exposure_s, line.setup, line.quality, line.state, line.version, line.verdict,
                found.get("airmass"), found.get("snr"), seeing, found.get("zero_point_mag"),
                found.get("limit_5_sigma_mag"), found.get("flexure_px"), found.get("arc_age_h"),
                found.get("class_redshift"), " ".join(name for name, _ in line.flags),
                line.paths.get("spectrum") or line.paths.get("image", ""),
            )
        )  # fmt: skip
    for each in report.lost:
        known = {
            "frame": each.stem,
            "kind": each.kind,
            "programme": each.programme,
            "target": each.target,
            "state": each.outcome,
            "flags": each.reason,
        }
        rows.append([known.get(name, "") for name in _PRODUCTS])
    return _csv(_PRODUCTS, rows)


def masters_csv(report: NightReport) -> str:
    """Return one line per master with its hash."""
    rows = [
        (
            each.role, each.setup, each.night, each.frames, each.first, each.last, each.state,
            each.version, each.used_by,
            "; ".join(f"{c.name} {c.value:.6g}" for c in each.checks),
            each.reason, each.key, each.sha256, each.path,
        )
        for each in report.masters
    ]  # fmt: skip
    return _csv(_MASTERS, rows)


def cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return f"{value:.8g}" if math.isfinite(value) else ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = visible(str(value)).replace("\n", "\\n").replace("\t", " ")
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)

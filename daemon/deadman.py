#!/usr/bin/env python3
"""Look from outside whether the daemon does its work, and call somebody when it does not.

Run by a timer of its own (systemd/alfoscd-deadman.timer), in another process and by other code:
the standard library alone, so that whatever breaks the daemon does not break this. Exit code 0:
all is well, 1: somebody is needed, 2: the settings cannot be read.
"""

from __future__ import annotations

import argparse
import json
import os
import smtplib
import socket
import sqlite3
import ssl
import sys
import time
import tomllib
import urllib.request
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

_SILENT_S = 300.0
_CANARY_H = 6.0
_RAW_LIMIT_S = 3600.0
_REPORT_BY_H = 12.0
#: The same trouble is told again after so long.
_AGAIN_S = 86400.0
_FITS = (".fits", ".fits.gz", ".fit")


def main(arguments: list[str] | None = None) -> int:
    """Look once; print what is wrong, mail it, tell the push service."""
    parser = argparse.ArgumentParser(prog="deadman.py", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("/etc/alfoscd/alfoscd.toml"))
    path = parser.parse_args(arguments).config
    try:
        settings = tomllib.loads(path.read_text("utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        sys.stderr.write(f"deadman: {path} cannot be read: {error}\n")
        return 2
    troubles = look(settings, path.resolve().parent, datetime.now(UTC))
    for line in troubles or ["all is well"]:
        sys.stdout.write(f"{line}\n")
    own = settings.get("deadman", {})
    _push(str(own.get("push_url", "")), troubles)
    if _is_news(_memory_of(settings, path.resolve().parent), troubles, time.time()):
        _mail(settings, troubles)
    return 1 if troubles else 0


def look(settings: dict[str, Any], base: Path, now: datetime) -> list[str]:
    """Return everything that needs a person, one sentence each; an empty list when all is well.

    Parameters
    ----------
    settings
        Of the daemon, as its file has them.
    base
        Folder from which relative paths count.
    """
    paths = settings.get("paths", {})
    root = base / paths.get("root", "reduced")
    database = base / paths["database"] if paths.get("database") else root / "alfoscd.sqlite"
    if not database.is_file():
        return [f"there is no database {database}: the daemon has never run, or its disc is gone"]
    own = settings.get("deadman", {})
    every_h = float(settings.get("canary", {}).get("every_h", _CANARY_H))
    try:
        with closing(_opened(database)) as connection:
            return [
                *_heartbeat(connection, now),
                *(_canary(connection, now, every_h) if every_h > 0 else []),
                *_report(connection, now, float(own.get("report_by_h", _REPORT_BY_H))),
                *_newest_raw(
                    connection,
                    [base / folder for folder in paths.get("raw", [])],
                    now,
                    float(own.get("raw_limit_s", _RAW_LIMIT_S)),
                ),
            ]
    except sqlite3.Error as error:
        return [f"the database {database} cannot be read: {error}"]


def night_reported_by(now: datetime, by_h: float = _REPORT_BY_H) -> date:
    """Return the last night whose report is due: by so many hours UT of the day after it."""
    return (now - timedelta(hours=by_h)).date() - timedelta(days=1)


def _opened(database: Path) -> sqlite3.Connection:
    # Without a log nobody writes, and it can be read where this user may not write.
    mode = "mode=ro" if database.with_name(f"{database.name}-wal").exists() else "immutable=1"
    return sqlite3.connect(f"file:{quote(str(database))}?{mode}", uri=True, timeout=10)


def _heartbeat(connection: sqlite3.Connection, now: datetime) -> list[str]:
    row = connection.execute("SELECT at FROM heartbeat WHERE who = 'supervisor'").fetchone()
    if row is None:
        return ["the daemon is not running: systemctl status alfoscd"]
    age_s = (now - _time(row[0])).total_seconds()
    if age_s > _SILENT_S:
        said = f"the daemon gave no sign of life for {age_s / 60:.0f} min"
        return [f"{said}: see journalctl -u alfoscd"]
    return []


def _canary(connection: sqlite3.Connection, now: datetime, every_h: float) -> list[str]:
    row = connection.execute("SELECT max(ended_at) FROM canary").fetchone()
    begun = _begun(connection)
    since = _time(row[0]) if row and row[0] else begun
    if since is None or now - since <= timedelta(hours=2 * every_h):
        return []
    hours = (now - since).total_seconds() / 3600
    return [f"no canary has ended for {hours:.0f} h, wanted every {every_h:g} h: alfoscd canary"]


def _report(connection: sqlite3.Connection, now: datetime, by_h: float) -> list[str]:
    night = night_reported_by(now, by_h)
    begun = _begun(connection)
    if begun is None or begun.date() > night:
        return []
    query = "SELECT 1 FROM notice WHERE topic = 'report' AND night = ? LIMIT 1"
    if connection.execute(query, (night.isoformat(),)).fetchone():
        return []
    return [f"the night {night} has no report: alfoscd report --night {night}"]


def _newest_raw(
    connection: sqlite3.Connection, folders: list[Path], now: datetime, limit_s: float
) -> list[str]:
    newest, when = None, 0.0
    for folder in folders:
        if not folder.is_dir():
            return [f"the raw directory {folder} cannot be reached"]
        for place, _, names in os.walk(folder):
            for name in names:
                if name.startswith(".") or not name.lower().endswith(_FITS):
                    continue
                path = Path(place, name)
                try:
                    changed = path.stat().st_mtime
                except OSError:
                    continue
                if when < changed <= now.timestamp() - limit_s:
                    newest, when = path, changed
    if newest is None:
        return []
    known = connection.execute("SELECT 1 FROM file WHERE path = ?", (str(newest),)).fetchone()
    if known:
        return []
    return [f"{newest} lies there for more than {limit_s / 60:.0f} min and was not taken in"]


def _begun(connection: sqlite3.Connection) -> datetime | None:
    row = connection.execute("SELECT min(asked_at) FROM occasion").fetchone()
    return _time(row[0]) if row and row[0] else None


def _time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def _memory_of(settings: dict[str, Any], base: Path) -> Path:
    folder = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    root = base / settings.get("paths", {}).get("root", "reduced")
    return (Path(folder) if folder else root) / "deadman.json"


def _is_news(memory: Path, troubles: list[str], now: float) -> bool:
    """Tell whether this is to be mailed: kinds of trouble change, or a day has passed."""
    # The second and third word name the trouble; the numbers behind them change every time.
    kinds = sorted(text.split(" ", 3)[1] + text.split(" ", 3)[2] for text in troubles)
    try:
        before = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        before = {"kinds": [], "at": 0.0}
    same = before.get("kinds") == kinds
    if same and (not kinds or now - float(before.get("at", 0.0)) < _AGAIN_S):
        return False
    try:
        memory.write_text(json.dumps({"kinds": kinds, "at": now}), "utf-8")
    except OSError as error:
        sys.stderr.write(f"deadman: {memory} cannot be written, mails repeat: {error}\n")
    return True


def _mail(settings: dict[str, Any], troubles: list[str]) -> None:
    own = settings.get("mail", {})
    to = settings.get("deadman", {}).get("recipients") or own.get("recipients", [])
    if not own.get("host") or not to:
        return
    mail = EmailMessage()
    mail["From"], mail["To"] = own.get("sender", "alfoscd@localhost"), ", ".join(to)
    said = f"{len(troubles)} things need a person" if troubles else "all is well again"
    mail["Subject"] = f"alfoscd dead man's switch: {said}"
    host = socket.gethostname()
    mail.set_content("\n".join([*(troubles or ["all is well again"]), "", f"Looked at on {host}."]))
    try:
        _send(own, mail)
    except (OSError, smtplib.SMTPException) as error:
        sys.stderr.write(f"deadman: the mail could not be sent: {error}\n")


def _send(own: dict[str, Any], mail: EmailMessage) -> None:
    host, security = own["host"], own.get("security", "starttls")
    port, context = int(own.get("port", 587)), ssl.create_default_context()
    server = (
        smtplib.SMTP_SSL(host, port, timeout=30, context=context)
        if security == "tls"
        else smtplib.SMTP(host, port, timeout=30)
    )
    with server:
        if security == "starttls":
            server.starttls(context=context)
        if own.get("user"):
            server.login(own["user"], _password())
        server.send_message(mail)


def _password() -> str:
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder, "smtp-password")
    if folder and path.is_file():
        return path.read_text("utf-8").strip()
    return os.environ.get("ALFOSCD_SMTP_PASSWORD", "")


def _push(url: str, troubles: list[str]) -> None:
    """Tell a service that waits for us; what it does not hear is trouble for it too."""
    if not url.startswith(("https://", "http://")):
        return
    full = f"{url.rstrip('/')}/fail" if troubles else url
    try:
        with urllib.request.urlopen(full, data="\n".join(troubles).encode(), timeout=20):
            pass
    except OSError as error:
        sys.stderr.write(f"deadman: {url} could not be told: {error}\n")


if __name__ == "__main__":
    sys.exit(main())

"""The state of the machine: up since when, room on the disc, the database and its copy."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import tomllib
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.report.night_report import Machine
from daemon.selection import Only

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from daemon.config import Config
    from daemon.memory.records import ProductRecord
    from daemon.status_lines import Status
    from daemon.work.bench import Bench

_CANARIES = 200


def machine_of(
    bench: Bench, night: str, status: Status, span: tuple[datetime, datetime]
) -> Machine:
    """Return what can be found out of the machine.

    Parameters
    ----------
    span
        Between which times the canaries belong to the night.
    """
    root, database = bench.config.root, bench.config.database
    room = shutil.disk_usage(root) if root.exists() else None
    begin, end = span
    flown = [c for c in bench.archive.last_canaries(_CANARIES) if begin <= c.asked_at <= end]
    last = flown[0] if flown else None
    return Machine(
        up_s=_up_s(status),
        disc_used=room.used / room.total if room else None,
        disc_free_bytes=room.free if room else None,
        night_bytes=_bytes_of(bench.layout.night_folder(night)) or None,
        database_bytes=database.stat().st_size,
        backup=_backup(database),
        canaries=(sum(each.is_well for each in flown), len(flown)) if flown else None,
        canary_problem="; ".join(last.problems) if last else "",
    )


def software(products: Sequence[ProductRecord]) -> str:
    """Return the version of the program, and of the recipes that made these products."""
    recipes = sorted({item.recipe_version for item in products})
    made = f"recipes {', '.join(recipes)}" if recipes else "recipes unused"
    return f"alfoscd {_version()}, {made}"


def _version() -> str:
    try:
        return version("alfoscd")
    except PackageNotFoundError:  # started from its source tree
        pass
    try:
        text = (Path(__file__).parents[2] / "pyproject.toml").read_text("utf8")
        return str(tomllib.loads(text)["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return "of unknown version"


def config_digest(config: Config) -> str:
    """Return a short digest of every setting; it changes when one of them does."""
    settings = replace(config, source=None, only=Only())
    text = json.dumps(_plain(settings), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


def _up_s(status: Status) -> float | None:
    """Return since when the daemon runs, by the kernel's account of its process."""
    chiefs = [worker for worker in status.workers if worker.who == "supervisor"]
    if not chiefs:
        return None
    try:
        text = Path(f"/proc/{chiefs[0].pid}/stat").read_text()
        ticks = int(text.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    return max(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"), 0.0)


def _bytes_of(folder: Path) -> int:
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _backup(database: Path) -> str:
    """Return when the database was copied last; every copy that stays has passed its check."""
    copies = sorted(database.with_name("backup").glob(f"{database.stem}_*.sqlite"))
    return copies[-1].stem.removeprefix(f"{database.stem}_") if copies else ""

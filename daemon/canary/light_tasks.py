"""What a worker does for a canary: all that the daemon's do, but for pictures nobody looks at."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from daemon.memory.records import JobKind
from daemon.work import tasks
from daemon.work.bench import open_bench
from daemon.work.masters import build_master

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.config import Config
    from daemon.memory.records import Job

LIGHT_TASKS = f"{__name__}:open_tasks"


def open_tasks(config: Config) -> Mapping[JobKind, Callable[[Job], None]]:
    """Return the tasks of a worker, with masters built but not drawn."""
    masters = partial(build_master, open_bench(config))
    return {**tasks.open_tasks(config), JobKind.MASTER: masters}

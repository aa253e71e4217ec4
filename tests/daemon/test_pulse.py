"""A worker's sign of life: rare, and nothing done is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.clock import SystemClock
from daemon.memory.archive_heartbeats import HeartbeatArchive
from daemon.work.pulse import Pulse
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from pathlib import Path


def test_signs_of_life_are_rare_and_every_job_is_counted(tmp_path: Path) -> None:
    engine = fresh_database(tmp_path / "a.sqlite")
    archive = HeartbeatArchive(engine, SystemClock())
    wall = [0.0]
    pulse = Pulse(archive, "7-1", seconds=lambda: wall[0])
    pulse.show("idle")
    for number in range(3):
        pulse.show(f"job {number}")
        pulse.show(ended=True)
    (beat,) = archive.heartbeats()
    assert (beat.who, beat.state, beat.progress) == ("worker 7-1", "idle", 0)
    wall[0] = 1.5
    pulse.show("idle")
    (beat,) = archive.heartbeats()
    assert (beat.state, beat.progress) == ("idle", 0)
    pulse.show("job 4")
    (beat,) = archive.heartbeats()
    assert (beat.state, beat.progress) == ("job 4", 3)
    engine.dispose()

"""A small night happens to the daemon itself, and what the long one must show holds for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from daemon.clock import observing_night
from daemon.memory.messages import DeliveryState
from daemon.memory.records import ProductState
from deploy.bench.night_account import posts_of, proof_of, reports_of
from deploy.bench.night_plan import plan_long_night
from deploy.bench.night_play import ALFOSC, command, opened, play
from tests.daemon.slack_server import serving

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.acceptance, pytest.mark.slow, pytest.mark.timeout(900)]


def test_a_night_is_reduced_told_once_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALFOSCD_SLACK_TOKEN", "xoxb-test")
    tonight = observing_night(datetime.now(UTC), ALFOSC.longitude_deg)
    night = plan_long_night(tonight - timedelta(days=1), targets=2, fields=0)
    with serving() as slack:
        played = play(
            night, tmp_path, slack, pace=3600, canary_h=0.0, say=lambda _: None, limit_s=600
        )
        posts = posts_of(played, slack)
    assert played.finished
    proof = proof_of(played)
    assert proof.broken == ()
    assert proof.files.on_disc == len(night.arrivals)
    assert posts.wrong == ()
    assert posts.singly + posts.together > 0
    with opened(played.config) as archive:
        products = {item.stem: item for item in archive.products(played.night)}
        states = {state for state, n in archive.count_deliveries().items() if n}
    assert DeliveryState.DEAD not in states
    assert night.late in products
    assert products[played.redone].redo["user"] == "eva"
    (without_arc,) = night.without_arc
    assert products[without_arc].state is ProductState.PROVISIONAL
    said = command(played, "why", without_arc)
    assert "ARC          none" in said
    (report,) = reports_of(played)
    assert played.night in report.splitlines()[0]
    assert "unexplained 0" in report

"""Calibrations after the science: a product at once, and in the end the same one."""

from __future__ import annotations

import pytest

from daemon.clock import SystemClock
from daemon.config import Calibration, Catalogues, Config, Paths, Watch, Work
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.records import ProductState
from daemon.work.batch import run_until_idle
from reducers.fits import read_header
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
ALFOSC = load_instrument("alfosc")


def config_for(raw, root):
    return Config(
        paths=Paths(raw=(raw,), root=root),
        watch=Watch(settle_s=0.2, rescan_s=1.0),
        work=Work(workers=2),
        calibration=Calibration(quiet_s=0.5),
        catalogues=Catalogues(online=False),
    )


def products_of(config):
    engine = open_database(config.database)
    products = {item.stem: item for item in Archive(engine, SystemClock()).products()}
    engine.dispose()
    return products


def test_science_before_its_calibrations_ends_in_the_same_bytes(tmp_path) -> None:
    raw, late = tmp_path / "raw", tmp_path / "late"
    raw.mkdir()
    late.mkdir()
    for planned in plan_night(seed=5):
        frame = simulate(planned, ALFOSC)
        (late / frame.name).write_bytes(frame.content)
    kinds = {path: identify(read_header(path), ALFOSC).kind for path in late.iterdir()}
    wanted = (FrameKind.SPEC_OBJECT, FrameKind.IMG_OBJECT)
    science = [path for path, kind in kinds.items() if kind in wanted]

    forward = config_for(late, tmp_path / "forward")
    assert run_until_idle(forward, limit_s=200).finished
    expected = products_of(forward)

    reversed_ = config_for(raw, tmp_path / "reversed")
    for path in science:
        (raw / path.name).write_bytes(path.read_bytes())
    assert run_until_idle(reversed_, limit_s=200).finished
    first = products_of(reversed_)
    assert {item.state for item in first.values()} == {ProductState.PROVISIONAL}
    for path in sorted(kinds, reverse=True):
        if path not in science:
            (raw / path.name).write_bytes(path.read_bytes())
    assert run_until_idle(reversed_, limit_s=200).finished

    found = products_of(reversed_)
    assert found.keys() == expected.keys()
    for stem, product in found.items():
        role = "spectrum" if "spectrum" in product.hashes else "image"
        assert product.hashes[role] == expected[stem].hashes[role]
        assert product.key == expected[stem].key

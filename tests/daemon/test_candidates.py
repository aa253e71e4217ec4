"""A place on the sky keeps its source, whatever image and night it is found on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from daemon.memory.archive import Archive
from daemon.memory.records import ProductState
from reducers.quality import judge, load_limits
from reducers.transients.candidate import Candidate, Standing
from tests.daemon.test_archive import clock as clock
from tests.daemon.test_archive import engine as engine
from tests.daemon.test_archive import product, record

ONE = Candidate(
    number=7, x_px=100.0, y_px=200.0, ra_deg=359.9999, dec_deg=88.0, position_error_arcsec=0.05,
    magnitude=18.5, magnitude_error=0.02, band="r", a_px=2.0, b_px=1.9, theta_deg=10.0,
    flux_auto=1e4, flux_auto_error=100.0, snr=90.0, standing=Standing.NEW, score=0.9,
    measurements={"snr": 90.0},
)  # fmt: skip


@pytest.fixture
def archive(engine, clock):
    return Archive(engine, clock)


def found_on(archive, stem, sha256, *candidates, key="", **changes):
    """Record a frame with one product and its candidates; return the product."""
    frame = record(archive, stem, sha256)[0]
    made = replace(product(frame, key or sha256), **changes)
    archive.record_product(made)
    archive.record_candidates(made, candidates)
    return made


def test_a_candidate_comes_back_as_it_was_recorded(archive) -> None:
    flags, _ = judge({"edge_distance_px": 3.0}, load_limits("transients"))
    told = replace(ONE, vetoes=flags, name="host", reasons=("because",), magnitude=float("nan"))
    found_on(archive, "ALDa010001", "aa", told)
    (back,) = archive.candidates()
    assert repr(back.candidate) == repr(told)


def test_detections_within_two_arcsec_are_one_source_even_across_0_h_beside_the_pole(
    archive,
) -> None:
    # 0.0004 degrees of right ascension at declination 88: 0.05 arcsec on the sky.
    found_on(archive, "ALDa010001", "aa", ONE)
    found_on(archive, "ALDa010002", "bb", replace(ONE, ra_deg=0.0003))
    found_on(archive, "ALDa010003", "cc", replace(ONE, dec_deg=88.001))
    first, second, third = sorted(archive.candidates(), key=lambda one: one.stem)
    assert first.source_id == second.source_id != third.source_id
    assert len(archive.detections(first.source_id)) == 2
    near = archive.candidates_near(0.0, 88.0, 2.0)
    assert {one.stem for one in near} == {"ALDa010001", "ALDa010002"}


def test_candidates_count_as_long_as_their_product(archive) -> None:
    made = found_on(archive, "ALDa010001", "aa", ONE, key="old")
    later = replace(made, key="new", generation=2, state=ProductState.FINAL)
    archive.record_product(later)
    assert archive.candidates() == []
    archive.record_candidates(later, [replace(ONE, standing=Standing.KNOWN)])
    (now,) = archive.candidates()
    assert now.candidate.standing is Standing.KNOWN
    archive.make_current(made)
    (again,) = archive.candidates()
    assert again.candidate.standing is Standing.NEW
    assert again.source_id == now.source_id


def test_searching_an_image_again_replaces_what_was_found_by_the_same_method(archive) -> None:
    made = found_on(archive, "ALDa010001", "aa", ONE)
    archive.record_candidates(made, [replace(ONE, method="difference")], method="difference")
    archive.record_candidates(made, [])
    assert [one.candidate.method for one in archive.candidates()] == ["difference"]

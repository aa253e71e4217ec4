"""What a person asks for: versions, pins, recoveries, verdicts, and what nothing replaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from astropy.io import fits

from calibration_store.records import MasterState
from daemon.config import Spectrum
from daemon.memory.records import Decision, JobKind, Verdict
from daemon.work.bench import file_sha256
from daemon.work.plan import reduce_request, review_request
from tests.daemon.hall import ARC, BIASES, NOON, SCIENCE, Contents, Hall, edited, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def contents() -> Contents:
    return simulated()


@pytest.fixture(scope="module")
def reduced_night(tmp_path_factory: pytest.TempPathFactory, contents: Contents) -> Iterator[Hall]:
    """Return a hall in which science, biases and arc have been reduced; tests add to it."""
    hall = Hall(tmp_path_factory.mktemp("night"), contents)
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    yield hall
    hall.bench.engine.dispose()


def test_a_redo_is_a_version_beside_the_old_one_signed_by_who_asked(reduced_night: Hall) -> None:
    hall = reduced_night
    before = hall.product()
    made = hall.redo(settings={"centroid_px": 45.0, "cosmic_sigma": 6.0})
    assert made.paths["spectrum"].name.endswith("_1d_v2.fits")
    assert before.paths["spectrum"].is_file()
    assert made.redo["user"] == "eva"
    header = fits.getheader(made.paths["spectrum"])
    assert (header["REDOUSER"], header["REDODATE"]) == ("eva", "2026-11-21T13:00:00+00:00")
    assert "centroid_px = 45.0" in str(header["HISTORY"])


def test_an_upgrade_keeps_to_what_a_person_asked_for(reduced_night: Hall) -> None:
    hall = reduced_night
    asked = hall.redo(settings={"centroid_px": 45.0})
    bias = next(item for item in hall.bench.store.everything() if item.role == "BIAS")
    hall.bench.store.set_state(bias.key, MasterState.BANNED, "a test")
    hall.bench.queue.submit(reduce_request(hall.frame(SCIENCE), priority=1, now=hall.clock.now()))
    hall.work()
    hall.bench.store.set_state(bias.key, MasterState.CURRENT, "")
    upgraded = hall.product()
    assert upgraded.key != asked.key
    assert upgraded.redo["settings"] == {"centroid_px": 45.0}
    assert upgraded.measurements["human_choice"] == 1.0


def test_what_a_person_chose_is_told_and_what_the_configuration_says_is_not(
    reduced_night: Hall, tmp_path: Path, contents: Contents
) -> None:
    asked = reduced_night.redo(settings={"method": "boxcar"})
    assert "HUMAN" in [flag.name for flag in asked.flags]
    gentler = reduced_night.redo(settings={"cosmic_sigma": 6.0})
    assert "HUMAN" not in [flag.name for flag in gentler.flags]
    configured = Hall(tmp_path, contents, spectrum=Spectrum(method="boxcar"))
    configured.put(SCIENCE)
    configured.work()
    assert "HUMAN" not in [flag.name for flag in configured.product().flags]
    configured.bench.engine.dispose()


def test_an_upgrade_of_an_earlier_version_leaves_the_later_files_alone(
    tmp_path: Path, contents: Contents
) -> None:
    hall = Hall(tmp_path, contents)
    hall.put(SCIENCE)
    hall.work()
    first = hall.product()
    second = hall.redo(settings={"centroid_px": 45.0})
    hall.bench.archive.make_current(first)
    hall.put(*BIASES)
    hall.work(until_s=200)
    upgraded = hall.product()
    assert upgraded.key != first.key
    assert upgraded.paths["spectrum"] == first.paths["spectrum"]
    assert file_sha256(second.paths["spectrum"]) == second.hashes["spectrum"]
    hall.bench.engine.dispose()


def test_a_partner_is_subtracted_and_named_among_the_inputs(reduced_night: Hall) -> None:
    hall = reduced_night
    name = "ALJa150099.fits"
    hall.put(name, content=edited(hall.contents[SCIENCE], "OBSERVER", "Another"))
    made = hall.redo(partner=hall.frame(name).sha256)
    assert "nod_scale" in made.measurements
    header = fits.getheader(made.paths["spectrum"])
    assert name in {header["PROV1"], header["PROV2"]}


def test_a_pinned_master_is_used_and_an_excluded_one_is_not(reduced_night: Hall) -> None:
    hall = reduced_night
    bias = next(item for item in hall.bench.store.everything() if item.role == "BIAS")
    without = hall.redo(exclude=(bias.inputs[0][0],))
    (choice,) = [item for item in without.choices if item.role == "BIAS"]
    assert choice.master_key == ""
    assert dict(choice.rejected)[bias.key] == "banned: left out by eva"
    pinned = hall.redo(pins={"BIAS": bias.key})
    (choice,) = [item for item in pinned.choices if item.role == "BIAS"]
    assert (choice.master_key, choice.rung) == (bias.key, "chosen by hand")
    assert choice.reason.startswith("chosen by eva")


def test_what_a_person_has_looked_at_has_quality_1_and_keeps_the_automatic_one(
    reduced_night: Hall,
) -> None:
    hall = reduced_night
    poor = hall.redo(settings={"centroid_px": 12.0})
    assert poor.quality > 1
    made = hall.redo(settings={"centroid_px": 12.0}, recover=True)
    assert (made.quality, made.measurements["quality_auto"]) == (1, poor.quality)
    header = fits.getheader(made.paths["spectrum"])
    assert (header["QUALITY"], header["QUALAUTO"]) == (1, poor.quality)


def test_a_changed_setting_makes_products_anew(tmp_path: Path, contents: Contents) -> None:
    first = Hall(tmp_path, contents)
    first.put(SCIENCE)
    first.work()
    before = first.product()
    first.bench.engine.dispose()
    changed = Hall(tmp_path, contents, spectrum=Spectrum(cosmic_sigma=7.0))
    changed.bench.queue.submit(review_request(changed.clock.now()))
    assert [job.kind for job in changed.work()] == [JobKind.REVIEW, JobKind.REDUCE]
    after = changed.product()
    assert after.key != before.key
    changed.bench.queue.submit(review_request(changed.clock.now()))
    assert [job.kind for job in changed.work()] == [JobKind.REVIEW]
    changed.bench.engine.dispose()


def test_nothing_automatic_replaces_what_a_person_accepted(
    tmp_path: Path, contents: Contents
) -> None:
    first = Hall(tmp_path, contents)
    first.put(SCIENCE)
    first.work()
    verdict = Verdict(decision=Decision.ACCEPTED, user="eva", at=NOON)
    first.bench.archive.decide(first.product(), verdict)
    accepted = first.product()
    first.bench.engine.dispose()
    later = Hall(tmp_path, contents, spectrum=Spectrum(cosmic_sigma=7.0))
    later.bench.queue.submit(review_request(later.clock.now()))
    later.put(*BIASES, ARC)
    later.work(until_s=200)
    assert JobKind.REDUCE in {job.kind for job in later.done}
    assert later.product() == accepted
    later.bench.engine.dispose()

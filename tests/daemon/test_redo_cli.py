"""`alfoscd redo` as people type it: what it refuses, what it notes, what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.cli.main import main
from daemon.cli.pick import Picker, profile_along_slit
from daemon.config import Spectrum
from daemon.layout import version_of
from daemon.memory.records import Decision, JobState
from daemon.work.redo import redo_from
from daemon.work.redo_results import settings_of
from tests.daemon.hall import ARC, BIASES, SCIENCE, Hall, simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """Return a hall in which the science frame has two versions."""
    hall = Hall(tmp_path_factory.mktemp("night"), simulated())
    hall.put(*BIASES, ARC, SCIENCE)
    hall.work(until_s=200)
    hall.redo(settings={"centroid_px": 45.0})
    yield hall
    hall.bench.engine.dispose()


@pytest.fixture
def redo(hall: Hall, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*options: str, frame: str = SCIENCE) -> tuple[int, str, str]:
        root = str(hall.bench.config.root)
        code = main(["redo", frame, "--user", "eva", "--root", root, *options])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def versions(hall: Hall) -> dict[int, str]:
    """Return version -> state, of the newest product that carries it."""
    history = hall.bench.archive.product_history(hall.frame(SCIENCE).id)
    return {version_of(item.paths["spectrum"]): item.state for item in history}


def test_a_rejected_version_gives_way_to_the_one_before_it_and_comes_back_accepted(
    hall: Hall, redo: Run
) -> None:
    code, said, _ = redo("--reject")
    assert (code, "version 2 is rejected by eva; version 1 counts again" in said) == (0, True)
    assert versions(hall) == {1: "provisional", 2: "superseded"}
    code, said, _ = redo("--accept", "--version", "2")
    assert "nothing automatic replaces it any more" in said
    now = hall.product()
    assert now.verdict is not None
    assert (version_of(now.paths["spectrum"]), now.verdict.decision, now.verdict.user) == (
        2,
        Decision.ACCEPTED,
        "eva",
    )
    assert hall.bench.queue.unfinished() == 0


def test_a_version_that_does_not_exist_is_refused_with_those_that_do(redo: Run) -> None:
    code, _, said = redo("--accept", "--version", "7")
    assert code == 2
    assert "has no version 7; there are: 1, 2" in said


def test_a_master_is_pinned_by_its_file_name(hall: Hall, redo: Run) -> None:
    bias = next(item for item in hall.bench.store.everything() if item.role == "BIAS")
    code, said, _ = redo("--calibration", f"bias={bias.path.name}", "--exclude", ARC)
    assert (code, f"BIAS {bias.key[:12]}" in said) == (0, True)
    (job,) = hall.bench.queue.jobs(JobState.WAITING)
    asked = redo_from(job.payload["redo"])
    assert asked.pins == {"BIAS": bias.key}
    assert asked.exclude == (hall.frame(ARC).sha256,)


def test_every_hint_reaches_the_request_as_a_setting_of_the_recipe(hall: Hall, redo: Run) -> None:
    code, _, _ = redo(
        "--region", "60,30", "--aperture", "8", "--background", "5:20,90:110",
        "--mask", "5570:5585", "--method", "boxcar",
    )  # fmt: skip
    assert code == 0
    (job,) = hall.bench.queue.jobs(JobState.WAITING)
    settings = settings_of(Spectrum(), redo_from(job.payload["redo"]))
    assert (settings.region_px, settings.aperture_px, settings.method) == ((30, 60), 8, "boxcar")
    assert settings.background_px == ((5.0, 20.0), (90.0, 110.0))
    assert settings.mask_angstrom == ((5570.0, 5585.0),)


def test_who_asks_again_before_the_first_has_begun_is_told_that_only_the_last_counts(
    hall: Hall, redo: Run
) -> None:
    redo("--center", "40")
    _, said, _ = redo("--center", "50")
    assert "it takes the place of the request that waited for this frame" in said
    (job,) = hall.bench.queue.jobs(JobState.WAITING)
    assert redo_from(job.payload["redo"]).settings == {"centroid_px": 50.0}


@pytest.mark.parametrize("text", ["5570", "5585:5585", "a:b", "1:2:3", ""])
def test_what_is_no_range_is_refused(redo: Run, text: str) -> None:
    with pytest.raises(SystemExit):
        redo("--mask", text)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--calibration", "SKY_FLAT=x"),
            "write ROLE=MASTER, ROLE one of BIAS, FLAT, ILLUMINATION, ARC",
        ),
        (("--calibration", "BIAS=no_such"), "there is no master 'no_such'; those that fit as BIAS"),
        (("--calibration", "FLAT={bias}"), "does not fit ALJa150017: a master BIAS, not FLAT"),
        (("--exclude", "no_such"), "no master and no frame is called so"),
        (("--ab", "no_such"), "there is no such frame in night 2026-01-15"),
        (("--ab", BIASES[0]), "is BIAS, not a spectrum"),
        (("--ab", SCIENCE), "that is the frame itself"),
        (("--center", "512"), "center 512 is outside the image: ALJa150017 has columns 0 to "),
        (("--region", "30,512"), "region 512 is outside the image"),
        (("--background", "5:20,90:512"), "background 512 is outside the image"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    hall: Hall, redo: Run, options: tuple[str, str], words: str
) -> None:
    bias = next(item for item in hall.bench.store.everything() if item.role == "BIAS")
    before = hall.bench.queue.jobs(JobState.WAITING)
    code, _, said = redo(options[0], options[1].format(bias=bias.path.stem))
    assert code == 2
    assert words in said
    assert hall.bench.queue.jobs(JobState.WAITING) == before


def test_local_reduces_at_once_and_leaves_the_database_alone(
    hall: Hall, redo: Run, tmp_path: Path
) -> None:
    history = hall.bench.archive.product_history(hall.frame(SCIENCE).id)
    before = hall.bench.queue.jobs(JobState.WAITING)
    for version in (1, 2):
        code, said, _ = redo("--local", str(tmp_path / "here"), "--center", "45")
        assert code == 0
        made = [line.strip() for line in said.splitlines() if line.strip().endswith("1d.fits")]
        if version == 2:
            assert "_1d_v2.fits" in said
        else:
            assert made
            assert made[0].startswith(str(tmp_path / "here"))
    assert hall.bench.archive.product_history(hall.frame(SCIENCE).id) == history
    assert hall.bench.queue.jobs(JobState.WAITING) == before


def test_without_a_display_a_window_is_refused_with_the_way_out(
    redo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    code, _, said = redo("--display")
    assert code == 2
    assert "there is no display here" in said
    assert "--center PX" in said


class Event:
    """What matplotlib hands over."""

    def __init__(self, xdata: float | None = None, key: str = "") -> None:
        self.xdata, self.key, self.canvas = xdata, key, self

    def draw_idle(self) -> None: ...

    def set_xdata(self, values: list[float]) -> None:
        self.at = values[0]

    def set_visible(self, shown: bool) -> None: ...


def test_a_click_chooses_the_column_and_escape_leaves_it() -> None:
    image = np.zeros((100, 60))
    image[:, 33] = 5.0
    picker = Picker(profile_along_slit(image), "title")
    marker, closed = Event(), []
    picker.click(Event(xdata=33.04), marker)
    assert (picker.column, marker.at) == (33.0, 33.0)
    picker.click(Event(xdata=None), marker)
    picker.click(Event(xdata=99.0), marker)
    assert picker.column == 33.0
    picker.key(Event(key="a"), lambda: closed.append(1))
    assert closed == []
    picker.key(Event(key="escape"), lambda: closed.append(1))
    assert (picker.column, closed) == (None, [1])

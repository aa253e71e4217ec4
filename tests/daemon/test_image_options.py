"""Options of `reduce` and `redo` about images, and about which frames are taken."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from daemon.cli import reduce
from daemon.cli.image_options import add_image_options, image_settings_of
from daemon.memory.records import FileState
from daemon.selection import Only
from tests.daemon.hall import BIASES, Hall, simulated

if TYPE_CHECKING:
    from pathlib import Path


def settings(*options: str) -> dict[str, object]:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_image_options(parser)
    return image_settings_of(parser.parse_args(list(options)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {}),
        (("--skip-skysub",), {"subtract_sky": False}),
        (("--skip-flatten", "--skip-cr"), {"divide_flat": False, "find_cosmics": False}),
        (("--skip-gaia",), {"use_catalogues": False}),
        (("--stop-after", "sky"), {"stop_after": "sky"}),
        (("--stages", "detector,sky"), {"stop_after": "sky", "find_cosmics": False}),
        (("--stages", "detector, cosmics, sky, detect"), {"stop_after": "detect"}),
        (
            ("--stages", "detector,cosmics,sky,detect,photometry"),
            {"stop_after": "photometry", "use_catalogues": False},
        ),
    ],
)
def test_steps_that_are_left_out_become_settings(
    options: tuple[str, ...], expected: dict[str, object]
) -> None:
    assert settings(*options) == expected


@pytest.mark.parametrize("stages", ["", "detector,fluxes", "photometry", "detector,astrometry"])
def test_stages_that_cannot_be_are_refused(stages: str) -> None:
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        settings("--stages", stages)


def test_the_options_of_a_batch_become_its_configuration(tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text(f"# mine\n/data/{BIASES[0]} good\n\n{BIASES[1]}\n")
    parser = argparse.ArgumentParser()
    reduce.add_parser(parser.add_subparsers())
    options = ["--target", "SN", "--from", "7", "--filelist", str(names), "--include-quarantined"]
    args = parser.parse_args(
        ["reduce", str(tmp_path), *options, "--skip-cr", "--keep-intermediate", "--root", "out"]
    )
    config = reduce._configured(args, tmp_path)
    files = frozenset(BIASES[:2])
    assert config.only == Only(target="SN", first=7, files=files, lenient=True)
    assert (config.image.find_cosmics, config.image.keep_intermediate) == (False, True)
    assert config.spectrum.clean_cosmics is False


def test_a_quarantined_file_is_taken_when_a_person_insists(tmp_path: Path) -> None:
    whole = simulated()[BIASES[0]]
    half = whole[: len(whole) * 2 // 3 // 2880 * 2880]
    padded = half + b"\0" * (len(whole) - len(half))
    strict = Hall(tmp_path, {})
    path = tmp_path / "raw" / BIASES[0]
    strict.bench = replace(
        strict.bench,
        config=replace(
            strict.bench.config, watch=replace(strict.bench.config.watch, hold_limit_s=0.0)
        ),
    )
    strict.put(BIASES[0], content=padded)
    (record,) = strict.bench.archive.files()
    assert record.state is FileState.QUARANTINED
    assert "zeros" in record.reason
    lenient = replace(strict.bench.config, only=Only(lenient=True))
    strict.bench = replace(strict.bench, config=lenient)
    strict.put(BIASES[0], content=path.read_bytes())
    assert [item.state for item in strict.bench.archive.files()] == [FileState.INGESTED]
    strict.bench.engine.dispose()

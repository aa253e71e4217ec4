from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from daemon.cli.main import main
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs `alfoscd catalogues`; exit code, output, errors."""
    config = tmp_path / "alfoscd.toml"
    config.write_text(f'[catalogues]\nfolder = "{tmp_path / "catalogues"}"\nonline = false\n')

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["catalogues", *words, "--config", str(config)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_orbits_and_variables_of_files_are_listed_for_a_field(tmp_path: Path, said: Said) -> None:
    body = MinorPlanet(number=4321, ra_deg=150.01, dec_deg=12.0, magnitude=18.2, distance_au=1.4)
    lines = mpcorb_lines([body], 61210.0, 61200.0, longitude_deg=-17.8851, latitude_deg=28.7573)
    orbits, variables = tmp_path / "MPCORB.DAT", tmp_path / "own.csv"
    orbits.write_text("\n".join(["preface", "-----", *lines, "rubbish"]) + "\n")
    variables.write_text("name,ra,dec,max,min,type\nXX Leo,150.0,12.02,14.1,15.0,EA\n")

    code, out, _ = said("minor-planets", str(orbits))
    assert code == 0
    assert "1 line left out" in out
    assert "line 4: neither a minor planet nor a comet" in out
    assert "mpcorb is on disc, orbits: 1" in out
    code, out, _ = said("variables", str(variables))
    assert code == 0
    assert "own" in out

    code, out, _ = said("known", "150.0,12.0,0.1", "--time", "2026-06-19T00:00")
    assert code == 0
    assert "(4321) Simulated 4321" in out
    assert "V  18.2" in out
    assert "XX Leo" in out

    assert said("minor-planets", "--remove", "mpcorb")[0] == 0
    assert "no orbits are on disc" in said("known", "150.0,12.0,0.1")[1]


def test_a_file_that_holds_no_orbits_is_refused_in_words(tmp_path: Path, said: Said) -> None:
    page = tmp_path / "MPCORB.DAT"
    page.write_text("<html>maintenance</html>\n")
    code, out, err = said("minor-planets", str(page), str(tmp_path / "missing.dat"))
    assert code == 1
    assert "holds no orbit in a format of the Minor Planet Center" in err
    assert "missing.dat" in err
    assert "no orbits are on disc" in out


def test_a_field_or_time_that_is_none_is_refused(said: Said) -> None:
    assert said("known", "nowhere")[0] == 2
    assert said("known", "10,10,0.1", "--time", "yesterday")[0] == 2

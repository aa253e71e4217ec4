from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.table import Table

from calibration_store.catalogues.references import Catalogues
from calibration_store.catalogues.services import known_catalogues
from calibration_store.catalogues.sky import Box, Cone
from daemon.cli.main import main
from daemon.cli.sky_words import NotUnderstood, region_of, targets_in
from tests.calibration_store.catalogue_server import CatalogueServer, serving, sky_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "catalogues"


@pytest.fixture
def said(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    """Return a function that runs the command without services; exit code, output, errors."""
    config = tmp_path / "alfoscd.toml"
    config.write_text(f'[catalogues]\nfolder = "{folder}"\nonline = false\n')

    def run(*words: str) -> tuple[int, str, str]:
        code = main(["catalogues", *words, "--config", str(config)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def gaia_table(count: int = 2000) -> Table:
    random = np.random.default_rng(4)
    return Table(
        {
            "RA_ICRS": 150 + random.uniform(-0.3, 0.3, count),
            "DE_ICRS": 2 + random.uniform(-0.3, 0.3, count),
            "e_RA_ICRS": np.full(count, 0.1),
            "e_DE_ICRS": np.full(count, 0.1),
            "Gmag": random.uniform(12, 20, count),
            "e_Gmag": np.full(count, 0.003),
        }
    )


@pytest.mark.parametrize("ending", ["fits", "csv", "ecsv", "vot"])
def test_a_file_as_its_service_hands_it_out_is_loaded_without_a_word(
    tmp_path: Path, folder: Path, said: Said, ending: str
) -> None:
    file = tmp_path / f"gaia.{ending}"
    gaia_table().write(file, format={"vot": "votable"}.get(ending))
    load = ("fetch", "--from", str(file), "--catalogue", "gaia", "--release", "DR3")
    code, out, _ = said(*load, "--region", "150,2,0.25")
    assert code == 0
    assert "of Gaia DR3 are on disc" in out
    found = Catalogues(folder).cone("gaia", 150.0, 2.0, 0.2, 2026.0)
    assert found.covered == 1
    assert found.release == "DR3"
    assert np.isfinite(found.magnitudes["G"]).all()
    np.testing.assert_allclose(found.position_error_mas, np.hypot(0.1, 100), rtol=1e-3)


def test_columns_with_other_names_are_told_by_hand(
    tmp_path: Path, folder: Path, said: Said
) -> None:
    file = tmp_path / "standards.csv"
    Table({"alpha": [150.0], "delta": [2.0], "vm": [14.2], "dv": [0.01]}).write(file)
    load = ("fetch", "--from", str(file), "--catalogue", "landolt", "--region", "149:151,1:3")
    code, _, err = said(*load)
    assert code == 2
    assert "which columns hold what? Its columns are alpha, delta, vm, dv" in err
    code, _, err = said(*load, "--columns", "ra_deg=alpha,dec_deg=delta,V=vmg")
    assert code == 2
    assert "has no column vmg" in err
    code, out, _ = said(*load, "--columns", "ra_deg=alpha,dec_deg=delta,V=vm,V_error=dv")
    assert code == 0
    assert "1 entries of landolt are on disc" in out
    assert Catalogues(folder).cone("landolt", 150, 2, 0.1, 2026).magnitudes["V"] == [
        pytest.approx(14.2)
    ]


def test_a_file_that_says_what_it_is_needs_no_words(
    tmp_path: Path, folder: Path, said: Said
) -> None:
    file = tmp_path / "made.fits"
    about = {"CATALOG": "ps1", "RELEASE": "test", "RA_CEN": 150.0, "DEC_CEN": 2.0, "RADIUS": 0.2}
    columns = {"ra": [150.0], "dec": [2.0], "r": [15.0], "e_rmag": [0.01], "G": [16.0]}
    Table(columns, meta=about).write(file)
    assert said("fetch", "--from", str(file))[0] == 0
    found = Catalogues(folder).cone("ps1", 150.0, 2.0, 0.1, 2026.0)
    assert (found.release, found.covered) == ("test", 1)
    assert found.magnitudes["r"] == [15.0]
    assert found.magnitude_errors["r"] == [pytest.approx(0.01, rel=1e-3)]
    assert np.isnan(found.magnitudes["g"]).all()


@pytest.mark.parametrize("name", known_catalogues().by_name)
def test_our_own_names_are_understood_for_every_catalogue(
    tmp_path: Path, folder: Path, said: Said, name: str
) -> None:
    band = known_catalogues().by_name[name].bands[0]
    table = Table({"ra_deg": [150.0], "dec_deg": [2.0], band: [15.0], f"{band}_error": [0.01]})
    table.write(tmp_path / "own.ecsv")
    load = ("--from", str(tmp_path / "own.ecsv"), "--catalogue", name, "--region", "150,2,0.2")
    assert said("fetch", *load)[0] == 0
    assert Catalogues(folder).cone(name, 150.0, 2.0, 0.1, 2016.0).magnitudes[band] == [15.0]


def test_a_file_that_says_nothing_is_asked_what_it_covers(tmp_path: Path, said: Said) -> None:
    file = tmp_path / "gaia.csv"
    gaia_table().write(file)
    _, _, err = said("fetch", "--from", str(file), "--catalogue", "gaia")
    assert "say with --region which piece of sky it covers completely" in err
    assert "say with --catalogue what it is" in said("fetch", "--from", str(file))[2]


def test_units_that_a_file_states_are_converted(tmp_path: Path, folder: Path, said: Said) -> None:
    table = Table({"ra": [10.0], "dec": [2.0], "pe": [0.05], "V": [14.0], "V_error": [0.01]})
    table["ra"].unit, table["pe"].unit = "hourangle", "arcsec"
    table.write(tmp_path / "own.ecsv")
    columns = "ra_deg=ra,dec_deg=dec,position_error_mas=pe,V=V,V_error=V_error"
    load = ("--from", str(tmp_path / "own.ecsv"), "--catalogue", "own", "--columns", columns)
    assert said("fetch", *load, "--region", "150,2,0.2")[0] == 0
    found = Catalogues(folder).cone("own", 150.0, 2.0, 0.1, 2000.0)
    np.testing.assert_allclose(found.position_error_mas, [50.0])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("fetch",), "say which fields"),
        (("fetch", "--region", "150,2,0.2", "--schedule", "x"), "say which fields"),
        (("fetch", "--region", "150,2"), "a region is RA,DEC,RADIUS in degrees"),
        (("fetch", "--region", "150,2,20"), "up to 2 degrees"),
        (("fetch", "--region", "150,2,0.2", "--catalogue", "gaya"), "gaya is none of gaia, ps1"),
        (
            ("fetch", "--from", "none.csv", "--region", "all", "--catalogue", "gaia"),
            "cannot be read as a table",
        ),
        (
            ("fetch", "--from", "none.txt", "--region", "all", "--catalogue", "gaia"),
            "must end in one of .fits",
        ),
        (("fetch", "--schedule", "none.txt"), "cannot be read"),
        (("status", "--region", "abc"), "'abc' is not understood"),
        (("remove", "gaia"), "gaia is not on disc; there is none"),
    ],
)
def test_a_mistake_is_explained_in_one_sentence(
    said: Said, words: tuple[str, ...], complaint: str
) -> None:
    code, _, err = said(*words)
    assert code == 2
    assert complaint in err
    assert err.startswith("alfoscd: ")


def test_status_says_what_there_is_and_what_to_do(folder: Path, said: Said) -> None:
    code, out, _ = said("status")
    assert code == 0
    assert "none is on disc: alfoscd catalogues fetch --schedule FILE" in out
    catalogues = Catalogues(folder)
    columns = {"ra_deg": [150.0], "dec_deg": [2.0], "r": [15.0], "r_error": [0.1]}
    catalogues.write_cone("ps1", columns, Cone(150, 2, 0.2), release="DR1", retrieved="2020-01-02")
    catalogues.references_for(10.0, 10.0, 0.1, 2026.9, "r")
    _, out, _ = said("status")
    assert "ps1   DR1   0.12" in out
    assert "in part older than a year: fetch with --again --catalogue ps1" in out
    assert "1 field is wanted" in out
    assert "Services are not asked: [catalogues] online = false" in out
    _, out, _ = said("status", "--region", "150,2,0.1")
    assert "Pan-STARRS1      complete, 1 entries, DR1, fetched 2020-01-02" in out
    assert "Gaia DR3         not on disc" in out
    assert said("remove", "ps1")[0] == 0
    assert "none is on disc" in said("status")[1]


def test_wanted_fields_are_listed_and_forgotten(folder: Path, said: Said) -> None:
    assert said("wanted") == (0, "nothing is wanted: every image got its catalogues\n", "")
    Catalogues(folder).references_for(10.0, -10.0, 0.1, 2026.9, "U")
    code, out, _ = said("wanted")
    assert code == 1
    assert "10.0000  -10.0000" in out
    assert "gaia and sdss or skymapper" in out
    assert said("wanted", "--forget")[1] == "forgotten: 1\n"
    assert said("wanted")[0] == 0


@pytest.fixture
def server() -> Iterator[CatalogueServer]:
    for (only,) in serving(1):
        yield only


def test_the_fields_of_a_plan_are_fetched_once(
    tmp_path: Path, server: CatalogueServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, facts in known_catalogues().by_name.items():
        service = facts.services[0]
        stars = {"ra_deg": 150 + np.linspace(-0.1, 0.1, 50), "dec_deg": np.full(50, 2.0)}
        stars |= {band: np.full(50, 17.0) for band in facts.bands}
        server.tables[service.table] = sky_table(service, stars)[: 0 if name == "sdss" else None]
    config = tmp_path / "alfoscd.toml"
    config.write_text(f'[paths]\nroot = "."\n[catalogues]\nvizier_hosts = ["{server.address}"]\n')
    plan = tmp_path / "plan.txt"
    plan.write_text("SN2026abc 150.0 2.0 0.1\nsame_field 150.0 2.0 0.1\n")
    assert main(["catalogues", "fetch", "--schedule", str(plan), "--config", str(config)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("gaia 50, ps1 50, refcat2 50, sdss has not looked here, skymapper 50")
    assert second.endswith("on disc already")
    assert server.asked == {"/viz-bin/votable": 5}


def test_regions_are_read_as_people_write_them() -> None:
    assert region_of("150.1, -2.5, 0.2") == Cone(150.1, -2.5, 0.2)
    assert region_of("359:361,-1:1") == Box(359, 361, -1, 1)
    assert region_of("all") == Box()
    cone = region_of("10:00:00,-02:30:00,0.2")
    assert isinstance(cone, Cone)
    assert (cone.ra_deg, cone.dec_deg) == pytest.approx((150.0, -2.5))


def test_a_list_of_targets_is_read_as_people_write_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.txt"
    file.write_text(
        "# tonight\nname ra dec\nGRB 260101A, 10:00:00, +02:30:00\nNGC7331 339.267 34.4156 0.2\n"
        "10.68 1.27\n\n031 10.1 -0.00 1.2  # a number for a name\n"
    )
    found = [(t.name, t.cone.ra_deg, t.cone.dec_deg, t.cone.radius_deg) for t in targets_in(file)]
    assert found == [
        ("GRB 260101A", pytest.approx(150.0), 2.5, pytest.approx(1 / 6)),
        ("NGC7331", 339.267, 34.4156, 0.2),
        ("10.6800 +1.2700", 10.68, 1.27, pytest.approx(1 / 6)),
        ("031", 10.1, 0.0, 1.2),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("M 31 0 10.68 41.27", "line 2: .* with commas between them"),
        ("x, 400, 2", "line 2: the right ascension 400 is not"),
        ("x, 10:61:00, 2", "line 2: '10:61:00' is not an angle"),
        ("x, 10, 2, 30", "line 2: the radius 30 is not between"),
    ],
)
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, line: str, words: str) -> None:
    file = tmp_path / "plan.txt"
    file.write_text(f"a, 1, 2\n{line}\n")
    with pytest.raises(NotUnderstood, match=words):
        targets_in(file)

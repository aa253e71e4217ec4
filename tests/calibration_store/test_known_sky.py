from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.table import Table

from calibration_store.brought_lists import BadLines
from calibration_store.minor_planets.collection import MinorPlanets, NoOrbits
from calibration_store.minor_planets.designations import BadDesignation, unpacked
from calibration_store.minor_planets.mpcorb import packed_date, read_line
from calibration_store.variables.collection import NoVariables, VariableStars
from reducers.julian_date import mjd_of
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines
from reducers.transients.known_matches import minor_planet_at, variable_at
from reducers.transients.solar_system import Observer

if TYPE_CHECKING:
    from pathlib import Path

NOT = Observer(longitude_deg=-17.8851, latitude_deg=28.7573)
SITE = {"longitude_deg": -17.8851, "latitude_deg": 28.7573}
MJD = 61210.1
COMET = (
    "0001P         2061 08 31.8266  0.583972  0.967311  112.5470   59.6368  162.2146  20250501   "
    "4.0  6.0  1P/Halley                                                 98, 1083"
)


def bodies(*places: tuple[float, float, float]) -> list[MinorPlanet]:
    return [
        MinorPlanet(number=1000 + n, ra_deg=ra, dec_deg=dec, magnitude=19.0, distance_au=distance)
        for n, (ra, dec, distance) in enumerate(places)
    ]


def orbit_file(path: Path, *lines: str, prose: str = "a preface\n\n----------\n") -> Path:
    text = prose + "".join(f"{line}\n" for line in lines)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        ("00004", "(4)"),
        ("A0345", "(100345)"),
        ("a0017", "(360017)"),
        ("~0000", "(620000)"),
        ("~zzzz", "(15396335)"),
        ("J95X00A", "1995 XA"),
        ("K07Tf8A", "2007 TA418"),
        ("PLS2040", "2040 P-L"),
        ("T3S3138", "3138 T-3"),
        ("_QC0000", "2026 CA620"),
    ],
)
def test_packed_designations_are_told_as_people_write_them(packed: str, said: str) -> None:
    assert unpacked(packed) == said


@pytest.mark.parametrize("text", ["", "4", "J95x00a", "!0000", "K0X_00A"])
def test_what_is_no_designation_is_refused(text: str) -> None:
    with pytest.raises(BadDesignation):
        unpacked(text)


def test_a_packed_epoch_is_a_day() -> None:
    assert packed_date("K25BL") == 61000.0
    assert packed_date("J9611") == 50083.0
    with pytest.raises(ValueError, match="no packed date"):
        packed_date("K2502")


def test_a_comet_is_read_with_its_perihelion() -> None:
    row = read_line(COMET)
    assert row[0] == b"1P/Halley"
    assert row[2] == pytest.approx(74067.8266)
    assert row[3:5] == (0.583972, 0.967311)
    assert row[8:10] == (4.0, 6.0)


@pytest.mark.parametrize("ending", ["DAT", "dat.gz"])
def test_bad_lines_are_counted_and_named_and_the_rest_is_kept(tmp_path: Path, ending: str) -> None:
    good = mpcorb_lines(bodies((150.0, 5.0, 1.5), (151.0, 5.0, 1.5)), MJD, 61200.0, **SITE)
    no_ellipse = good[0].replace(good[0][70:79], "1.5000000")
    lines = [good[0], good[1][:60], no_ellipse, "\x00\xff rubbish", "", good[1]]
    bad = BadLines()
    held = MinorPlanets(tmp_path / "orbits")
    brought = held.take(orbit_file(tmp_path / f"MPCORB.{ending}", *lines), bad)
    assert (brought.count, brought.bad, bad.count) == (2, 3, 3)
    assert [number for number, _ in bad.first] == [5, 6, 7]
    assert brought.epoch_mjd == 61200.0
    assert held.sets() == (brought,)


def test_a_file_without_orbits_leaves_what_was_there(tmp_path: Path) -> None:
    held = MinorPlanets(tmp_path / "orbits")
    lines = mpcorb_lines(bodies((150.0, 5.0, 1.5)), MJD, 61200.0, **SITE)
    held.take(orbit_file(tmp_path / "MPCORB.DAT", *lines), BadLines())
    with pytest.raises(NoOrbits):
        held.take(orbit_file(tmp_path / "MPCORB.DAT", prose="<html>maintenance</html>"), BadLines())
    assert held.in_field(150.0, 5.0, 0.1, MJD, NOT) is not None
    assert held.sets()[0].count == 1


def test_of_a_body_in_two_files_the_newer_one_counts(tmp_path: Path) -> None:
    held = MinorPlanets(tmp_path / "orbits")
    older = mpcorb_lines(bodies((150.0, 5.0, 1.5), (200.0, 5.0, 1.5)), MJD, 61200.0, **SITE)
    newer = mpcorb_lines(bodies((150.01, 5.0, 1.5)), MJD, 61200.0, **SITE)
    for name, lines, age in (("MPCORB.DAT", older, 2e6), ("NEA.txt", newer, 0.0)):
        path = orbit_file(tmp_path / name, *lines)
        os.utime(path, (1.78e9 - age, 1.78e9 - age))
        held.take(path, BadLines())
    found = held.in_field(150.0, 5.0, 0.2, MJD, NOT)
    assert found is not None
    assert found.ra_deg == pytest.approx([150.01], abs=1e-4)


def test_another_process_reads_the_night_from_disc_and_damage_is_mended(tmp_path: Path) -> None:
    folder = tmp_path / "orbits"
    lines = mpcorb_lines(bodies((0.01, 5.0, 1.5)), MJD, 61200.0, **SITE)
    MinorPlanets(folder).take(orbit_file(tmp_path / "MPCORB.DAT", *lines), BadLines())
    for _ in range(2):
        found = MinorPlanets(folder).in_field(0.01, 5.0, 0.1, MJD, NOT)
        assert found is not None
        assert len(found) == 1
    (night,) = (folder / "nights").iterdir()
    night.write_bytes(b"half of it")
    found = MinorPlanets(folder).in_field(0.01, 5.0, 0.1, MJD, NOT)
    assert found is not None
    assert len(found) == 1


def test_without_orbits_nothing_is_claimed(tmp_path: Path) -> None:
    assert MinorPlanets(tmp_path / "none").in_field(10.0, 5.0, 0.1, MJD, NOT) is None
    assert VariableStars(tmp_path / "none").in_field(10.0, 5.0, 0.1) is None


def test_times_are_counted_in_modified_julian_days() -> None:
    assert mjd_of(datetime(2025, 11, 21, 12, tzinfo=UTC)) == 61000.5


def injections(count: int = 120, *, seed: int = 8) -> list[tuple[float, float, float, float]]:
    """Return ra, dec, distance and magnitude: opposition, near Earth, 0 h and high declinations."""
    random = np.random.default_rng(seed)
    sun_ra = 280.0 - (61042.0 - MJD) * 0.9856  # of MJD, roughly
    found = []
    for n in range(count):
        kind = n % 5
        ra, dec, distance = (
            ((sun_ra + 180 + random.uniform(-3, 3)) % 360, random.uniform(-30, 30), 1.6),
            (random.uniform(0, 360), random.uniform(-20, 70), random.uniform(0.02, 0.3)),
            (random.choice([0.0005, 359.9995]), random.uniform(-20, 60), 1.2),
            (random.uniform(0, 360), random.uniform(70, 89), random.uniform(0.3, 1.5)),
            (random.uniform(0, 360), random.uniform(-30, 60), random.uniform(1.0, 4.5)),
        )[kind]
        found.append((float(ra), float(dec), float(distance), float(random.uniform(17, 21.5))))
    return found


def test_no_asteroid_of_the_list_is_taken_for_new_wherever_it_stands(tmp_path: Path) -> None:
    random = np.random.default_rng(9)
    wanted = injections()
    planets = [
        MinorPlanet(
            number=1000 + n,
            ra_deg=ra,
            dec_deg=dec,
            magnitude=magnitude,
            distance_au=distance,
            stretch=float(random.uniform(0.9, 1.1)),
            radial=float(random.uniform(-0.2, 0.2)),
            tilt=float(random.uniform(-0.3, 0.3)),
        )
        for n, (ra, dec, distance, magnitude) in enumerate(wanted)
    ]
    lines = mpcorb_lines(planets, MJD, 61000.0, **SITE)
    held = MinorPlanets(tmp_path / "orbits")
    held.take(orbit_file(tmp_path / "MPCORB.DAT", *lines), BadLines())
    missed, separations = [], []
    for n, (ra, dec, _, magnitude) in enumerate(wanted):
        known = held.in_field(ra, dec, 0.1, MJD, NOT)
        assert known is not None
        off = random.normal(0, 0.15, 2) / 3600
        seen_ra = ra + off[0] / np.cos(np.radians(dec))
        match = minor_planet_at(
            seen_ra, dec + off[1], 0.15, magnitude + random.normal(0, 0.3), known
        )
        if match is None or not match.sure or f"({1000 + n})" not in match.name:
            missed.append((ra, dec, match))
        else:
            separations.append(match.separation_arcsec)
        # A source half an arcminute away is another thing.
        assert minor_planet_at(seen_ra, dec + 30 / 3600, 0.15, magnitude, known) is None
    assert not missed
    assert np.median(separations) < 0.5


VSX = (
    "  37222 V0437 Peg                      0 332.11111   3.22222 RRAB                            "
    "11.600  V        12.400  V      51000.1000  0.5000000\n"
    " 123456 NSV 1                          1   0.00010 -12.34567 UG                               "
    "12.1    V       (5.0    V\n"
    " 654321 Not any more                   2  10.00000  10.00000 CST                              "
    "12.1    V        12.2   V\n"
    "something else\n"
)


def test_variables_of_vsx_are_read_with_their_range_and_constant_stars_left_out(
    tmp_path: Path,
) -> None:
    path, bad = tmp_path / "vsx.dat", BadLines()
    path.write_text(VSX)
    held = VariableStars(tmp_path / "variables")
    assert held.take(path, bad).count == 2
    assert [number for number, _ in bad.first] == [4]
    found = held.in_field(332.1111, 3.2222, 0.01)
    assert found is not None
    assert found.name.tolist() == [b"V0437 Peg"]
    assert found.type.tolist() == [b"RRAB"]
    assert (found.brightest[0], found.faintest[0]) == pytest.approx((11.6, 12.4))
    over = held.in_field(359.9999, -12.34567, 0.01)
    assert over is not None
    assert over.faintest == pytest.approx([17.1])  # an amplitude is added


@pytest.mark.parametrize("ending", ["csv", "tsv", "csv.gz", "fits"])
def test_a_list_of_ones_own_is_read_by_its_names(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"own.{ending}"
    table = Table(
        {
            "Name": ["SS Cyg", "AE Aqr"],
            "RA": [325.678, 310.038],
            "DEC": [43.586, -0.871],
            "Max": [7.7, 10.2],
            "Min": [12.4, 12.1],
            "Type": ["UGSS", "DQ"],
        }
    )
    if ending == "fits":
        table.write(path)
    else:
        mark = "\t" if ending == "tsv" else ","
        rows = [mark.join(map(str, row)) for row in [table.colnames, *table.as_array().tolist()]]
        text = "# a remark\n" + "\n".join([*rows, mark.join(["X", "", "1", "2", "3", "?"])]) + "\n"
        data = text.encode()
        path.write_bytes(gzip.compress(data) if ending.endswith("gz") else data)
    bad = BadLines()
    held = VariableStars(tmp_path / "variables")
    assert held.take(path, bad).count == 2
    assert bad.count == (0 if ending == "fits" else 1)
    found = held.in_field(325.678, 43.586, 0.05)
    assert found is not None
    match = variable_at(325.678, 43.58605, 0.1, found)
    assert match is not None
    assert match.name == "SS Cyg (UGSS)"
    assert match.expected_magnitude == pytest.approx(10.05)
    assert variable_at(325.678, 43.588, 0.1, found) is None


def test_a_page_of_the_web_is_no_list_of_variables(tmp_path: Path) -> None:
    path = tmp_path / "vsx.csv"
    path.write_text("<html>maintenance</html>\n<p>later</p>\n")
    with pytest.raises(NoVariables):
        VariableStars(tmp_path / "variables").take(path, BadLines())


def test_every_known_variable_of_many_is_found_across_the_sky(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    count = 3000
    ra, dec = random.uniform(0, 360, count), np.degrees(np.arcsin(random.uniform(-1, 1, count)))
    ra[:20] = np.where(np.arange(20) % 2, 0.0001, 359.9999)
    dec[20:40] = 89.9
    rows = [f"V{n},{ra[n]:.6f},{dec[n]:.6f},15,18,M" for n in range(count)]
    path = tmp_path / "own.csv"
    path.write_text("name,ra,dec,max,min,type\n" + "\n".join(rows) + "\n")
    held = VariableStars(tmp_path / "variables")
    held.take(path, BadLines())
    for n in range(0, count, 20):
        turn = 0.3 / 3600 / np.cos(np.radians(dec[n]))
        known = held.in_field(ra[n], dec[n], 0.08)
        assert known is not None
        match = variable_at(ra[n] + turn, dec[n], 0.2, known)
        assert match is not None
        assert match.separation_arcsec < 0.5

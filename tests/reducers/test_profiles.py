"""A profile says what it means, or is refused by name."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.errors import NotRaw, ProfileError, UnknownInstrument
from reducers.identity import FrameKind
from reducers.profiles import (
    PROFILES,
    instrument_names,
    load_instrument,
    read_instrument,
    recognise,
)
from reducers.spectroscopy.lines import lines_of_lamps
from reducers.standards import separation_arcsec

if TYPE_CHECKING:
    from pathlib import Path

GRISMS = [3, 4, 5, 6, 7, 8, 10, 11, 14, 17, 18, 19, 20]


@pytest.fixture
def altered(tmp_path: Path) -> Path:
    """Return a copy of the folder of profiles that a test may spoil."""
    folder = tmp_path / "instruments"
    shutil.copytree(PROFILES, folder)
    return folder


def spoil(folder: Path, old: str, new: str, file: str = "alfosc.toml") -> Path:
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return folder / "alfosc.toml"


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("rows = 2102", "rows = 2102\nrowz = 1", "rowz"),
        ("telescope =", "telescop =", "telescop"),
        ("nonlinear_adu", "nonlinear_adus", "nonlinear_adus"),
        ('shutter = "SHSTAT"', 'shuter = "SHSTAT"', "shuter"),
        ('kind = "DARK"', 'kind = "DRAK"', "DRAK"),
        ("exposure = { at_most = 0.01 }", "expo = { at_most = 0.01 }", "expo"),
        ("exposure = { at_most = 0.01 }", "exposure = { at_mots = 0.01 }", "at_mots"),
        ("[sets.BIAS]", "[sets.BAIS]", "BAIS"),
        ("rows = 2102", 'rows = "2102"', "rows"),
        ("rows = 2102", "", "rows"),
        ("valid_px = [", "valid_px = [1, ", "valid_px"),
        ("wraps_negative = true", "wraps_negative = 1", "wraps_negative"),
        ('name = "ALFOSC"', "name = ", "alfosc.toml"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name(
    altered: Path, old: str, new: str, named: str
) -> None:
    with pytest.raises(ProfileError, match=named):
        read_instrument(spoil(altered, old, new))


def test_a_wrong_number_in_a_table_is_refused_by_its_name(altered: Path) -> None:
    path = spoil(altered, "4000,0.2935", "4000,O.2935", "extinction_lapalma.csv")
    with pytest.raises(ProfileError, match=r"O\.2935"):
        read_instrument(path)


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match="alfosc, efosc2"):
        load_instrument("alfosk")


def test_any_change_of_a_profile_or_its_tables_changes_the_digest(altered: Path) -> None:
    original = read_instrument(altered / "alfosc.toml").digest
    assert original == load_instrument("alfosc").digest
    table = spoil(altered, "4000,0.2935", "4000,0.2936", "extinction_lapalma.csv")
    after_table = read_instrument(table).digest
    star = spoil(altered, "ra_deg = 47.1", "ra_deg = 48.1", "standards/index.toml")
    assert len({original, after_table, read_instrument(star).digest}) == 3


@pytest.mark.parametrize("name", ["alfosc", "efosc2"])
def test_every_shipped_profile_is_consistent(name: str) -> None:
    instrument = load_instrument(name)
    detector = instrument.detector
    for section in (detector.image, *detector.overscan):
        assert 0 <= section.x_start < section.x_stop <= detector.columns
        assert 0 <= section.y_start < section.y_stop <= detector.rows
    for section in detector.overscan:
        beside = section.x_start >= detector.image.x_stop
        assert beside or section.y_start >= detector.image.y_stop
    assert {FrameKind.BIAS, FrameKind.SPEC_FLAT, FrameKind.ARC, FrameKind.SPEC_STD} <= set(
        instrument.sets
    )
    assert detector.nonlinear_adu < detector.saturation_adu(1, 1)
    assert instrument.digest


def test_both_profiles_are_shipped() -> None:
    assert instrument_names() == ("alfosc", "efosc2")


@pytest.mark.parametrize("number", GRISMS)
def test_every_grism_spreads_its_range_over_the_detector(number: int) -> None:
    grism = load_instrument("alfosc").grisms[f"Grism_#{number}"]
    low, high = grism.valid_px
    pixels = np.linspace(low, high, 500)
    wavelength = wavelength_of("alfosc", grism.name, pixels)
    assert np.all(np.diff(wavelength) < 0), "blue lies at high y"
    assert 0 <= low < high <= load_instrument("alfosc").detector.rows
    red, blue = grism.range_angstrom[1], grism.range_angstrom[0]
    assert blue < np.median(wavelength) < red


def wavelength_of(name: str, grism_name: str, pixels: np.ndarray) -> np.ndarray:
    grism = load_instrument(name).grisms[grism_name]
    u = (pixels - grism.reference_px) / grism.scale_px
    return np.polynomial.polynomial.polyval(u, grism.first_guess)


def test_grism_4_puts_neon_6144_where_it_was_measured() -> None:
    grism = load_instrument("alfosc").grisms["Grism_#4"]
    assert grism.status == "measured"
    assert wavelength_of("alfosc", grism.name, np.array([954.74])) == pytest.approx(6144.76, abs=1)


@pytest.mark.parametrize(
    ("number", "angstrom_per_px"),
    [(3, 2.3), (4, 3.3), (5, 3.5), (7, 1.7), (8, 1.4), (11, 4.6), (18, 0.93), (19, 1.2), (20, 2.2)],
)
def test_the_dispersion_is_what_the_observatory_states(number: int, angstrom_per_px: float) -> None:
    grism = load_instrument("alfosc").grisms[f"Grism_#{number}"]
    middle = np.mean(grism.valid_px)
    ends = wavelength_of("alfosc", grism.name, np.array([middle - 1, middle + 1]))
    assert (ends[0] - ends[1]) / 2 == pytest.approx(angstrom_per_px, rel=0.17)


def test_saturation_depends_on_the_binning() -> None:
    detector = load_instrument("alfosc").detector
    assert detector.saturation_adu(1, 1) == 690_000
    assert detector.saturation_adu(1, 2) == 850_000
    assert detector.saturation_adu(2, 2) == 850_000


def test_each_lamp_shows_the_lines_of_its_ions() -> None:
    lines = load_instrument("alfosc").lines
    helium = [line.wavelength_angstrom for line in lines_of_lamps(lines, ("He",))]
    neon = [line.wavelength_angstrom for line in lines_of_lamps(lines, ("Ne",))]
    assert min(abs(wavelength - 5877.25) for wavelength in helium) < 0.01
    assert min(abs(wavelength - 6144.763) for wavelength in neon) < 0.01
    assert not set(helium) & set(neon)
    assert len(lines_of_lamps(lines, ("He", "Ne"))) == len(helium) + len(neon)
    thorium = [line.wavelength_angstrom for line in lines_of_lamps(lines, ("ThAr",))]
    assert np.all(np.diff(thorium) > 0.001), "no line twice"


def test_standards_have_sources_rising_tables_and_separate_places() -> None:
    stars = load_instrument("alfosc").standards
    assert len(stars) == 17
    for star in stars:
        assert star.source
        assert np.all(np.diff(star.wavelength_angstrom) > 0), star.name
        assert len(star.wavelength_angstrom) == len(star.ab_magnitude)
        assert len(star.wavelength_angstrom) == len(star.bandpass_angstrom)
        assert 4.0 < np.median(star.ab_magnitude) < 17.0
    places = [(star.ra_deg, star.dec_deg) for star in stars]
    for index, place in enumerate(places):
        others = places[:index] + places[index + 1 :]
        assert min(separation_arcsec(place, other) for other in others) > 600
    assert {star.name for star in stars if not star.verified} == {"HD 19445", "He 3", "HD 84937"}


def test_no_name_belongs_to_two_standards() -> None:
    stars = load_instrument("alfosc").standards
    names = [name.casefold() for star in stars for name in (star.name, *star.aliases)]
    assert len(names) == len(set(names))


def test_extinction_is_that_of_la_palma() -> None:
    alfosc = load_instrument("alfosc")
    at = np.interp(
        [3200, 4000, 5000, 9000],
        alfosc.extinction_angstrom,
        alfosc.extinction_mag_per_airmass,
    )
    assert at == pytest.approx([0.991, 0.294, 0.124, 0.011], abs=0.001)


def test_an_instrument_is_recognised_by_its_marks() -> None:
    assert recognise({"INSTRUME": "ALFOSC_FASU"}).name == "ALFOSC"
    assert recognise({"INSTRUME": "ALFOSC FASU"}).name == "ALFOSC"
    assert recognise({"INSTRUME": "EFOSC", "TELESCOP": "ESO-NTT"}).name == "EFOSC2"


def test_another_camera_is_unknown_and_a_product_is_not_raw() -> None:
    with pytest.raises(UnknownInstrument, match="NOTCAM"):
        recognise({"INSTRUME": "NOTCAM"})
    with pytest.raises(UnknownInstrument, match="missing"):
        recognise({})
    with pytest.raises(UnknownInstrument):
        recognise({"INSTRUME": "EFOSC", "TELESCOP": "ESO-NTT"}, ["alfosc"])
    with pytest.raises(NotRaw):
        recognise({"INSTRUME": "ALFOSC_FASU", "ALFOSCD": "0.1.0"})


def test_what_rests_on_no_measurement_is_marked() -> None:
    alfosc = load_instrument("alfosc")
    assert alfosc.unverified
    assert alfosc.grisms["Grism_#6"].status == "unverified"
    assert alfosc.grisms["Grism_#7"].status == "template"

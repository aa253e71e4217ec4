"""What a header is taken for, and that no header can break the taking."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reducers.fits import read_header
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument, recognise

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.instrument import Instrument

Build = Callable[..., dict[str, Any]]
ALFOSC = load_instrument("alfosc")
OPEN = {"ALAPRTNM": "Open", "ALGRNM": "Open_(Lyot)"}

KINDS = [
    ("bias", {}, FrameKind.BIAS),
    ("bias", {"ALGRNM": "Grism_#4", "ALAPRTNM": "Slit_1.3"}, FrameKind.BIAS),
    ("bias", {"SHSTAT": None}, FrameKind.BIAS),
    ("bias", {"SHSTAT": "OPEN"}, FrameKind.UNKNOWN),
    ("bias", {"EXPTIME": 600.0, "IMAGETYP": "DARK"}, FrameKind.DARK),
    ("bias", {"EXPTIME": 600.0, "IMAGETYP": "DARK", "SHSTAT": None}, FrameKind.DARK),
    ("bias", {"EXPTIME": 0.05}, FrameKind.UNKNOWN),
    ("arc", {}, FrameKind.ARC),
    ("arc", {"CLAMP2": 0}, FrameKind.ARC),
    ("arc", {"CLAMP1": 0, "CLAMP2": 0, "CLAMP4": 1}, FrameKind.ARC),
    ("arc", {"CMIRROR": 0}, FrameKind.UNKNOWN),
    ("arc", {"CLAMP3": 1}, FrameKind.UNKNOWN),
    ("flat", {}, FrameKind.SPEC_FLAT),
    ("flat", {"CLAMP3": None}, FrameKind.UNKNOWN),
    ("flat", {"SHSTAT": None}, FrameKind.SPEC_FLAT),
    ("standard", {}, FrameKind.SPEC_STD),
    ("standard", {"IMAGETYP": "STD", "IMAGECAT": "CALIB"}, FrameKind.SPEC_STD),
    ("standard", {"TCSTGT": "", "OBJECT": "std"}, FrameKind.SPEC_STD),
    ("standard", {"RA": None, "TCSTGT": "", "OBJECT": "hd_84937"}, FrameKind.SPEC_STD),
    ("science", {}, FrameKind.SPEC_OBJECT),
    ("science", {"IMAGETYP": "STD"}, FrameKind.SPEC_STD),
    ("science", {"SHSTAT": None}, FrameKind.SPEC_OBJECT),
    ("science", {"SHSTAT": "OPENED"}, FrameKind.SPEC_OBJECT),
    ("science", {"ALAPRTNM": "ech_1.0", "ALGRNM": "Grism_#9"}, FrameKind.UNKNOWN),
    ("science", {"IMAGETYP": "WAVE,LAMP"}, FrameKind.SPEC_OBJECT),
    ("science", {"CLAMP2": 1}, FrameKind.SPEC_OBJECT),
    ("science", {"IMAGETYP": "BIAS"}, FrameKind.SPEC_OBJECT),
    ("science", {"IMAGETYP": "FLAT,SKY"}, FrameKind.SPEC_SKYFLAT),
    ("science", {"ALAPRTNM": "Open"}, FrameKind.SLITLESS),
    ("science", {"NWINDOWS": 2}, FrameKind.UNKNOWN),
    ("science", {"CCDNAME": "CCD14"}, FrameKind.SPEC_OBJECT),
    ("science", {"CCDNAME": ""}, FrameKind.SPEC_OBJECT),
    ("science", {"CCDNAME": "CCD8"}, FrameKind.UNKNOWN),
    ("bias", {"CCDNAME": "CCD8"}, FrameKind.UNKNOWN),
    ("science", {"FARETARD": "IN"}, FrameKind.POLARIMETRY),
    ("science", {"ALAPRTNM": "Cal_90"}, FrameKind.POLARIMETRY),
    ("science", {"ALAPRTNM": "pol_1.4"}, FrameKind.POLARIMETRY),
    ("image", {}, FrameKind.IMG_OBJECT),
    ("image", {"FAFLTNM": "Open"}, FrameKind.IMG_OBJECT),
    ("image", {"IMAGETYP": "FLAT,SKY"}, FrameKind.IMG_FLAT),
    ("image", {"IMAGETYP": "FLAT,DOME", "BFLMP1": 1}, FrameKind.IMG_FLAT),
    ("image", {"OBJECT": "ALFOSC target acquisition"}, FrameKind.ACQUISITION),
    (
        "image",
        {"DETWIN1": "[651:1450, 651:1450]", "NAXIS1": 800, "NAXIS2": 800},
        FrameKind.ACQUISITION,
    ),
    ("image", {"ALAPRTNM": "Slit_1.0"}, FrameKind.SLIT_IMAGE),
    ("image", {"ALGRNM": "Focus_Pyr"}, FrameKind.FOCUS),
    ("image", {"OBJECT": "EasyFlat count test", "IMAGETYP": "FLAT,SKY"}, FrameKind.FLAT_TEST),
    ("image", {"IMAGETYP": "TEST"}, FrameKind.UNKNOWN),
    ("image", {"FARETARD": "IN"}, FrameKind.POLARIMETRY),
]


@pytest.mark.parametrize(("what", "cards", "kind"), KINDS)
def test_every_kind_is_told_by_its_lamps_wheels_and_shutter(
    alfosc_header: Build, what: str, cards: dict[str, Any], kind: FrameKind
) -> None:
    identity = identify(alfosc_header(what, **cards), ALFOSC)
    assert identity.kind is kind, identity.reasons
    assert identity.reasons


@pytest.mark.parametrize("key", ["SHSTAT", "AIRMASS"])
def test_what_a_spectrum_lacks_is_named_while_another_value_stands_in(
    alfosc_header: Build, key: str
) -> None:
    identity = identify(alfosc_header("science", **{key: None}), ALFOSC)
    assert identity.kind is FrameKind.SPEC_OBJECT
    assert identity.missing == (key,)
    assert identify(alfosc_header("arc", AIRMASS=None), ALFOSC).missing == ()


@pytest.mark.parametrize(("key", "value"), [("RA", 400.0), ("RA", "N/A"), ("DEC", -95.0)])
def test_a_position_that_cannot_be_is_named_as_missing(
    alfosc_header: Build, key: str, value: Any
) -> None:
    cards: dict[str, Any] = {key: value}
    identity = identify(alfosc_header("science", **cards), ALFOSC)
    assert identity.missing == (key,)
    assert identity.ra_deg is None


def test_an_airmass_that_is_not_written_is_that_of_the_altitude_or_of_the_place(
    alfosc_header: Build,
) -> None:
    written = identify(alfosc_header("science"), ALFOSC).airmass
    for cards in ({"AIRMASS": None}, {"AIRMASS": 0.0}, {"AIRMASS": None, "TELALT": None}):
        found = identify(alfosc_header("science", **cards), ALFOSC).airmass
        assert found == pytest.approx(written, abs=0.005), cards
    nowhere = {"AIRMASS": None, "TELALT": None, "RA": None}
    assert identify(alfosc_header("science", **nowhere), ALFOSC).airmass is None


def test_the_profile_has_a_tested_rule_for_every_kind() -> None:
    ruled = {rule.kind for rule in ALFOSC.rules}
    assert ruled == set(FrameKind)
    assert ruled == {kind for _, _, kind in KINDS}


def test_a_science_header_is_read_completely(alfosc_header: Build) -> None:
    identity = identify(alfosc_header("science"), ALFOSC)
    assert identity.observed_at == datetime(2020, 3, 21, 4, 29, 55, 159000, tzinfo=UTC)
    assert identity.setup.detector_key == "1x2/851:1250,1:2102/D-8-200"
    assert (identity.setup.grism, identity.setup.slit) == ("Grism_#4", "Slit_1.0")
    assert identity.setup.filter == "WG345"
    assert identity.setup.dispersion_axis == "y"
    assert (identity.exposure_s, identity.airmass) == (1030.0, pytest.approx(1.17203157))
    assert (identity.gain_e_per_adu, identity.read_noise_e) == (0.16, 4.3)
    assert (identity.aperture_y_px, identity.rotator_deg) == (1057.37, 0.3633)
    assert identity.detector_temperature_c == -120.04
    assert (identity.programme, identity.block, identity.missing) == ("60-003", "", ())


def test_an_arc_knows_its_lamps_and_that_it_was_taken_on_the_object(alfosc_header: Build) -> None:
    identity = identify(alfosc_header("arc"), ALFOSC)
    assert identity.lamps == ("He", "Ne")
    assert identity.on_object
    assert not identify(alfosc_header("arc", IMAGECAT="CALIB"), ALFOSC).on_object


def test_a_number_in_the_title_is_the_place_in_the_sequence(alfosc_header: Build) -> None:
    def sequence(title: str) -> tuple[int, int] | None:
        return identify(alfosc_header("flat", OBJECT=title), ALFOSC).sequence

    assert sequence("Halogen 3 alfosc-calibs") == (3, 0)
    assert sequence("HeNe 1") == (1, 0)
    assert sequence("Halogen 2 of 5 alfosc-calibs") == (2, 5)
    assert sequence("HeNe 2019wxt") is None
    assert sequence("HeNe GQ125005+280041") is None


def test_two_filters_in_the_beam_become_one_name(alfosc_header: Build) -> None:
    header = alfosc_header("image", ALFLTNM="V_Bes 530_80", FAFLTNM="g'_SDSS   480_145")
    assert identify(header, ALFOSC).setup.filter == "V+g_SDSS"


@pytest.mark.parametrize("name", ["Open", "OPEN", "Open_(Lyot)", "Open (Lyot)", " open "])
def test_open_in_any_spelling_is_out_of_the_beam(alfosc_header: Build, name: str) -> None:
    identity = identify(alfosc_header("image", ALGRNM=name), ALFOSC)
    assert identity.setup.grism == ""
    assert identity.kind is FrameKind.IMG_OBJECT


def test_behind_a_vertical_slit_the_dispersion_runs_along_x(alfosc_header: Build) -> None:
    for name in ("Vert_0.5", "VertOff_1.3", "vert_0.9"):
        setup = identify(alfosc_header("science", ALAPRTNM=name), ALFOSC).setup
        assert setup.dispersion_axis == "x"


def test_a_name_that_points_elsewhere_is_not_that_standard(alfosc_header: Build) -> None:
    stale = identify(alfosc_header("science", TCSTGT="SP0946+139"), ALFOSC)
    assert (stale.kind, stale.standard) == (FrameKind.SPEC_OBJECT, "")
    assert any("arcmin away" in reason for reason in stale.reasons)
    wrong = identify(alfosc_header("standard", TCSTGT="Feige 34", OBJECT="Feige 34"), ALFOSC)
    assert wrong.standard == ""
    assert any("pointing at HD 84937" in reason for reason in wrong.reasons)


def test_a_lamp_left_on_behind_the_mirror_is_a_caution_not_an_arc(alfosc_header: Build) -> None:
    identity = identify(alfosc_header("science", CLAMP1=1), ALFOSC)
    assert identity.kind is FrameKind.SPEC_OBJECT
    assert any("mirror is out" in reason for reason in identity.reasons)


def test_an_unguided_long_exposure_is_remarked(alfosc_header: Build) -> None:
    identity = identify(alfosc_header("science", AUSTATUS=0), ALFOSC)
    assert any("autoguider" in reason for reason in identity.reasons)


def test_a_window_that_contradicts_the_image_size_is_not_trusted(alfosc_header: Build) -> None:
    identity = identify(alfosc_header("science", NAXIS2=2102), ALFOSC)
    assert identity.kind is FrameKind.UNKNOWN
    assert any("NAXIS2 is 2102" in reason for reason in identity.reasons)


@pytest.mark.parametrize("key", ["DATE-OBS", "EXPTIME", "DETWIN1", "DETXBIN", "DETYBIN"])
def test_without_an_essential_key_the_kind_is_unknown_and_the_key_named(
    alfosc_header: Build, key: str
) -> None:
    cards: dict[str, Any] = {key: "rubbish", "DATE_OBS": None}
    identity = identify(alfosc_header("bias", **cards), ALFOSC)
    assert identity.kind is FrameKind.UNKNOWN
    assert key in identity.missing
    assert key in identity.reasons[0]


#: The first draw of a text builds a table of Unicode; the machine may be busy.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=40),
    st.text(alphabet=string.digits + "[]:, -T.eE+", max_size=30),
    st.sampled_from(["", "nan", "inf", "-9999", "[0:0, 0:0]", "[9:1, 9:1]", "0000-00-00T00:00:00"]),
    st.sampled_from(["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "\x00", "²"]),
)
WHATS = st.sampled_from(["science", "bias", "arc", "flat", "standard", "image"])


@PATIENT
@given(what=WHATS, data=st.data())
def test_no_mutation_of_any_card_breaks_identification(
    alfosc_header: Build, what: str, data: st.DataObject
) -> None:
    header = alfosc_header(what)
    keys = data.draw(st.lists(st.sampled_from(sorted(header)), max_size=6, unique=True))
    changes = {key: data.draw(VALUES) for key in keys}
    identity = identify(alfosc_header(what, **changes), ALFOSC)
    assert identity.reasons
    assert identity.kind in FrameKind
    assert identity.observed_at is None or identity.observed_at.tzinfo is UTC
    assert identity.ra_deg is None or 0 <= identity.ra_deg <= 360
    x1, x2, y1, y2 = identity.setup.window
    assert 1 <= x1 <= x2
    assert 1 <= y1 <= y2


@PATIENT
@given(cards=st.dictionaries(st.text(max_size=8), VALUES, max_size=10))
def test_an_arbitrary_header_is_unknown_never_an_error(cards: dict[str, Any]) -> None:
    assert identify(cards, ALFOSC).kind is FrameKind.UNKNOWN


def test_every_single_card_of_every_kind_can_be_missing(alfosc_header: Build) -> None:
    for what in ("science", "bias", "arc", "flat", "standard", "image"):
        complete = identify(alfosc_header(what), ALFOSC).kind
        for key in alfosc_header(what):
            kind = identify(alfosc_header(what, **{key: None}), ALFOSC).kind
            assert kind in (complete, FrameKind.UNKNOWN), (what, key, kind)


@pytest.mark.realdata
def test_the_real_alfosc_frames_are_classified_as_they_were_taken(realdata: Path) -> None:
    paths = sorted((realdata / "alfosc_raw").glob("AL*.fits"))
    found = {path.stem: identify(read_header(path), ALFOSC) for path in paths}
    assert Counter(identity.kind for identity in found.values()) == {
        FrameKind.BIAS: 16,
        FrameKind.SPEC_FLAT: 5,
        FrameKind.ARC: 2,
        FrameKind.SPEC_STD: 1,
        FrameKind.SPEC_OBJECT: 1,
    }
    assert found["ALDc200086"].standard == "HD 84937"
    assert len({found[stem].setup for stem in found if stem.startswith("ALDc2000")}) == 1
    assert all(not identity.missing for identity in found.values())


@pytest.mark.realdata
def test_the_real_efosc2_frames_are_classified_without_new_code(realdata: Path) -> None:
    headers = [read_header(path) for path in sorted((realdata / "efosc2_raw").glob("*.fits.gz"))]
    found = [identify(header, recognise(header)) for header in headers]
    assert {identity.instrument for identity in found} == {"EFOSC2"}
    assert Counter(identity.kind for identity in found) == {
        FrameKind.BIAS: 5,
        FrameKind.SPEC_FLAT: 6,
        FrameKind.ARC: 1,
        FrameKind.SPEC_OBJECT: 1,
        FrameKind.SPEC_STD: 1,
        FrameKind.IMG_FLAT: 3,
        FrameKind.IMG_OBJECT: 3,
    }
    assert {identity.standard for identity in found} == {"", "EG 21"}
    assert {identity.gain_e_per_adu for identity in found} == {1.1}


@pytest.mark.realdata
def test_no_dropped_or_mutated_card_of_a_real_header_breaks_identification(realdata: Path) -> None:
    paths = [
        realdata / "alfosc_raw" / "ALDc200205.fits",
        realdata / "efosc2_raw" / "EFOSC.2022-01-27T02:31:32.701.fits.gz",
    ]
    for path in paths:
        header = read_header(path)
        instrument = recognise(header)
        complete = identify(header, instrument)
        for keyword in wanted_keywords(instrument) & set(header):
            kept = header[keyword]
            for value in ("", "rubbish", -1, 1e300, True):
                header[keyword] = value
                assert identify(header, instrument).reasons
            del header[keyword]
            assert identify(header, instrument).kind in (complete.kind, FrameKind.UNKNOWN)
            header[f"HIERARCH {keyword}" if len(keyword) > 8 else keyword] = kept
        assert identify(header, instrument) == complete


def wanted_keywords(instrument: Instrument) -> set[str]:
    """Every keyword the profile reads, as astropy spells it."""

    def flat(where: Any) -> list[str]:
        if isinstance(where, str):
            return [where.removeprefix("HIERARCH ")]
        entries = where.values() if isinstance(where, dict) else where
        return [keyword for entry in entries for keyword in flat(entry)]

    return set(flat(instrument.header) + flat(list(instrument.lamps)))

"""The flags of images say what was measured, against which limit, and what to do."""

from __future__ import annotations

import pytest

from reducers.imaging.magnitudes import measure_zero_point
from reducers.imaging.references import References
from reducers.imaging.zero_point import ZeroPoint
from reducers.quality import judge, load_limits

LIMITS = load_limits("images")


def test_images_and_spectra_have_limits_of_their_own() -> None:
    assert load_limits("spectra") != LIMITS
    assert load_limits() == load_limits("spectra")


def test_the_bits_are_used_without_a_gap() -> None:
    assert sorted(rule.bit for rule in LIMITS.rules) == list(range(len(LIMITS.rules)))


def test_a_sound_image_raises_nothing() -> None:
    sound = {
        "stars": 80, "seeing_arcsec": 0.9, "ellipticity": 0.04, "noise_ratio": 1.01,
        "astrometry_rms_mas": 40, "astrometry_matched": 60, "zero_point_error_mag": 0.006,
        "zero_point_stars": 45, "zero_point_off_mag": 0.05, "cloud_mag": 0.03,
    }  # fmt: skip
    assert judge(sound, LIMITS) == ((), 0)


def test_a_bit_means_the_same_for_ever() -> None:
    bits = {rule.name: rule.bit for rule in LIMITS.rules}
    first = (
        "NO_STARS FEW_STARS SEEING FOCUS TRAILED CLOUD TWILIGHT BRIGHT_SKY SKY_UNEVEN "
        "SATURATED CR_HEAVY TRAIL AIRMASS NO_FLAT FLAT_OLD NO_BIAS NO_DARK NO_OVERSCAN "
        "FRINGES FRINGE_RESIDUE BAD_PIXELS GAIN_HEADER RDNOISE NOISE TRUNCATED HEADER "
        "ASTROM_FAIL WCS_POOR WCS_FEW WCS_UNCHECKED POINTING OFF_FIELD CAT_MISSING "
        "CAT_PARTIAL NO_ZP ZP_UNCERTAIN ZP_FEW ZP_SCATTER ZP_OUTLIER ZP_BORROWED "
        "NO_COLOUR_TERM PSF_FEW PSF_POOR UNVERIFIED HUMAN FLOODED"
    )
    assert [bits[name] for name in first.split()] == list(range(len(bits)))


#: What people are told to look at after an imaging reduction, and the flag that looks for them.
CHECKED_BY_EYE = {
    "all files of the set were used": ({"no_flat": 1.0}, "NO_FLAT"),
    "the flat is of this night": ({"flat_age_h": 30.0}, "FLAT_OLD"),
    "scatter of the positions, first axis": ({"astrometry_rms_mas": 300.0}, "WCS_POOR"),
    "the field was solved at all": ({"astrometry_failed": 1.0}, "ASTROM_FAIL"),
    "stars are round": ({"ellipticity": 0.3}, "TRAILED"),
    "stars are points": ({"donut_fraction": 0.4}, "FOCUS"),
    "the model of the stars fits": ({"psf_residual": 0.08}, "PSF_POOR"),
    "more than ten stars in the zero point": ({"zero_point_stars": 9.0}, "ZP_FEW"),
    "the zero point is good to 20 mmag": ({"zero_point_error_mag": 0.04}, "ZP_UNCERTAIN"),
    "the zero point is the usual one": ({"zero_point_off_mag": 1.2}, "ZP_OUTLIER"),
    "the sky was subtracted evenly": ({"sky_unevenness": 0.15}, "SKY_UNEVEN"),
    "no satellite went through": ({"trails": 1.0}, "TRAIL"),
    "errors are those of the sky": ({"noise_ratio": 1.3}, "NOISE"),
}


@pytest.mark.parametrize(("measured", "flag"), CHECKED_BY_EYE.values(), ids=CHECKED_BY_EYE)
def test_what_people_look_at_is_looked_at_for_them(measured, flag) -> None:
    assert flag in {raised.name for raised in judge(measured, LIMITS)[0]}


@pytest.mark.parametrize(
    ("off_expected", "facts", "cloudy"),
    [
        (0.2, {}, False),
        (0.9, {}, True),
        (0.9, {"best_zero_point_mag": 25.1}, False),
        (0.1, {"best_zero_point_mag": 25.5}, True),
    ],
)
def test_cloud_is_held_against_the_nights_best_where_it_is_known(
    off_expected, facts, cloudy
) -> None:
    zero = ZeroPoint(magnitude=25.0, error=0.01, off_expected=off_expected)
    measured = measure_zero_point(zero, References(), facts, 0.3)
    assert ("CLOUD" in {flag.name for flag in judge(measured, LIMITS)[0]}) == cloudy

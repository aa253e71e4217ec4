"""The flags of images say what was measured, against which limit, and what to do."""

from __future__ import annotations

import pytest

from reducers.quality import Rule, flag_bits, judge, load_limits

LIMITS = load_limits("images")


def test_images_and_spectra_have_limits_of_their_own() -> None:
    assert load_limits("spectra") != LIMITS
    assert load_limits() == load_limits("spectra")


def test_every_flag_has_its_own_bit_and_name() -> None:
    assert sorted(rule.bit for rule in LIMITS.rules) == list(range(len(LIMITS.rules)))
    assert len({rule.name for rule in LIMITS.rules}) == len(LIMITS.rules)


def test_every_flag_says_what_it_means_and_what_to_do() -> None:
    for rule in LIMITS.rules:
        for text in (rule.sentence, rule.cause, rule.advice):
            assert text.endswith(".")
            assert 14 <= len(text) <= 110


@pytest.mark.parametrize("rule", LIMITS.rules, ids=lambda rule: rule.name)
def test_every_level_of_every_flag_is_reached_by_its_measurement(rule: Rule) -> None:
    for level in rule.levels:
        step = -1e-6 if level.below is not None else 1e-6
        name = level.measurement or rule.measurement
        flags, quality = judge({name: level.threshold() + step}, LIMITS)
        assert (rule.name, level.quality) in {(flag.name, flag.quality) for flag in flags}
        assert quality >= level.quality
        assert flag_bits(flags) & (1 << rule.bit)


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
        "NO_COLOUR_TERM PSF_FEW PSF_POOR UNVERIFIED HUMAN"
    )
    assert [bits[name] for name in first.split()] == list(range(len(bits)))

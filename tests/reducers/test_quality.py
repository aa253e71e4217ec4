"""Flags say what was measured, against which limit, and what to do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reducers.profiles import load_instrument
from reducers.quality import Limits, Rule, flag_bits, judge, load_limits

LIMITS = load_limits()
OF_IMAGES = load_limits("images")


def test_nothing_measured_raises_nothing() -> None:
    assert judge({}, LIMITS) == ((), 0)


def test_the_worst_reason_decides_the_quality() -> None:
    flags, quality = judge({"no_flat": 1.0, "negative_fraction": 0.5}, LIMITS)
    assert quality == 4
    assert {f.name for f in flags} == {"NO_FLAT", "NEG_FLUX"}


def test_the_stricter_level_is_the_one_reported() -> None:
    (flag,), _ = judge({"arc_rms_px": 2.0}, LIMITS)
    assert (flag.threshold, flag.quality) == (1.0, 4)


def test_a_number_that_is_not_known_raises_nothing() -> None:
    assert judge({"arc_rms_px": math.nan}, LIMITS) == ((), 0)


def test_a_fifth_of_negative_flux_is_still_accepted() -> None:
    assert judge({"negative_fraction": 0.20}, LIMITS)[1] == 0


@pytest.mark.parametrize("limits", [LIMITS, OF_IMAGES], ids=["spectra", "images"])
def test_every_flag_has_its_own_bit_and_name(limits: Limits) -> None:
    assert len({rule.bit for rule in limits.rules}) == len(limits.rules)
    assert len({rule.name for rule in limits.rules}) == len(limits.rules)


@pytest.mark.parametrize("limits", [LIMITS, OF_IMAGES], ids=["spectra", "images"])
def test_every_flag_says_what_it_means_and_what_to_do(limits: Limits) -> None:
    for rule in limits.rules:
        for text in (rule.sentence, rule.cause, rule.advice):
            assert text.endswith(".")
            assert 14 <= len(text) <= 110


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        pytest.param(limits, rule, id=f"{of}-{rule.name}")
        for of, limits in (("spectra", LIMITS), ("images", OF_IMAGES))
        for rule in limits.rules
    ],
)
def test_every_level_of_every_flag_is_reached_by_its_measurement(
    limits: Limits, rule: Rule
) -> None:
    for level in rule.levels:
        step = -1e-6 if level.below is not None else 1e-6
        name = level.measurement or rule.measurement
        flags, quality = judge({name: level.threshold() + step}, limits)
        assert (rule.name, level.quality) in {(flag.name, flag.quality) for flag in flags}
        assert quality >= level.quality
        assert flag_bits(flags) & (1 << rule.bit)


def test_what_an_arc_may_scatter_depends_on_the_grism() -> None:
    assert judge({"arc_rms_px": 0.2}, LIMITS, grism="Grism_#4")[1] == 2
    assert judge({"arc_rms_px": 0.2}, LIMITS, grism="Grism_#18")[1] == 0
    assert judge({"arc_rms_px": 0.3}, LIMITS, grism="Grism_#18")[1] == 2
    assert judge({"arc_rms_px": 0.3}, LIMITS, grism="Grism_#10")[1] == 0
    assert judge({"arc_rms_px": 1.1}, LIMITS, grism="Grism_#10")[1] == 4


def test_the_grisms_named_in_the_limits_exist() -> None:
    known = load_instrument("alfosc").grisms
    for rule in LIMITS.rules:
        for level in rule.levels:
            assert set(level.above_by_grism) <= set(known)


def test_a_bit_means_the_same_for_ever() -> None:
    bits = {rule.name: rule.bit for rule in LIMITS.rules}
    first = (
        ("NO_TRACE", 0), ("NEG_FLUX", 3), ("LOW_SNR", 4), ("WAVE_RMS", 5), ("WAVE_FEW", 6),
        ("WAVE_BORROWED", 7), ("FLEXURE_LARGE", 8), ("FLEXURE_NONE", 9), ("SKYLINE_RESID", 10),
        ("SKY_CHI2", 11), ("SATURATED", 12), ("CR_HEAVY", 13), ("OPT_BOX", 14), ("SLITLOSS", 16),
        ("AIRMASS", 18), ("NO_RESPONSE", 19), ("STD_RESID", 20), ("FLUX_NIGHT", 22),
        ("NO_FLAT", 23), ("NO_BIAS", 24), ("UNVERIFIED", 27), ("EXTRAP", 28), ("HUMAN", 30),
        ("WAVE_GUESSED", 31),
    )  # fmt: skip
    assert bits.items() >= dict(first).items()
    assert max(bits.values()) < 63, "the column of the database is a signed 64-bit integer"


def test_twilight_and_the_moon_share_a_bit() -> None:
    (sun,), _ = judge({"sun_altitude_deg": -8.0}, LIMITS)
    (moon,), _ = judge({"sun_altitude_deg": -40.0, "sky_over_dark": 5.0}, LIMITS)
    assert sun.bit == moon.bit
    assert moon.value == 5.0


def test_a_standard_that_points_elsewhere_is_broken_not_unproven() -> None:
    measured = {"pointing_off_arcsec": 500.0}
    assert judge(measured, LIMITS)[1] == 5
    flags, quality = judge(measured, LIMITS, is_standard=True)
    assert quality == 4
    assert {flag.quality for flag in flags} == {4}


def test_levels_are_ordered_from_the_worst() -> None:
    for rule in LIMITS.rules:
        qualities = [level.quality for level in rule.levels]
        assert qualities == sorted(qualities, reverse=True)


@given(
    st.dictionaries(
        st.sampled_from([rule.measurement for rule in LIMITS.rules]),
        st.floats(allow_nan=True, allow_infinity=True),
    )
)
def test_quality_is_between_zero_and_five_and_standards_never_five(
    measured: dict[str, float],
) -> None:
    flags, quality = judge(measured, LIMITS)
    assert 0 <= quality <= 5
    assert judge(measured, LIMITS, is_standard=True)[1] <= 4
    assert bin(flag_bits(flags)).count("1") == len(flags)

"""Flags say what was measured, against which limit, and what to do."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from reducers.quality import flag_bits, judge, load_limits

LIMITS = load_limits()


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


def test_every_flag_has_its_own_bit_and_name() -> None:
    assert len({rule.bit for rule in LIMITS.rules}) == len(LIMITS.rules)
    assert len({rule.name for rule in LIMITS.rules}) == len(LIMITS.rules)


def test_every_flag_says_what_it_means_and_what_to_do() -> None:
    for rule in LIMITS.rules:
        assert rule.sentence.endswith(".")
        assert rule.advice.endswith(".")


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

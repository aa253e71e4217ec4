"""What a profile may say in its header map and rules; a misspelt name is an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reducers.errors import ProfileError
from reducers.rules import TESTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reducers.instrument import Caution, Rule

#: Header values that are texts, by our name.
TEXTS = (
    "instrument",
    "detector_name",
    "started",
    "object",
    "target",
    "image_type",
    "image_category",
    "observing_mode",
    "shutter",
    "retarder",
    "slit_orientation",
    "tracking",
    "programme",
    "block",
)
#: Header values that are numbers, by our name.
NUMBERS = (
    "exposure",
    "ra",
    "dec",
    "equinox",
    "object_ra_hours",
    "object_dec",
    "airmass",
    "altitude",
    "field",
    "rotator",
    "aperture_y",
    "gain",
    "read_noise",
    "mirror",
    "guiding",
    "focus",
    "detector_temperature",
    "windows",
    "sequence_number",
    "sequence_total",
)
REQUIRED = (
    *("started", "exposure", "object", "grism", "slit", "filters", "window"),
    *("x_binning", "y_binning"),
)
#: Entries with a shape of their own.
SPECIAL = (*REQUIRED, "readout", "sequence_pattern", "lamps_by_type")

#: What a rule may ask about besides TEXTS and NUMBERS.
DERIVED = (
    *("grism", "grism_wheel", "slit", "slit_wheel", "filter", "x_span", "y_span"),
    *("lit", "lamps", "flat_lamps", "standard"),
)
FACTS = frozenset((*TEXTS, *NUMBERS, *DERIVED))


def check_header_map(header: Mapping[str, Any], where: str) -> None:
    """Raise `ProfileError` on a name that nothing reads, or one that is missing."""
    known = {*TEXTS, *NUMBERS, *SPECIAL}
    for name in header:
        if name not in known:
            raise ProfileError(
                f"{where} header has no key {name!r}; it has {', '.join(sorted(known))}"
            )
    for name in REQUIRED:
        if name not in header:
            raise ProfileError(f"{where} header lacks the key {name!r}")


def check_rules(rules: Iterable[Rule | Caution], where: str) -> None:
    """Raise `ProfileError` on a rule that asks for an unknown fact or test."""
    for number, rule in enumerate(rules):
        for fact, tests in rule.where.items():
            if fact not in FACTS:
                raise ProfileError(f"{where} rule {number} asks for the unknown fact {fact!r}")
            for test in tests:
                if test not in TESTS:
                    raise ProfileError(f"{where} rule {number} asks {fact} the unknown {test!r}")

"""What a profile may say in its header map and rules; a misspelt name is an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reducers.errors import ProfileError
from reducers.instrument import Caution, Rule
from reducers.rules import TESTS

#: Header values that are texts, by our name.
TEXTS = (
    "instrument started object target image_type image_category observing_mode shutter retarder "
    "tracking programme block"
).split()
#: Header values that are numbers, by our name.
NUMBERS = (
    "exposure ra dec airmass altitude field rotator aperture_y gain read_noise mirror "
    "guiding detector_temperature windows sequence_number sequence_total"
).split()
#: Entries with a shape of their own.
SPECIAL = (
    "lamps_by_type grism slit filters x_binning y_binning window readout columns rows sequence_pattern".split()
)
REQUIRED = tuple("started exposure object x_binning y_binning window grism slit filters".split())

#: What a rule may ask about besides TEXTS and NUMBERS.
FACTS = frozenset(
    TEXTS
    + NUMBERS
    + "grism slit slit_wheel grism_wheel filter lamps lit flat_lamps standard x_span y_span".split()
)


def check_header_map(header: Mapping[str, Any], where: str) -> None:
    """Raise `ProfileError` on a name that nothing reads, or one that is missing."""
    known = {*TEXTS, *NUMBERS, *SPECIAL}
    for name in header:
        if name not in known:
            raise ProfileError(f"{where} header has no key {name!r}; it has {', '.join(known)}")
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

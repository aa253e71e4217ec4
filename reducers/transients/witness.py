"""What other knowledge says of candidates: the borders where it is plugged in.

A witness looks at the candidates of one image and says of each what it knows. Minor planets,
variables, fast stars, earlier detections and difference images are witnesses; the search knows
none of them by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from reducers.transients.candidate import Candidate
    from reducers.transients.search_image import SearchImage


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What one witness knows of one candidate; the default is nothing.

    Attributes
    ----------
    name : str
        What it is: '(4) Vesta', 'RR Lyr'; a candidate that is named is known, not new.
    measurements : mapping of str to float
        Numbers that `quality_transients.toml` has limits for, or that are only told.
    """

    name: str = ""
    measurements: Mapping[str, float] = field(default_factory=dict)


NOTHING_KNOWN = Statement()


class Witness(Protocol):
    """Anything that knows something of candidates."""

    def __call__(self, candidates: Sequence[Candidate], image: SearchImage) -> Sequence[Statement]:
        """Return one statement for each candidate, in their order; it never raises for bad data."""
        ...

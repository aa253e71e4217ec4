"""A candidate as the archive remembers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reducers.transients.candidate import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRecord:
    """One candidate of one product.

    Attributes
    ----------
    id
        Of this detection.
    source_id
        Of the place on the sky: every detection within two arcsec has the same.
    candidate
        What was measured and judged; limits of its vetoes are not kept.
    observed_at
        Middle of the exposure (UTC).
    current
        Whether its product is the one that counts.
    """

    id: int
    source_id: int
    frame_id: int
    stem: str
    night: str
    target: str
    candidate: Candidate
    observed_at: datetime | None
    created_at: datetime
    current: bool = True

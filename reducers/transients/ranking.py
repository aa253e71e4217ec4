"""The score of a candidate: how much it is worth a look."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reducers.transients.candidate import Standing
from reducers.transients.localisation import Colour
from reducers.transients.settings import search_numbers

if TYPE_CHECKING:
    from reducers.transients.candidate import Candidate

#: From this quality of a reason on a candidate cannot be called new.
VETO_QUALITY = 3
#: Signal to noise above which a source is not faint.
_BRIGHT_SNR = 10.0
#: Unlisted stars on an image that change nothing.
_FEW = 0.05


def score_of(candidate: Candidate, *, circles: bool) -> float:
    """Return the score, 0 to 1: a logistic function of what was measured.

    What is known or vetoed has 0. The weights and where they come from stand in `search.toml`;
    the score orders candidates, it is no probability that was calibrated.

    Parameters
    ----------
    circles
        Whether there were localisations to agree with.
    """
    if candidate.standing in (Standing.KNOWN, Standing.VETOED):
        return 0.0
    weight, found = search_numbers()["ranking"], candidate.measurements
    total = float(weight["start"])
    for name in ("concentration_sigma", "elongation_sigma"):
        off = _or(found.get(name), 0.0)
        if name == "elongation_sigma":
            off = max(off, 0.0)
        total -= min(weight["shape"] * max(off * off - 1, 0.0), weight["shape_most"])
    expected = _or(found.get("unlisted_expected"), 1.0)
    total += weight["unlisted"] * math.log1p(expected / _FEW)
    total += weight["warning"] * sum(flag.quality < VETO_QUALITY for flag in candidate.vetoes)
    total += weight["faint"] * max(_BRIGHT_SNR - _or(candidate.snr, 0.0), 0.0) / _BRIGHT_SNR
    if candidate.standing is Standing.UNVETTED:
        total += weight["unvetted"]
    if circles and candidate.colour is Colour.GREEN:
        total += weight["green"]
    if circles and candidate.colour is Colour.RED:
        total += weight["red"]
    return 1 / (1 + math.exp(-total))


def _or(value: float | None, default: float) -> float:
    return default if value is None or not math.isfinite(value) else value

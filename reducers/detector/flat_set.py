"""Judge the members of a flat set before they are combined: lit, and within the linear range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Frame, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A flat needs this level (adu, 99th percentile), and this part of the brightest member's.
FEWEST_ADU, PART_OF_BRIGHTEST = 5000.0, 0.3
#: Above this fraction of clipped or non-linear pixels a flat is useless.
CLIPPED_LIMIT = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatSet:
    """What is fit to be combined; `verdict` says why when nothing is."""

    frames: tuple[Frame, ...]
    left_out: tuple[str, ...]
    verdict: str = ""


def lit_members(frames: Sequence[Frame], names: Sequence[str]) -> FlatSet:
    """Leave out flats without lamp light and saturated ones.

    Parameters
    ----------
    frames
        In adu above the bias, with the mask of `start_frame`.
    """
    levels = [float(np.percentile(frame.data, 99)) for frame in frames]
    clipped = [clipped_fraction(frame) for frame in frames]
    usable = [level for level, part in zip(levels, clipped, strict=True) if part <= CLIPPED_LIMIT]
    brightest = max(usable, default=0.0)
    kept, left_out = [], []
    for frame, name, level, part in zip(frames, names, levels, clipped, strict=True):
        if part > CLIPPED_LIMIT:
            left_out.append(f"{name}: saturated in {100 * part:.1f} % of its pixels")
        elif level < FEWEST_ADU or level < PART_OF_BRIGHTEST * brightest:
            left_out.append(f"{name}: the lamp gave only {level:.0f} adu")
        else:
            kept.append(frame)
    verdict = ""
    if not kept and min(clipped) > CLIPPED_LIMIT:
        verdict = "the flats are saturated: shorten the exposure"
    elif not kept:
        verdict = f"the lamp gave only {brightest:.0f} adu: was it on?"
    return FlatSet(frames=tuple(kept), left_out=tuple(left_out), verdict=verdict)


def clipped_fraction(frame: Frame) -> float:
    """Return which part of the pixels is saturated or beyond the linear range."""
    bits = np.uint16(Mask.SATURATED | Mask.NONLINEAR)
    return float(((frame.mask & bits) != 0).mean())

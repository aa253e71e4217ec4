"""Judge the members of a bias set against each other before they are combined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.combine import PIXELS_FOR_NOISE, read_noise_of
from reducers.detector.correct import require_same_pixels
from reducers.detector.start import clipped_mean
from reducers.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Image

#: A member is left out when, in units of the read noise, its level above the overscan differs by
#: more than this from the others', any part of it by more than the second number, or when its
#: noise is larger than the others' by the third as a factor.
LEVEL_LIMIT, PART_LIMIT, NOISE_LIMIT = 0.3, 1.0, 1.15
#: Parts along rows and columns in which a member is compared.
PARTS = (6, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasSet:
    """What is fit to be combined.

    Attributes
    ----------
    frames : tuple of Frame
        Members that agree with each other.
    left_out : tuple of str
        The others, each with its reason.
    measurements : dict
        'read_noise_adu' per pixel; 'row_noise_adu', what the pixels of a row share;
        'overscan_adu', the mean level of the members; 'drift_adu', how far it wandered;
        'first_offset_adu', how far the first one's stood from the others'; 'left_out'.
    """

    frames: tuple[Frame, ...]
    left_out: tuple[str, ...]
    measurements: dict[str, float]


def sound_members(
    frames: Sequence[Frame], names: Sequence[str], overscan_adu: Sequence[float]
) -> BiasSet:
    """Leave out biases that differ from the set: transients, light, interference.

    Parameters
    ----------
    frames
        Biases above their overscan level.
    names, overscan_adu
        Of each frame.

    Raises
    ------
    SetupMismatch
        If the frames do not share binning and window.
    """
    for frame in frames[1:]:
        require_same_pixels(frames[0], frame, "a bias of the set")
    noise = read_noise_of(frames)
    some = slice(None, None, max(1, frames[0].data.size // PIXELS_FOR_NOISE))
    cube = np.stack([frame.data[some] for frame in frames])
    differences = cube - np.median(cube, axis=0)
    kept, left_out, rows, sound = [], [], [], []
    noises = [_pixel_noise(difference) for difference in differences]
    usual = float(np.median(noises)) or 1.0  # 0 where the same frame was copied
    for index, (frame, name) in enumerate(zip(frames, names, strict=True)):
        difference = differences[index]
        reason = _why_not(difference, noise, noises[index] / usual)
        if reason:
            left_out.append(f"{name}: {reason}")
        else:
            kept.append(frame)
            sound.append(overscan_adu[index])
            rows.append(_row_noise(difference))
    # Light spills into the overscan: the level of what was left out is not the detector's.
    levels = np.asarray(sound or overscan_adu)
    first = float(levels[0] - np.median(levels[1:])) if levels.size > 1 else 0.0
    return BiasSet(
        frames=tuple(kept),
        left_out=tuple(left_out),
        measurements={
            "read_noise_adu": read_noise_of(kept) if len(kept) > 1 else noise,
            "row_noise_adu": float(np.median(rows)) if rows else float("nan"),
            "overscan_adu": float(np.mean(levels)),
            "drift_adu": float(np.ptp(levels)),
            "first_offset_adu": first,
            "left_out": float(len(left_out)),
        },
    )


def _why_not(difference: Image, noise_adu: float, noise_ratio: float) -> str:
    """Return why a member must not be combined; '' when it may."""
    if not noise_adu > 0:
        return ""
    level = _level(difference)
    if abs(level) > LEVEL_LIMIT * noise_adu:
        side = "above" if level > 0 else "below"
        return f"its level is {abs(level):.1f} adu {side} the others'"
    parts = [
        _level(part)
        for band in np.array_split(difference, PARTS[0], axis=0)
        for part in np.array_split(band, PARTS[1], axis=1)
    ]
    worst = max(parts, key=abs)
    if abs(worst) > PART_LIMIT * noise_adu:
        return f"a part of it differs by {worst:.1f} adu from the others: light or a transient"
    if noise_ratio > NOISE_LIMIT:
        return f"it is {noise_ratio:.2f} times as noisy as the others: interference"
    return ""


def _level(difference: Image) -> float:
    return clipped_mean(difference.astype(np.float64).ravel())[0]


def _pixel_noise(difference: Image) -> float:
    own = difference - np.median(difference, axis=1, keepdims=True)
    return clipped_mean(own.astype(np.float64).ravel(), 5.0)[1]


def _row_noise(difference: Image) -> float:
    """Return the scatter of the row means beyond what independent pixels give."""
    means = difference.mean(axis=1, dtype=np.float64)
    means = means - np.convolve(np.pad(means, 25, mode="reflect"), np.ones(51) / 51, "valid")
    white = _pixel_noise(difference) ** 2 / difference.shape[1]
    return float(np.sqrt(max(clipped_mean(means)[1] ** 2 - white, 0.0)))

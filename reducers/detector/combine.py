"""Combine repeated frames with rejection, and measure the detector from them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.correct import require_same_pixels
from reducers.detector.start import clipped_mean
from reducers.errors import NotEnoughFrames
from reducers.frame import UNUSABLE, Frame, Image, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Rows combined at a time: bounds the memory of 30 full frames to about 70 MB.
BLOCK_ROWS = 256
#: About as many pixels, whole rows evenly spread, give the read noise to 0.2 %.
PIXELS_FOR_NOISE = 100_000


def combine(
    frames: Sequence[Frame],
    *,
    clip_sigma: float = 4.0,
    at_least: int = 1,
    read_noise: float = 0.0,
) -> Frame:
    """Average frames pixel by pixel, leaving out values far from the median.

    Parameters
    ----------
    frames
        Same shape and place; scale them first if their levels differ.
    clip_sigma
        Distance from the median, in units of the median scatter over the image.
    at_least
        Fewest frames accepted.
    read_noise
        Noise of a pixel, in the frames' unit, that is not in their variance yet.

    Returns
    -------
    Frame
        Mean; the variance is that of the mean, from the scatter averaged over all pixels
        where the frames carry none.

    Raises
    ------
    NotEnoughFrames, SetupMismatch
    """
    if len(frames) < max(at_least, 1):
        raise NotEnoughFrames(f"{len(frames)} frames, {at_least} needed")
    for frame in frames[1:]:
        require_same_pixels(frames[0], frame, "a member of the set")
    shape = frames[0].shape
    data, scatter, count = (np.empty(shape, kind) for kind in (np.float32, np.float32, np.int32))
    for rows in _row_blocks(shape[0]):
        members = [(frame.data[rows], frame.mask[rows]) for frame in frames]
        data[rows], scatter[rows], count[rows] = _combine_rows(members, clip_sigma)
    mask = np.where(count == 0, np.uint16(Mask.BAD), np.uint16(0))
    typical = np.median(scatter[count > 1]) if (count > 1).any() else 0.0
    declared = sum((f.variance for f in frames[1:]), frames[0].variance) / np.float32(len(frames))
    declared = declared + np.float32(read_noise**2)
    variance = np.where(declared > 0, declared, typical) / np.maximum(count, 1)
    return frames[0].after(
        f"combine: mean of {len(frames)} frames, clipped at {clip_sigma:g} sigma",
        data=data,
        variance=variance,
        mask=mask,
    )


def _row_blocks(rows: int) -> list[slice]:
    return [slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS)]


def _combine_rows(
    planes: Sequence[tuple[Image, NDArray[np.uint16]]], clip_sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return mean, unbiased scatter squared and number of values kept, for one block of rows."""
    cube = np.stack([data for data, _ in planes])
    bad = np.stack([(mask & np.uint16(UNUSABLE)) != 0 for _, mask in planes])
    middle = np.median(cube, axis=0)
    deviation = np.abs(cube - middle)
    # With few frames a pixel's own scatter is too noisy to clip with: use the block's.
    width = 1.4826 * np.median(deviation, axis=0)
    width = np.maximum(width, np.median(width))
    keep = (deviation <= clip_sigma * np.maximum(width, 1e-6)) & ~bad
    count = keep.sum(axis=0)
    total = np.where(keep, cube, 0).sum(axis=0, dtype=np.float64)
    mean = np.where(count > 0, total / np.maximum(count, 1), middle)
    square = np.where(keep, (cube - mean) ** 2, 0).sum(axis=0)
    scatter = square / np.maximum(count - 1, 1)
    return mean.astype(np.float32), scatter.astype(np.float32), count


def read_noise_of(frames: Sequence[Frame]) -> float:
    """Measure the read noise (unit of the frames) from differences of neighbouring biases.

    Notes
    -----
    A clipped standard deviation: the median deviation of integer counts comes in steps. Row
    medians go first, for they hold the common-mode drift; neighbouring pixels are not
    differenced, since the electronics correlate them (ALFOSC -0.05, EFOSC2 -0.14).
    """
    noises = []
    for first, second in itertools.pairwise(frames):
        rows = slice(None, None, max(1, first.data.size // PIXELS_FOR_NOISE))
        difference = first.data[rows].astype(np.float64) - second.data[rows]
        difference -= np.median(difference, axis=1, keepdims=True)
        good = (first.good & second.good)[rows]
        scatter = clipped_mean(difference[good], clip_sigma=5.0)[1]
        noises.append(scatter / np.sqrt(2))
    return float(np.median(noises)) if noises else float("nan")


def gain_of(frames: Sequence[Frame], read_noise_adu: float) -> tuple[float, float]:
    """Measure the gain (e/adu) and its error by photon transfer on pairs of flats in adu.

    Notes
    -----
    Janesick (2001), Scientific CCDs, section 2.2.8: gain = signal / shot-noise variance,
    from the scatter of the difference of two exposures in blocks of similar level.
    """
    estimates = [
        value
        for first, second in itertools.pairwise(frames)
        for value in _pair_gains(first, second, read_noise_adu)
    ]
    if len(estimates) < 20:
        return float("nan"), float("nan")
    values = np.array(estimates)
    middle = np.median(values)
    width = 1.4826 * np.median(np.abs(values - middle))
    return float(middle), float(1.253 * width / np.sqrt(values.size))


def _pair_gains(first: Frame, second: Frame, read_noise_adu: float) -> list[float]:
    block = 20
    rows, columns = (n // block * block for n in first.shape)
    cut = (slice(0, rows), slice(0, columns))
    a, b = first.data[cut].astype(np.float64), second.data[cut].astype(np.float64)
    good = (first.good & second.good)[cut]

    def blocks(plane: NDArray[np.generic]) -> NDArray[np.generic]:
        shaped = plane.reshape(rows // block, block, columns // block, block)
        return shaped.swapaxes(1, 2).reshape(-1, block, block)

    gains = []
    for p, q, ok in zip(blocks(a), blocks(b), blocks(good), strict=True):
        level = float((p + q).mean() / 2)
        if not ok.all() or level < 30 * read_noise_adu or not q.sum() > 0:
            continue
        # Levels may differ, as in the twilight: the fainter one's noise is scaled up with it.
        ratio = float(p.sum() / q.sum())
        # Difference along the rows again: the lamp's slow drift cancels.
        variance = float(np.var(np.diff(p - ratio * q, axis=1))) / 2.0
        shot = variance - read_noise_adu**2 * (1 + ratio**2)
        if shot > 0:
            gains.append(float(p.mean()) * (1 + ratio) / shot)
    return gains

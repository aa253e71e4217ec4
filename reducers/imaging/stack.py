"""Add images of one field: scaled, weighted, cleaned of what only one of them has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.errors import NotEnoughFrames
from reducers.frame import UNUSABLE, Frame, Mask
from reducers.imaging.outliers import Cube, median_of, outliers
from reducers.imaging.resample_image import (
    Displacement,
    Grid,
    Readable,
    displacement,
    noise_gain,
    resample_rows,
)
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.stack_members import Choice, Member, StackSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Pixels of all images together that are held at a time: about 150 MB.
MOST_HELD = 8_000_000
#: Rows beyond a strip that its neighbourhoods need.
HALO_ROWS = 2
#: Variance of a median over that of the mean of as many Gaussian values (Kendall & Stuart,
#: The Advanced Theory of Statistics 1, section 14.12), from one value on; then pi/2.
MEDIAN_VARIANCE = (1.0, 1.0, 1.35, 1.19, 1.43, 1.29, 1.47, 1.35, 1.49, 1.38)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackImage:
    """One image of a stack: what was decided about it, where it lies, its pixels.

    `pixels` gives electrons without sky.
    """

    choice: Choice
    sky_map: SkyMap
    pixels: Readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one image gave to the stack.

    Attributes
    ----------
    rejected
        Part of its usable pixels that was left out as too far from the others.
    covered
        Part of the grid where it is usable.
    """

    choice: Choice
    rejected: float
    covered: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """Images added.

    Attributes
    ----------
    image : Frame
        Electrons per second at the transparency of the reference; the variance is that of single
        pixels. `Mask.EDGE` where there is no image, `Mask.SATURATED` where any image is full.
    coverage : (ny, nx) int16
        Images in each pixel.
    grid : Grid
    shares : tuple of Share
        Of the images that took part, in the order given.
    noise_gain
        Variance of single pixels over that of independent ones: neighbours are correlated. The
        error of a sum of pixels is that of independent ones divided by its square root.
    exposure_s
        Sum of the exposures.
    gain_s
        Electrons per unit of the image (seconds): its photon noise is that of so many.
    read_noise
        Of a pixel, electrons per second; NaN where that of an image is not known.
    zero_point_mag
        Of one electron per second; NaN where no image has one.
    """

    image: Frame
    coverage: NDArray[np.int16]
    grid: Grid
    shares: tuple[Share, ...]
    noise_gain: float
    exposure_s: float
    gain_s: float
    read_noise: float
    zero_point_mag: float
    settings: StackSettings


def stack(
    images: Sequence[StackImage], grid: Grid, settings: StackSettings | None = None
) -> Stacked:
    """Return the sum of the images that take part, as electrons per second.

    Parameters
    ----------
    images
        Those whose choice says so take part; see `choose`.
    grid
        See `common_grid`.

    Raises
    ------
    NotEnoughFrames
        If none takes part, or none covers the grid.

    Notes
    -----
    Weights are one number for each image, from its sky: weights by the noise of each pixel would
    make the centre of a bright star that of the worst seeing. Only a strip of all images is in
    memory at a time.
    """
    how = settings or StackSettings()
    used = [one for one in images if one.choice.use and one.choice.weight > 0]
    if not used:
        raise NotEnoughFrames("no image takes part in the stack")
    places = [displacement(one.sky_map, grid) for one in used]
    seeing = np.array([one.choice.member.seeing_arcsec for one in used])
    weights = np.array([one.choice.weight for one in used])
    strips, rejected, covered = [], np.zeros(len(used)), np.zeros(len(used))
    for start, stop in _strips(len(used), grid.shape):
        cube, above = _strip(used, places, grid, start, stop)
        far = outliers(cube, seeing, how.clip_sigma) if how.clip_sigma > 0 else ~cube.usable
        inner = np.s_[:, above : above + stop - start]
        cube, far = cube.cut(inner), far[inner]
        rejected += (far & cube.usable).sum((1, 2))
        covered += cube.usable.sum((1, 2))
        kept = cube.usable & ~far
        strips.append((*_added(cube, kept, weights, how.method), kept.sum(0)))
    data, variance, mask, count = (np.concatenate(planes) for planes in zip(*strips, strict=True))
    if not count.any():
        raise NotEnoughFrames("no image has a usable pixel in the field that was chosen")
    gains = [noise_gain(place, grid.shape) for place in places]
    total = weights / weights.sum()
    scales = np.array([one.choice.scale for one in used])
    noises = np.array([one.choice.member.read_noise_e for one in used])
    members = [one.choice.member for one in used]
    return Stacked(
        image=Frame(
            data=data, variance=variance, mask=mask, unit="electron/s", history=_history(used, how)
        ),
        coverage=count.astype(np.int16),
        grid=grid,
        shares=tuple(
            Share(
                choice=one.choice,
                rejected=float(r / max(c, 1)),
                covered=float(c / math.prod(grid.shape)),
            )
            for one, r, c in zip(used, rejected, covered, strict=True)
        ),
        noise_gain=float(np.average(gains, weights=total)),
        exposure_s=float(sum(member.exposure_s for member in members)),
        gain_s=float(1 / np.sum(total**2 * scales)),
        read_noise=float(np.sqrt(np.sum((total * scales * noises) ** 2))),
        zero_point_mag=_zero_point(members, scales),
        settings=how,
    )


def as_electrons(stacked: Stacked) -> Frame:
    """Return a stack in such electrons that its photon noise is their root.

    What measures single exposures measures this one; its exposure time is `gain_s`.
    """
    frame, gain = stacked.image, np.float32(stacked.gain_s)
    return frame.after(
        f"stack: times {stacked.gain_s:.2f} s, so that photon noise is the root of the counts",
        data=frame.data * gain,
        variance=frame.variance * gain**2,
        unit="electron",
    )


def _strips(number: int, shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield first and last row of strips of which all images fit in memory."""
    rows = int(np.clip(MOST_HELD // (number * shape[1]), 16, 512))
    for start in range(0, shape[0], rows):
        yield start, min(start + rows, shape[0])


def _strip(
    used: Sequence[StackImage],
    places: Sequence[Displacement],
    grid: Grid,
    start: int,
    stop: int,
) -> tuple[Cube, int]:
    """Return the strip of all images, with some rows around it, and how many of them above."""
    first, last = max(start - HALO_ROWS, 0), min(stop + HALO_ROWS, grid.shape[0])
    size = (len(used), last - first, grid.shape[1])
    data, variance = np.empty(size, np.float32), np.empty(size, np.float32)
    mask = np.empty(size, np.uint16)
    for number, (one, place) in enumerate(zip(used, places, strict=True)):
        moved = resample_rows(one.pixels, place, first, last, grid.shape[1])
        scale = np.float32(one.choice.scale)
        data[number], variance[number] = moved.data * scale, moved.variance * scale**2
        mask[number] = moved.mask
    return Cube(data=data, variance=variance, mask=mask), start - first


def _added(
    cube: Cube, kept: NDArray[np.bool_], weights: NDArray[np.float64], method: str
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint16]]:
    """Return data, variance and mask of the sum of what is kept."""
    share = np.where(kept, weights[:, None, None], 0).astype(np.float32)
    total = share.sum(0)
    some = total > 0
    share /= np.where(some, total, 1)
    variance = np.einsum("ijk,ijk,ijk->jk", share, share, cube.variance)
    if method == "median":
        data = median_of(cube.data, kept)
        variance = _median_variance(cube.variance, kept)
    else:
        data = np.einsum("ijk,ijk->jk", share, np.where(kept, cube.data, 0))
    mask = np.bitwise_or.reduce(np.where(kept, cube.mask & ~np.uint16(UNUSABLE), 0))
    full = (cube.mask & np.uint16(Mask.SATURATED)) != 0
    mask[full.any(0)] |= np.uint16(Mask.SATURATED)
    nothing = np.bitwise_and.reduce(cube.mask) | np.uint16(Mask.BAD)
    edge = np.uint16(Mask.EDGE)
    seen = ((cube.mask & edge) == 0).any(0)
    mask = np.where(some, mask, np.where(seen, nothing, edge)).astype(np.uint16)
    return np.where(some, data, 0), np.where(some, variance, 0), mask


def _median_variance(variance: NDArray[np.float32], kept: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the variance of the median of what is kept."""
    count = kept.sum(0)
    table = np.array([1.0, *MEDIAN_VARIANCE, *[math.pi / 2] * max(len(kept), 1)], np.float32)
    mean = np.where(kept, variance, 0).sum(0) / np.maximum(count, 1) ** 2
    return np.asarray(mean * table[count], np.float32)


def _zero_point(members: Sequence[Member], scales: NDArray[np.float64]) -> float:
    """Return the zero point of the scaled images, the median of what each says, NaN if none."""
    said = [
        member.zero_point_mag + 2.5 * math.log10(scale * member.exposure_s)
        for member, scale in zip(members, scales, strict=True)
    ]
    known = [value for value in said if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan


def _history(used: Sequence[StackImage], how: StackSettings) -> tuple[str, ...]:
    clipped = f", clipped at {how.clip_sigma:g} sigma" if how.clip_sigma > 0 else ""
    return (f"stack: {how.method} of {len(used)} images, weights by {how.weights}{clipped}",)

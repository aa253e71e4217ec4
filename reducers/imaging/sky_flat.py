"""Flats of the twilight sky or the dome: which exposures are fit, and what the field's light is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

from reducers.detector.bad_pixels import unusable_response, with_bad_pixels
from reducers.detector.combine import BLOCK_ROWS
from reducers.detector.flat_set import clipped_fraction
from reducers.detector.grow import grown
from reducers.frame import Frame, Mask
from reducers.imaging.extraction import extract
from reducers.imaging.vignetting import UNLIT_BELOW, VIGNETTED_BELOW, light_of_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Image, Vector

#: A member needs this many electrons per pixel: 2 % of noise in each, which three bring to 1 %.
FEWEST_ELECTRONS = 2500.0
#: More of a member's pixels than this clipped or beyond the linear range, and it is left out.
CLIPPED_LIMIT = 0.05
#: Light that differs from the other members' by more than this over the field, likewise.
UNEVEN_LIMIT = 0.03
#: Parts of the field that are compared.
PARTS = 8
#: Stars of one member are masked where a mean over so many pixels stands so many sigma out.
STAR_BOX_PX, STAR_SIGMA, STAR_GROW_PX = 5, 4.0, 6
#: Pixels around, with which the response of one is compared.
LOCAL_PX = 15
#: A flat with more star-like spots than this, and than so many per million pixels, is made of
#: exposures that did not move. Dust and blobs of a sound flat of EFOSC2 look like 7.
STARS_LEFT, STARS_LEFT_PER_MEGAPIXEL = 8, 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyFlatSet:
    """What is fit to be combined: adu at each member's own level, its stars marked COSMIC."""

    frames: tuple[Frame, ...]
    levels_adu: tuple[float, ...]
    left_out: tuple[str, ...]
    measurements: dict[str, float]


def fit_members(frames: Sequence[Frame], names: Sequence[str], gain_e_per_adu: float) -> SkyFlatSet:
    """Leave out flats that are too faint, too bright or unevenly lit, and mask their stars.

    Parameters
    ----------
    frames
        In adu above the bias, with the mask of `start_frame`.
    """
    levels = [middle_level(frame) for frame in frames]
    reasons = [_why_not(f, level, gain_e_per_adu) for f, level in zip(frames, levels, strict=True)]
    passed = [i for i, reason in enumerate(reasons) if not reason]
    light = _median_light([frames[i] for i in passed], [levels[i] for i in passed])
    maps = {i: parts_of_field(frames[i].data) / levels[i] for i in passed}
    # Corners that no light reaches hold noise about zero, whose ratios mean nothing.
    lit = np.median(list(maps.values()), axis=0) > UNLIT_BELOW if maps else np.zeros(0, bool)
    kept, uneven = [], []
    for i in passed:
        others = [maps[j][lit] for j in passed if j != i]
        compared = others and lit.any()
        uneven.append(spread(maps[i][lit] / np.median(others, axis=0)) if compared else 0.0)
        if uneven[-1] > UNEVEN_LIMIT:
            percent = 100 * uneven[-1]
            reasons[i] = f"its light differs by {percent:.1f} % over the field from the others'"
        else:
            ratio = frames[i].data / (np.float32(levels[i]) * light)
            kept.append((mask_stars(frames[i], ratio), levels[i]))
    return SkyFlatSet(
        frames=tuple(frame for frame, _ in kept),
        levels_adu=tuple(level for _, level in kept),
        left_out=tuple(f"{n}: {why}" for n, why in zip(names, reasons, strict=True) if why),
        measurements={
            "brightest_adu": max(levels, default=0.0),
            "faintest_adu": min(levels, default=0.0),
            "unevenness": max(uneven, default=float("nan")),
        },
    )


def middle_level(frame: Frame) -> float:
    """Return the median of the middle half of the field."""
    ny, nx = frame.shape
    middle = frame.data[ny // 4 : max(3 * ny // 4, 1), nx // 4 : max(3 * nx // 4, 1)]
    return float(np.median(middle))


def _why_not(frame: Frame, level_adu: float, gain_e_per_adu: float) -> str:
    clipped = clipped_fraction(frame)
    if clipped > CLIPPED_LIMIT:
        return f"{100 * clipped:.0f} % of its pixels are saturated or beyond the linear range"
    if level_adu * gain_e_per_adu < FEWEST_ELECTRONS:
        return f"the sky gave only {level_adu:.0f} adu"
    return ""


def _median_light(frames: Sequence[Frame], levels: Sequence[float]) -> Image:
    """Return the field's light relative to its middle, about 1; never 0."""
    if not frames:
        return np.ones((1, 1), np.float32)
    light = np.empty(frames[0].shape, np.float32)
    for start in range(0, len(light), BLOCK_ROWS):  # all at once would need twice the set's memory
        rows = slice(start, start + BLOCK_ROWS)
        parts = [f.data[rows] / np.float32(level) for f, level in zip(frames, levels, strict=True)]
        light[rows] = np.median(parts, axis=0)
    return np.maximum(light, np.float32(0.05))


def parts_of_field(plane: Image) -> Vector:
    """Return the medians of 8 x 8 parts of a plane, its outermost eighth left out (64,)."""
    ny, nx = plane.shape
    inner = plane[ny // 8 : ny - ny // 8, nx // 8 : nx - nx // 8]
    return np.array(
        [
            np.median(part)
            for band in np.array_split(inner, min(PARTS, inner.shape[0]), axis=0)
            for part in np.array_split(band, min(PARTS, inner.shape[1]), axis=1)
        ],
        np.float64,
    )


def spread(values: Vector) -> float:
    """Return the range from the 5th to the 95th percentile."""
    low, high = np.percentile(values, (5, 95))
    return float(high - low)


def mask_stars(frame: Frame, ratio: Image) -> Frame:
    """Mark what is brighter in one flat than in the set: stars, which the dithers have moved."""
    smooth = uniform_filter(np.clip(ratio, 0, 2), STAR_BOX_PX, mode="nearest") - np.float32(1)
    middle = np.median(smooth[::4, ::4])
    sigma = 1.4826 * float(np.median(np.abs(smooth[::4, ::4] - middle)))
    stars = grown(
        smooth - middle > STAR_SIGMA * max(sigma, 1e-6), rows=STAR_GROW_PX, columns=STAR_GROW_PX
    )
    mask = frame.mask.copy()
    mask[stars] |= np.uint16(Mask.COSMIC)
    return frame.after(f"stars: {100 * stars.mean():.2f} % of the pixels masked", mask=mask)


def normalise_sky_flat(stacked: Frame) -> tuple[Frame, dict[str, float]]:
    """Return the light of the field times the pixels' response, its median 1 where it is lit.

    Pixels with less than half of the light are VIGNETTED; where less than 0.35 is left, NO_FLAT is
    set and the flat is 1. Pixels that respond too differently from their neighbours are BAD.

    Returns
    -------
    Frame, dict
        Unit-free flat with its variance; 'pixel_rms' of the response, 'flat_noise' expected in it,
        'gradient' across the lit field, 'vignetted_fraction', 'stars_left', and the bad pixels.
    """
    light = light_of_field(stacked.data, stacked.good)
    lit, unlit = light >= VIGNETTED_BELOW, light < UNLIT_BELOW
    use = lit & stacked.good
    level = float(np.median(stacked.data[use])) if use.any() else 1.0
    scale = np.float32(1 / max(level, 1e-6))
    data = np.where(unlit, np.float32(1), stacked.data * scale)
    variance = np.where(unlit, np.float32(0), stacked.variance * scale**2)
    mask = stacked.mask.copy()
    mask[~lit] |= np.uint16(Mask.VIGNETTED)
    mask[unlit] |= np.uint16(Mask.NO_FLAT)
    flat = stacked.after(
        f"flat: over its median of {level:.0f} adu",
        data=data,
        variance=variance,
        mask=mask,
        unit="",
    )
    response = local_response(flat, lit)
    bad = unusable_response(response, lit)
    flat, condemned = with_bad_pixels(flat, bad, "dead, blind or blocked")
    clear = use & ~bad
    some = clear.copy()
    some[1::2] = False
    relative = np.sqrt(np.median(variance[some] / data[some] ** 2)) if some.any() else np.nan
    off = np.abs(response[some] - 1)
    return flat, {
        "level_adu": level,
        "pixel_rms": 1.4826 * float(np.median(off)) if off.size else float("nan"),
        "flat_noise": float(relative),
        "gradient": spread(parts_of_field(data)) if use.any() else float("nan"),
        "vignetted_fraction": float(1 - lit.mean()),
        "stars_left": float(count_stars(response, clear)),
        **condemned,
    }


def local_response(flat: Frame, lit: NDArray[np.bool_]) -> Image:
    """Return every pixel over the mean of those around it (ny, nx); wild ones do not count."""
    use = lit & flat.good
    response = np.ones_like(flat.data)
    for _ in range(2):
        weight = uniform_filter(use.astype(np.float32), LOCAL_PX, mode="nearest")
        total = uniform_filter(np.where(use, flat.data, np.float32(0)), LOCAL_PX, mode="nearest")
        known = weight > 0.1
        around = np.where(known, total / np.maximum(weight, 0.1), np.float32(1))
        response = np.where(known, flat.data / np.maximum(around, 1e-3), np.float32(1))
        use = use & ~unusable_response(response, lit)
    return np.asarray(response, np.float32)


def count_stars(response: Image, clear: NDArray[np.bool_]) -> int:
    """Return how many round, bright spots of stellar size are left on a flat."""
    excess = np.where(clear, response - np.float32(1), np.float32(0))
    sigma = 1.4826 * float(np.median(np.abs(excess[::3, ::3])))
    if not sigma > 0:
        return 0
    kernel = np.exp(-0.5 * np.hypot(*np.mgrid[-4:5, -4:5]) ** 2 / 1.7**2)
    found = extract(
        np.ascontiguousarray(excess), 3.0, err=sigma, minarea=12, filter_kernel=kernel, clean=False
    ).objects
    round_ones = (found["b"] > 0.6 * found["a"]) & (found["a"] < 6)
    return int(round_ones.sum())

"""Fringes: night-sky lines interfere in the thin detector and draw a pattern under the stars."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.combine import combine
from reducers.detector.correct import require_same_pixels
from reducers.frame import Mask
from reducers.imaging.background import (
    BLOCK_PX,
    FRINGED_SIGMA,
    NO_SKY,
    SOURCE_SIGMA,
    blocks_above,
    estimate_background,
)
from reducers.imaging.fringe_scale import (
    FringeScale,
    find_scale,
    smoothed,
    smoothed_variance,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Frame, Image
    from reducers.imaging.background import Background

#: Fewest exposures of one pattern, and how far they must lie apart on the sky.
FEWEST_EXPOSURES, LEAST_DITHER_ARCSEC = 4, 5.0
#: A pattern, smoothed at its own scale, must stand so far above its noise (both rms): then its
#: subtraction takes off twice the variance that it adds.
LEAST_SIGNAL_TO_NOISE = 1.4
#: Boxes of the sky under a pattern: those of an image would follow broad fringes.
PATTERN_MESH_PX = 128
#: The background of an image follows a part of its fringes: how often it is made again without.
ROUNDS = 4
#: The part of its fringes that an image can show beside its background.
SEEN_PART = (0.2, 1.2)
#: More of the field than this under objects in nearly all exposures, and there is no pattern.
COVERED_LIMIT = 0.05
#: Clip of the amplitude fit, sigma.
CLIP_SIGMA = 4.0
#: An amplitude below this many of its errors is not subtracted.
SURE_SIGMA = 5.0


def sky_structure(frame: Frame, background: Background) -> Frame:
    """Return the small structure of the sky in units of its level, sources marked COSMIC."""
    level = np.float32(max(float(np.median(background.level)), 1e-3))
    mask = np.where((frame.mask & NO_SKY) != 0, np.uint16(Mask.BAD), np.uint16(0))
    mask[background.sources] |= np.uint16(Mask.COSMIC)
    return frame.after(
        f"fringes: over a sky of {level:.1f} electrons",
        data=(frame.data - background.level) / level,
        variance=frame.variance / level**2,
        mask=mask,
        unit="",
    )


def sky_structure_beside_sources(frame: Frame, pattern: Frame | None = None) -> Frame:
    """Return the small structure of an exposure's sky; its sources are marked.

    Parameters
    ----------
    pattern
        A first pattern. Without its crests faint stars stand out: what an exposure leaves of a star
        in the pattern of N exposures, it loses from that star by one part in N.
    """
    sky = estimate_background(frame, source_sigma=FRINGED_SIGMA)
    if pattern is None:
        return sky_structure(frame, _broad_sky(frame, sky.sources))
    rest = subtract_fringe(frame, sky, pattern)[0]
    sky = estimate_background(rest)
    return sky_structure(frame, _broad_sky(rest, sky.sources | _faint_sources(rest, sky)))


def _broad_sky(frame: Frame, sources: NDArray[np.bool_]) -> Background:
    """Return a sky that no fringe bends, with the sources that a finer mesh told."""
    broad = estimate_background(frame, mesh_px=PATTERN_MESH_PX, source_sigma=FRINGED_SIGMA)
    return replace(broad, sources=sources)


def _faint_sources(frame: Frame, sky: Background) -> NDArray[np.bool_]:
    """Return what stands above the sky in blocks that begin anywhere.

    Of a star that falls on the corner of four blocks none holds more than a quarter.
    """
    blank = (frame.mask & NO_SKY) != 0
    above = np.where(blank, np.float32(0), frame.data - sky.level)
    limit = SOURCE_SIGMA * float(np.median(sky.rms)) / BLOCK_PX
    found = np.zeros(frame.shape, bool)
    for down in (0, BLOCK_PX // 2):
        for right in (0, BLOCK_PX // 2):
            if down or right:
                found[down:, right:] |= blocks_above(above[down:, right:], limit)
    return np.asarray(found & ~blank)


def fringe_pattern(structures: Sequence[Frame]) -> tuple[Frame, dict[str, float], str]:
    """Return the pattern that the exposures share, its amplitude 1 and its mean 0.

    Parameters
    ----------
    structures
        As `sky_structure` gives them, the telescope moved between them.

    Returns
    -------
    Frame
        Clipped mean, smoothed with the kernel of `find_scale`; pixels that no exposure shows are
        BAD and 0. The variance is that of a smoothed pixel, which neighbours share.
    dict
        'amplitude' (1 sigma of the pattern, in units of the sky), 'correlation' of the halves,
        'kernel_px', 'signal_to_noise' of the smoothed pattern, 'covered_fraction'.
    str
        Why it must not be used; '' when it may.
    """
    mean = combine(structures, clip_sigma=3.0)
    seen = np.sum([frame.mask == 0 for frame in structures], axis=0, dtype=np.float32)
    lit = (structures[0].mask & np.uint16(Mask.BAD)) == 0
    covered = float((lit & (seen < 2)).sum()) / max(float(lit.sum()), 1.0)
    use = mean.good & lit
    scale = _scale_of(structures, use)
    amplitude = math.sqrt(max(scale.shared, 0.0))
    level = np.float32(np.mean(mean.data[use])) if use.any() else np.float32(0)
    # The inverse variance, but for its noise, which would follow that of the counts.
    weight = np.where(use, seen, np.float32(0))
    unit = np.float32(1 / max(math.sqrt(max(scale.signal, 0.0)), 1e-9))
    pattern = mean.after(
        f"fringes: {100 * amplitude:.2f} % of the sky, mean of {len(structures)} exposures, "
        f"smoothed by {scale.kernel_px:g} pixels",
        data=np.where(use, smoothed(mean.data - level, weight, scale.kernel_px) * unit, 0),
        variance=_true_variance(mean, weight, scale) * unit**2,
        mask=np.where(use, np.uint16(0), np.uint16(Mask.BAD)),
    )
    measured = {
        "amplitude": amplitude,
        "correlation": scale.signal / max(scale.signal + 2 * scale.noise, 1e-30),
        "kernel_px": scale.kernel_px,
        "signal_to_noise": scale.signal_to_noise,
        "covered_fraction": covered,
        "frames": float(len(structures)),
    }
    return pattern, measured, _pattern_verdict(scale, covered)


def _true_variance(mean: Frame, weight: Image, scale: FringeScale) -> Image:
    """Return the variance of the smoothed mean, at least as large as its halves differ.

    Faint stars and the errors of each sky are left on the exposures: their noise is correlated, and
    a kernel takes off less of it than of the photons'.
    """
    variance = smoothed_variance(mean.variance, weight, scale.kernel_px)
    declared = float(np.mean(variance[weight > 0])) if (weight > 0).any() else 0.0
    return variance * np.float32(max(scale.noise / max(declared, 1e-30), 1.0))


def _scale_of(structures: Sequence[Frame], use: NDArray[np.bool_]) -> FringeScale:
    first, second = (combine(list(structures[start::2])) for start in (0, 1))
    weights = [np.asarray(use & half.good, np.float32) for half in (first, second)]
    return find_scale(first.data, second.data, (weights[0], weights[1]))


def _pattern_verdict(scale: FringeScale, covered: float) -> str:
    if covered > COVERED_LIMIT:
        return (
            f"objects cover {100 * covered:.0f} % of the field in nearly all exposures: move the "
            "telescope further between them"
        )
    if not scale.signal_to_noise > LEAST_SIGNAL_TO_NOISE:
        return "the exposures share no pattern above their noise: there is nothing to subtract"
    return ""


def subtract_fringe(
    frame: Frame, background: Background, fringe: Frame
) -> tuple[Frame, float, float]:
    """Subtract a fringe pattern as strong as the exposure shows it.

    The background follows a part of broad fringes, hence it is made again without them until the
    amplitude stays.

    Parameters
    ----------
    background
        Estimated with `FRINGED_SIGMA`: a mask of the crests would make the amplitude too small.
    fringe
        Unit amplitude, mean zero.

    Returns
    -------
    Frame, float, float
        The frame, and amplitude with error (electrons); the frame as it came where the amplitude
        is not above five times its error.
    """
    require_same_pixels(frame, fringe, "fringe pattern")
    amplitude, error = fit_amplitude(frame, background, fringe)
    if not amplitude > SURE_SIGMA * error:
        return (
            frame.after(f"fringes: none seen, {amplitude:.2f} +- {error:.2f} e"),
            amplitude,
            error,
        )
    amplitude, error = _beside_own_background(frame, fringe, amplitude, error)
    scale = np.float32(amplitude)
    cleaned = frame.after(
        f"fringes: subtracted, amplitude {amplitude:.2f} +- {error:.2f} e",
        data=frame.data - scale * fringe.data,
        variance=frame.variance + scale**2 * fringe.variance,
    )
    return cleaned, amplitude, error


def _beside_own_background(
    frame: Frame, fringe: Frame, amplitude: float, error: float
) -> tuple[float, float]:
    """Return the amplitude at which nothing is left beside a background made without fringes.

    By the secant: the background follows the same part of whatever amplitude is left.
    """
    before, left_before, seen = 0.0, amplitude, 1.0
    for _ in range(ROUNDS):
        rest = frame.after("", data=frame.data - np.float32(amplitude) * fringe.data)
        left, error = fit_amplitude(rest, estimate_background(rest), fringe)
        if abs(left) < error:
            break
        if amplitude != before:
            seen = float(np.clip((left_before - left) / (amplitude - before), *SEEN_PART))
        before, left_before = amplitude, left
        amplitude += left / seen
    return amplitude, error / seen


def fit_amplitude(frame: Frame, background: Background, fringe: Frame) -> tuple[float, float]:
    """Return the strength of a pattern in the empty sky and its error, electrons.

    Weighted least squares with clipping; the noise of the pattern itself, which would make the
    amplitude too small, is taken off the normal equation (Fuller 1987, Measurement Error Models,
    section 1.2).
    """
    use = ((frame.mask & NO_SKY) == 0) & ~background.sources & fringe.good
    if np.count_nonzero(use) < 1000:
        return 0.0, math.inf
    rest = (frame.data - background.level)[use].astype(np.float64)
    pattern = fringe.data[use].astype(np.float64)
    weight = 1.0 / frame.variance[use].astype(np.float64)
    noise = fringe.variance[use].astype(np.float64)
    amplitude = 0.0
    keep = np.ones(rest.size, bool)
    for _ in range(3):
        w, f = weight[keep], pattern[keep]
        offset = float(np.sum(w * rest[keep]) / np.sum(w))
        power = float(np.sum(w * (f**2 - noise[keep])))
        if not power > 0:
            return 0.0, math.inf
        amplitude = float(np.sum(w * f * (rest[keep] - offset))) / power
        keep = np.abs(rest - offset - amplitude * pattern) * np.sqrt(weight) < CLIP_SIGMA
    return amplitude, float(math.sqrt(np.sum(w * f**2)) / power)


def fringe_residue(frame: Frame, background: Background, fringe: Frame) -> float:
    """Return what is left of a pattern, in units of the noise of a pixel."""
    amplitude, error = fit_amplitude(frame, background, fringe)
    noise = float(np.median(background.rms))
    return max(abs(amplitude) - 2 * error, 0.0) / max(noise, 1e-6) if math.isfinite(error) else 0.0

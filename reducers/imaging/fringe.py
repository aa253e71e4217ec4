"""Fringes: night-sky lines interfere in the thin detector and draw a pattern under the stars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import uniform_filter

from reducers.detector.combine import combine
from reducers.detector.correct import require_same_pixels
from reducers.frame import Mask
from reducers.imaging.background import NO_SKY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Frame, Image
    from reducers.imaging.background import Background

#: Fewest exposures of one pattern, and how far they must lie apart on the sky.
FEWEST_EXPOSURES, LEAST_DITHER_ARCSEC = 4, 5.0
#: The two halves of the exposures must show the same pattern: least correlation of their smooth
#: structure, over so many pixels.
LEAST_CORRELATION, SMOOTH_PX = 0.2, 3
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


def fringe_pattern(structures: Sequence[Frame]) -> tuple[Frame, dict[str, float], str]:
    """Return the pattern that the exposures share, its amplitude 1 and its mean 0.

    Parameters
    ----------
    structures
        As `sky_structure` gives them, the telescope moved between them.

    Returns
    -------
    Frame
        Clipped mean; pixels that no exposure shows are BAD and 0.
    dict
        'amplitude' (1 sigma of the pattern, in units of the sky), 'correlation' of the halves,
        'covered_fraction'.
    str
        Why it must not be used; '' when it may.
    """
    mean = combine(structures, clip_sigma=3.0)
    seen = np.sum([frame.mask == 0 for frame in structures], axis=0)
    lit = (structures[0].mask & np.uint16(Mask.BAD)) == 0
    covered = float((lit & (seen < 2)).sum()) / max(float(lit.sum()), 1.0)
    use = mean.good & lit
    halves = [combine(list(structures[start::2])) for start in (0, 1)]
    smooth = [_smooth(half, use & half.good) for half in halves]
    shared = float(np.mean((smooth[0] * smooth[1])[use])) if use.any() else 0.0
    powers = [float(np.mean(plane[use] ** 2)) if use.any() else 0.0 for plane in smooth]
    correlation = shared / math.sqrt(max(powers[0] * powers[1], 1e-30))
    amplitude = math.sqrt(max(shared, 0.0))
    scale = np.float32(1 / max(amplitude, 1e-9))
    level = np.float32(np.mean(mean.data[use])) if use.any() else np.float32(0)
    # Fringes are wider than stars: a mean over 3 x 3 pixels takes the noise and nothing else.
    around = mean.after("", data=mean.data - level)
    pattern = mean.after(
        f"fringes: {100 * amplitude:.2f} % of the sky, mean of {len(structures)} exposures",
        data=np.where(use, _smooth(around, use) * scale, np.float32(0)),
        variance=np.where(use, mean.variance * (scale / SMOOTH_PX) ** 2, np.float32(0)),
        mask=np.where(use, np.uint16(0), np.uint16(Mask.BAD)),
    )
    measured = {
        "amplitude": amplitude,
        "correlation": correlation,
        "covered_fraction": covered,
        "frames": float(len(structures)),
    }
    return pattern, measured, _pattern_verdict(correlation, covered)


def _pattern_verdict(correlation: float, covered: float) -> str:
    if covered > COVERED_LIMIT:
        return (
            f"objects cover {100 * covered:.0f} % of the field in nearly all exposures: move the "
            "telescope further between them"
        )
    if not correlation > LEAST_CORRELATION:
        return "the exposures share no pattern above their noise: there is nothing to subtract"
    return ""


def _smooth(frame: Frame, use: NDArray[np.bool_]) -> Image:
    """Return the mean of the used pixels around each one; 0 where there are none."""
    weight = uniform_filter(use.astype(np.float32), SMOOTH_PX, mode="nearest")
    total = uniform_filter(np.where(use, frame.data, np.float32(0)), SMOOTH_PX, mode="nearest")
    return np.asarray(np.where(weight > 0.3, total / np.maximum(weight, 0.3), 0), np.float32)


def subtract_fringe(
    frame: Frame, background: Background, fringe: Frame
) -> tuple[Frame, float, float]:
    """Subtract a fringe pattern as strong as the exposure shows it.

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
    scale = np.float32(amplitude)
    cleaned = frame.after(
        f"fringes: subtracted, amplitude {amplitude:.2f} +- {error:.2f} e",
        data=frame.data - scale * fringe.data,
        variance=frame.variance + scale**2 * fringe.variance,
    )
    return cleaned, amplitude, error


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
